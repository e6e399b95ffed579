"""Delivering: claim what is due, sign, post, record the attempt, decide what is next.

Deliveries wait in lanes: one for each endpoint, and one for each address of a batch's own. A lane has a few
deliveries in flight at most, and the lane with the fewest goes first: so a slow or dead receiver fills its own
lane, and no other. A claim writes a token into `lease` and moves `due_at` past the lease's end: if the worker
dies the delivery is simply due again, under the same event id. Who comes back after that completes the row of
the attempt, for it happened, but no longer decides what becomes of the delivery.
"""

import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction
from django.utils import timezone

from sora2.crypto import UnreadableSecret, decrypt
from sora2.drain import drain
from webhooks import guarded
from webhooks.guarded import Answer
from webhooks.models import Delivery
from webhooks.signing import signature_headers

log = structlog.get_logger(__name__)

# Waits between the attempts, with the running total: a receiver that is down for three days misses nothing.
RETRY_SCHEDULE_SECONDS = (
    5,  # 5 s
    5 * 60,  # 5 min
    30 * 60,  # 35 min
    2 * 3600,  # 2 h 35 min
    5 * 3600,  # 7 h 35 min
    10 * 3600,  # 17 h 35 min
    14 * 3600,  # 31 h 35 min
    20 * 3600,  # 51 h 35 min
    24 * 3600,  # 75 h 35 min
)
MAX_ATTEMPTS = len(RETRY_SCHEDULE_SECONDS) + 1
# Spreads the retries of everything that failed at the same moment.
JITTER = 0.2
RETRY_AFTER_MAX_SECONDS = 24 * 3600

# Posts in flight at once in one lane, over all workers, and in one worker process.
IN_FLIGHT_PER_LANE = 4
WIDTH = 64
RUN_SECONDS = 120.0
# A call ends at its deadline; the rest is for recording what came of it, on a machine that is busy.
LEASE_SECONDS = guarded.DEADLINE_SECONDS + 15
SKIP_AT_ONCE = 1000

GONE = 410
GONE_REASON = "the receiver answered 410 Gone"


@dataclass(frozen=True)
class Claimed:
    """A delivery that is ours until the lease ends, with all that posting it takes.

    `attempts` counts those since the delivery was published or last redelivered, this one included.
    """

    attempt_id: int
    delivery_id: str
    lease: uuid.UUID
    attempts: int
    endpoint_id: str | None
    url: str
    secret_encrypted: str | None
    event_id: str
    body: str
    at: datetime


@dataclass(frozen=True)
class Decision:
    """What becomes of a delivery after an attempt; `due_at` is when the next one is, if any."""

    state: Delivery.State
    due_at: datetime | None = None


# Deliveries of an endpoint that was disabled after they were published. Served by webhooks_delivery_lane.
SKIP_DISABLED = """
    WITH ours AS (
        SELECT waiting.id, coalesce(nullif(p.disabled_reason, ''), 'the endpoint is disabled') AS reason
        FROM webhooks_endpoint p CROSS JOIN LATERAL (
            SELECT d.id FROM webhooks_delivery d
            WHERE coalesce(d.endpoint_id, md5(d.url)) = p.id AND d.state = 'pending' AND d.due_at <= %(now)s
            ORDER BY d.due_at LIMIT %(count)s FOR UPDATE SKIP LOCKED
        ) waiting
        WHERE NOT p.enabled
    ), lost AS (
        UPDATE webhooks_attempt a SET error = 'worker_lost' FROM ours
        WHERE a.delivery_id = ours.id AND a.duration_ms IS NULL
    )
    UPDATE webhooks_delivery d
    SET state = 'skipped', skipped_reason = ours.reason, due_at = NULL, lease = NULL
    FROM ours WHERE d.id = ours.id
"""

# One statement: find, lease, and write the attempts. `lanes` hops from lane to lane in webhooks_delivery_lane, so
# that a claim costs by the number of receivers that something waits for, and not by how much waits for one of them.
# A lost last attempt ends the delivery: a message that kills workers must not do so for ever.
CLAIM = """
    WITH RECURSIVE lanes AS (
        (SELECT coalesce(d.endpoint_id, md5(d.url)) AS lane FROM webhooks_delivery d
         WHERE d.state = 'pending' ORDER BY 1 LIMIT 1)
        UNION ALL
        SELECT next.lane FROM lanes CROSS JOIN LATERAL (
            SELECT coalesce(d.endpoint_id, md5(d.url)) AS lane FROM webhooks_delivery d
            WHERE d.state = 'pending' AND coalesce(d.endpoint_id, md5(d.url)) > lanes.lane ORDER BY 1 LIMIT 1
        ) next
    ), waiting AS (
        SELECT due.id, due.due_at, busy.count + row_number() OVER (PARTITION BY lane ORDER BY due.due_at) AS turn
        FROM lanes
        LEFT JOIN webhooks_endpoint p ON p.id = lane
        CROSS JOIN LATERAL (
            SELECT count(*) AS count FROM webhooks_delivery d
            WHERE coalesce(d.endpoint_id, md5(d.url)) = lane AND d.state = 'pending'
              AND d.due_at > %(now)s AND d.due_at <= %(lease_ends)s AND d.lease IS NOT NULL
        ) busy
        CROSS JOIN LATERAL (
            SELECT d.id, d.due_at FROM webhooks_delivery d
            WHERE coalesce(d.endpoint_id, md5(d.url)) = lane AND d.state = 'pending' AND d.due_at <= %(now)s
            ORDER BY d.due_at LIMIT greatest(%(per_lane)s - busy.count, 0)
        ) due
        WHERE p.id IS NULL OR p.enabled
    ), ours AS (
        SELECT d.id, d.next_trigger, d.attempts_made - d.attempts_before >= %(max_attempts)s AS is_spent
        FROM webhooks_delivery d
        WHERE d.id IN (SELECT w.id FROM waiting w ORDER BY w.turn, w.due_at LIMIT %(count)s)
          AND d.state = 'pending' AND d.due_at <= %(now)s
        FOR UPDATE SKIP LOCKED
    ), lost AS (
        UPDATE webhooks_attempt a SET error = 'worker_lost' FROM ours
        WHERE a.delivery_id = ours.id AND a.duration_ms IS NULL
    ), spent AS (
        UPDATE webhooks_delivery d SET state = 'exhausted', due_at = NULL, lease = NULL
        FROM ours WHERE d.id = ours.id AND ours.is_spent
    ), claimed AS (
        UPDATE webhooks_delivery d
        SET lease = %(lease)s, due_at = %(lease_ends)s, attempts_made = d.attempts_made + 1, next_trigger = 'auto'
        FROM ours WHERE d.id = ours.id AND NOT ours.is_spent
        RETURNING d.id, d.event_id, d.endpoint_id, d.url, d.lease, d.attempts_made, d.attempts_before,
                  ours.next_trigger AS trigger
    ), written AS (
        INSERT INTO webhooks_attempt (delivery_id, number, at, trigger, error, response)
        SELECT id, attempts_made, %(now)s, trigger, '', '' FROM claimed
        RETURNING id, delivery_id, at
    )
    SELECT written.id, c.id, c.lease, c.attempts_made - c.attempts_before, c.endpoint_id, c.url,
           coalesce(p.secret_encrypted, s.secret_encrypted), e.id, e.body,
           written.at
    FROM claimed c
    JOIN written ON written.delivery_id = c.id
    JOIN webhooks_event e ON e.id = c.event_id
    LEFT JOIN webhooks_endpoint p ON p.id = c.endpoint_id
    LEFT JOIN webhooks_defaultsecret s
        ON c.endpoint_id IS NULL AND s.organization_id = e.organization_id
"""

# Only the holder of the lease decides.
MOVE_DELIVERIES = """
    UPDATE webhooks_delivery d SET state = m.state, due_at = m.due_at, lease = NULL
    FROM unnest(%s::text[], %s::uuid[], %s::text[], %s::timestamptz[]) AS m (id, lease, state, due_at)
    WHERE d.id = m.id AND d.lease = m.lease AND d.state = 'pending'
    RETURNING m.id, m.lease
"""

# Whoever holds the delivery by now: an attempt that took place is on record with what came of it.
COMPLETE_ATTEMPTS = """
    UPDATE webhooks_attempt a
    SET status_code = n.status_code, error = n.error, duration_ms = n.duration_ms, response = n.response
    FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::int[], %s::text[])
         AS n (id, status_code, error, duration_ms, response)
    WHERE a.id = n.id AND a.duration_ms IS NULL
"""

# Not if its address was changed meanwhile: the new one has said nothing. In the order of ids, against deadlocks.
DISABLE_ENDPOINTS = """
    UPDATE webhooks_endpoint SET enabled = false, disabled_reason = %s
    WHERE id IN (
        SELECT p.id FROM webhooks_endpoint p JOIN unnest(%s::text[], %s::text[]) AS gone (id, url)
            ON p.id = gone.id AND p.url = gone.url
        WHERE p.enabled ORDER BY p.id FOR NO KEY UPDATE OF p)
"""


def deliver_due(last_claim: Callable[[], None] | None = None) -> int:
    """Deliver what is due, for a while; return how many attempts were begun."""
    skip_disabled(now=timezone.now())
    return drain(
        claim=lambda count: claim(count=count, now=timezone.now()),
        act=lambda claimed: (claimed, post(claimed)),
        record=lambda results: record(results, now=timezone.now()),
        width=WIDTH,
        seconds=RUN_SECONDS,
        last_claim=last_claim,
    )


def skip_disabled(*, now: datetime) -> int:
    """Skip what is due to endpoints that are disabled, with their reason; return how many. They can be redelivered."""
    with connection.cursor() as cursor:
        cursor.execute(SKIP_DISABLED, {"now": now, "count": SKIP_AT_ONCE})
        skipped: int = cursor.rowcount
        return skipped


def claim(*, count: int, now: datetime) -> list[Claimed]:
    """Claim up to `count` due deliveries, fairly between lanes, and write their attempts.

    One claimer at a time, for the length of this short transaction: so the limit of a lane is exact, and who waited
    sees what the other has left.
    """
    values: dict[str, Any] = {
        "now": now,
        "count": count,
        "per_lane": IN_FLIGHT_PER_LANE,
        "max_attempts": MAX_ATTEMPTS,
        "lease": uuid.uuid4(),
        "lease_ends": now + timedelta(seconds=LEASE_SECONDS),
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('webhooks.deliver'))")
        cursor.execute(CLAIM, values)
        return [Claimed(*row) for row in cursor.fetchall()]


def post(claimed: Claimed) -> Answer:
    """Sign the event for this attempt and post its exact bytes. Does not touch the database."""
    try:
        secret = decrypt(claimed.secret_encrypted or "")
    except UnreadableSecret:
        # Retried like any failure: the operator has the schedule's three days to put the secret or its key back.
        log.error("webhooks.no_secret", delivery_id=claimed.delivery_id, endpoint_id=claimed.endpoint_id)
        return Answer(error="no_secret")
    headers = signature_headers(event_id=claimed.event_id, body=claimed.body, secrets=[secret], at=claimed.at)
    return guarded.post(
        claimed.url, body=claimed.body.encode(), headers={"Content-Type": "application/json", **headers}
    )


def decide(*, answer: Answer, attempts: int, now: datetime, chance: float) -> Decision:
    """Return what follows from the answer to the `attempts`-th attempt. `chance` is a random number from 0 to 1.

    Everything but 2xx and 410 is retried, `forbidden_target` and `dns` too: names can be pointed elsewhere.
    """
    if answer.ok:
        return Decision(Delivery.State.DELIVERED)
    if answer.status_code == GONE or attempts >= MAX_ATTEMPTS:
        return Decision(Delivery.State.EXHAUSTED)
    wait_seconds = RETRY_SCHEDULE_SECONDS[attempts - 1] * (1 + JITTER * (2 * chance - 1))
    asked_seconds = min(answer.retry_after_seconds or 0, RETRY_AFTER_MAX_SECONDS)
    return Decision(Delivery.State.PENDING, now + timedelta(seconds=max(wait_seconds, asked_seconds)))


def record(results: Sequence[tuple[Claimed, Answer]], *, now: datetime) -> None:
    """Record what came of the attempts, and what follows for the deliveries whose lease still holds."""
    decisions = [
        decide(answer=answer, attempts=claimed.attempts, now=now, chance=random.random())  # noqa: S311 - only jitter.
        for claimed, answer in results
    ]
    # Deliveries before attempts, as in a claim: two workers that meet at an expired lease must not deadlock.
    with transaction.atomic():
        decisive = _move([claimed for claimed, _ in results], decisions)
        _complete(results)
        _disable([claimed for claimed, answer in results if answer.status_code == GONE and claimed in decisive])
    for (claimed, _), decision in zip(results, decisions, strict=True):
        if decision.state == Delivery.State.EXHAUSTED and claimed in decisive:
            log.warning("webhooks.exhausted", delivery_id=claimed.delivery_id)


def _move(claims: Sequence[Claimed], decisions: Sequence[Decision]) -> set[Claimed]:
    """Apply the decisions, and return the claims that were still entitled to them."""
    columns: list[Any] = [
        [claimed.delivery_id for claimed in claims],
        [claimed.lease for claimed in claims],
        [decision.state.value for decision in decisions],
        [decision.due_at for decision in decisions],
    ]
    with connection.cursor() as cursor:
        cursor.execute(MOVE_DELIVERIES, columns)
        moved = set(cursor.fetchall())
    return {claimed for claimed in claims if (claimed.delivery_id, claimed.lease) in moved}


def _complete(results: Sequence[tuple[Claimed, Answer]]) -> None:
    columns: list[Any] = [
        [claimed.attempt_id for claimed, _ in results],
        [answer.status_code for _, answer in results],
        [answer.error for _, answer in results],
        [answer.duration_ms for _, answer in results],
        [answer.response for _, answer in results],
    ]
    with connection.cursor() as cursor:
        cursor.execute(COMPLETE_ATTEMPTS, columns)


def _disable(gone: Sequence[Claimed]) -> None:
    endpoints = {claimed.endpoint_id: claimed.url for claimed in gone if claimed.endpoint_id}
    if not endpoints:
        return
    with connection.cursor() as cursor:
        cursor.execute(DISABLE_ENDPOINTS, [GONE_REASON, list(endpoints), list(endpoints.values())])
    log.warning("webhooks.endpoints_gone", endpoint_ids=sorted(endpoints))
