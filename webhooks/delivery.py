"""Delivering: claim what is due, sign, post, record the attempt, decide what is next.

Deliveries wait in lanes: one for each endpoint, and one for each address of a batch's own. A lane has a few
deliveries in flight at most, and whose organization has the fewest goes first. What failed before goes one at a time,
and all such together take a part of the places only: so slow and dead receivers fill their own lanes, and no other.
After an answer that asks for patience the whole endpoint is paused.

A claim writes a token into `lease` and moves `due_at` past the lease's end: if the worker dies the delivery is simply
due again, under the same event id. Who comes back after that completes the row of the attempt, for it happened, but
no longer decides what becomes of the delivery.
"""

import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import structlog
from django.db import connection, transaction
from django.utils import timezone

from sora2 import bell
from sora2.crypto import UnreadableSecret, decrypt
from sora2.drain import drain
from webhooks import guarded
from webhooks.guarded import Answer
from webhooks.models import Delivery, EventType
from webhooks.services import DISABLED
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

# Posts in flight at once, over all workers: of one lane, of one organization, and of all that failed before. What a
# lane has beyond its first two comes out of a part that all share: many receivers that begin to hang at once, each with
# much that waits for it, do not fill every place.
IN_FLIGHT_PER_LANE = 32
IN_FLIGHT_ALWAYS = 2
IN_FLIGHT_BEYOND = 128
IN_FLIGHT_PER_ORGANIZATION = 64
IN_FLIGHT_OF_SUSPECTS = 32
# In one worker process.
WIDTH = 256
# So much is claimed at once, and where there is more another process is called.
CLAIMED_AT_ONCE = 64
RUN_SECONDS = 120.0
# A call ends at its deadline; the rest is for recording what came of it, on a machine that is busy.
LEASE_SECONDS = guarded.DEADLINE_SECONDS + 15
SKIP_AT_ONCE = 1000

NO_SECRET = "no_secret"  # noqa: S105 - the name of an error.
GONE = 410
GONE_REASON = "the receiver answered 410 Gone"

# The receiver, or what stands before it, is overloaded or away: the endpoint is paused, twice as long each time.
PAUSING = frozenset({429, 502, 503, 504})
PAUSE_FIRST_SECONDS, PAUSE_MOST_SECONDS = 5, 300


@dataclass(frozen=True)
class Claimed:
    """A delivery that is ours until the lease ends, with all that posting it takes.

    `attempts` counts those since the delivery was published or last redelivered, this one included.
    """

    attempt_id: int
    delivery_id: str
    lease: uuid.UUID
    event_type: str
    trigger: str
    attempts: int
    endpoint_id: str | None
    url: str
    secrets_encrypted: list[str]
    event_id: str
    body: str
    at: datetime

    @property
    def is_test(self) -> bool:
        """Say whether this is a test event: it is sent once, and judges nobody."""
        return self.event_type == EventType.WEBHOOK_TEST

    @cached_property
    def signed(self) -> dict[str, str]:
        """Return the headers that sign this attempt; made once, sent and put on record. Raises UnreadableSecret."""
        secrets = [decrypt(secret) for secret in self.secrets_encrypted or [""]]
        return signature_headers(event_id=self.event_id, body=self.body, secrets=secrets, at=self.at)

    @property
    def signature(self) -> str:
        """Return how this attempt was signed; nothing when its secret cannot be read, and so nothing was sent."""
        try:
            return self.signed["webhook-signature"]
        except UnreadableSecret:
            return ""


@dataclass(frozen=True)
class Decision:
    """What becomes of a delivery after an attempt; `due_at` is when the next one is, if any."""

    state: Delivery.State
    due_at: datetime | None = None


# Deliveries of endpoints that were disabled after they were published. Served by webhooks_delivery_lane_due.
SKIP_DISABLED = """
    WITH ours AS (
        SELECT waiting.id, coalesce(nullif(p.disabled_reason, ''), %(disabled)s) AS reason
        FROM webhooks_endpoint p CROSS JOIN LATERAL (
            SELECT d.id FROM webhooks_delivery d
            WHERE d.lane = p.id AND d.state = 'pending' AND (d.lease IS NULL OR d.due_at <= %(now)s)
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

# One statement: find, lease, and write the attempts. `lanes` hops from lane to lane in webhooks_delivery_lane_due, so
# that a claim costs by the number of receivers that something waits for, and not by how much waits for one of them.
# A batch's own address has no health: there, what failed before is suspect.
# A lost last attempt ends the delivery: a message that kills workers must not do so for ever.
CLAIM = """
    WITH RECURSIVE lanes AS (
        (SELECT d.lane, d.organization_id FROM webhooks_delivery d
         WHERE d.state = 'pending' ORDER BY d.lane LIMIT 1)
        UNION ALL
        SELECT next.lane, next.organization_id FROM lanes CROSS JOIN LATERAL (
            SELECT d.lane, d.organization_id FROM webhooks_delivery d
            WHERE d.state = 'pending' AND d.lane > lanes.lane ORDER BY d.lane LIMIT 1
        ) next
    ), in_flight AS MATERIALIZED (
        SELECT d.lane, d.organization_id,
               CASE WHEN d.endpoint_id IS NULL THEN d.attempts_made - d.attempts_before > 1
                    ELSE p.failing_since IS NOT NULL END AS is_suspect
        FROM webhooks_delivery d LEFT JOIN webhooks_endpoint p ON p.id = d.endpoint_id
        WHERE d.lease IS NOT NULL AND d.state = 'pending' AND d.due_at > %(now)s
    ), open_lanes AS (
        SELECT lanes.lane, lanes.organization_id, p.failing_since IS NOT NULL AS is_failing,
               (SELECT count(*) FROM in_flight f WHERE f.lane = lanes.lane) AS busy
        FROM lanes LEFT JOIN webhooks_endpoint p ON p.id = lanes.lane
        WHERE p.id IS NULL OR (p.enabled AND (p.paused_until IS NULL OR p.paused_until <= %(now)s))
    ), waiting AS (
        SELECT due.id, due.due_at, l.organization_id, l.is_failing OR due.failed_before AS is_suspect,
               l.busy + row_number() OVER (PARTITION BY l.lane ORDER BY due.due_at) AS turn
        FROM open_lanes l
        CROSS JOIN LATERAL (
            SELECT d.id, d.due_at, d.endpoint_id IS NULL AND d.attempts_made > d.attempts_before AS failed_before
            FROM webhooks_delivery d
            WHERE d.lane = l.lane AND d.state = 'pending' AND d.due_at <= %(now)s
            ORDER BY d.due_at
            LIMIT greatest(CASE WHEN l.is_failing THEN 1 ELSE %(per_lane)s END - l.busy, 0)
        ) due
    ), beyond AS MATERIALIZED (
        SELECT coalesce(sum(greatest(of_lane.count - %(always)s, 0)), 0) AS count
        FROM (SELECT count(*) FROM in_flight GROUP BY lane) of_lane
    ), in_turn AS (
        SELECT w.id, w.due_at,
               CASE WHEN w.turn > %(always)s THEN
                   (SELECT count FROM beyond)
                   + row_number() OVER (PARTITION BY w.turn > %(always)s ORDER BY w.turn, w.due_at) ELSE 0 END
                   AS of_beyond,
               (SELECT count(*) FROM in_flight f WHERE f.organization_id = w.organization_id)
                   + row_number() OVER (PARTITION BY w.organization_id ORDER BY w.turn, w.due_at) AS of_organization,
               CASE WHEN w.is_suspect THEN
                   (SELECT count(*) FROM in_flight f WHERE f.is_suspect)
                   + row_number() OVER (PARTITION BY w.is_suspect ORDER BY w.turn, w.due_at) ELSE 0 END AS of_suspects
        FROM waiting w
    ), ours AS (
        SELECT d.id, d.next_trigger,
               d.attempts_made - d.attempts_before
                   >= CASE WHEN d.next_trigger = 'test' THEN 1 ELSE %(max_attempts)s END AS is_spent
        FROM webhooks_delivery d
        WHERE d.id IN (
            SELECT t.id FROM in_turn t
            WHERE t.of_organization <= %(per_organization)s AND t.of_suspects <= %(suspects)s
              AND t.of_beyond <= %(beyond)s
            ORDER BY t.of_organization, t.due_at LIMIT %(count)s)
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
        SET lease = %(lease)s, due_at = %(lease_ends)s, attempts_made = d.attempts_made + 1,
            next_trigger = CASE WHEN d.next_trigger = 'test' THEN 'test' ELSE 'auto' END,
            url = coalesce((SELECT p.url FROM webhooks_endpoint p WHERE p.id = d.endpoint_id), d.url)
        FROM ours WHERE d.id = ours.id AND NOT ours.is_spent
        RETURNING d.id, d.event_id, d.organization_id, d.endpoint_id, d.url, d.lease, d.attempts_made,
                  d.attempts_before, ours.next_trigger AS trigger
    ), written AS (
        INSERT INTO webhooks_attempt (delivery_id, endpoint_id, number, at, trigger, error, response)
        SELECT id, endpoint_id, attempts_made, %(now)s, trigger, '', '' FROM claimed
        RETURNING id, delivery_id, at
    )
    SELECT written.id, c.id, c.lease, e.type, c.trigger, c.attempts_made - c.attempts_before, c.endpoint_id, c.url,
           array_remove(ARRAY[
               p.secret_encrypted,
               CASE WHEN p.previous_secret_until > %(now)s THEN p.previous_secret_encrypted END,
               s.secret_encrypted,
               CASE WHEN s.previous_secret_until > %(now)s THEN s.previous_secret_encrypted END], NULL),
           e.id, e.body, written.at
    FROM claimed c
    JOIN written ON written.delivery_id = c.id
    JOIN webhooks_event e ON e.id = c.event_id
    LEFT JOIN webhooks_endpoint p ON p.id = c.endpoint_id
    LEFT JOIN webhooks_defaultsecret s ON c.endpoint_id IS NULL AND s.organization_id = c.organization_id
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
    SET status_code = n.status_code, error = n.error, duration_ms = n.duration_ms, response = n.response,
        signature = n.signature
    FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::int[], %s::text[], %s::text[])
         AS n (id, status_code, error, duration_ms, response, signature)
    WHERE a.id = n.id AND a.duration_ms IS NULL
"""

# What an endpoint's attempts say of it, in the order in which they ended. Not if its address was changed meanwhile: the
# new one has said nothing. What goes on working is not written. In the order of ids, against deadlocks.
LEARN = """
    UPDATE webhooks_endpoint p
    SET failing_since = CASE WHEN n.failures = 0 THEN NULL
                             WHEN n.worked THEN n.at ELSE coalesce(p.failing_since, n.at) END,
        consecutive_failures = CASE WHEN n.worked THEN 0 ELSE p.consecutive_failures END + n.failures,
        paused_until = CASE
            WHEN n.failures = 0 THEN NULL
            WHEN n.is_pausing THEN %(now)s + make_interval(secs => greatest(
                n.retry_after,
                n.chance * least(%(most)s, %(first)s * 2 ^ least(
                    CASE WHEN n.worked THEN 0 ELSE p.consecutive_failures END + n.failures - 1, 20))))
            ELSE p.paused_until END,
        enabled = p.enabled AND NOT n.is_gone,
        disabled_reason = CASE WHEN p.enabled AND n.is_gone THEN %(gone)s ELSE p.disabled_reason END
    FROM unnest(%(ids)s::text[], %(urls)s::text[], %(worked)s::bool[], %(failures)s::int[], %(ats)s::timestamptz[],
                %(pausing)s::bool[], %(retry_afters)s::float[], %(chances)s::float[], %(goners)s::bool[])
         AS n (id, url, worked, failures, at, is_pausing, retry_after, chance, is_gone)
    WHERE p.id = n.id AND p.id IN (
        SELECT q.id FROM webhooks_endpoint q JOIN unnest(%(ids)s::text[], %(urls)s::text[], %(failures)s::int[])
            AS m (id, url, failures) ON q.id = m.id AND q.url = m.url
        WHERE m.failures > 0 OR q.failing_since IS NOT NULL OR q.paused_until IS NOT NULL
        ORDER BY q.id FOR NO KEY UPDATE OF q)
"""


def deliver_due(last_claim: Callable[[], None] | None = None, is_wanted: Callable[[], bool] | None = None) -> int:
    """Deliver what is due, for a while; return how many attempts were begun. The arguments are those of a drain."""
    skip_disabled(now=timezone.now())
    return drain(
        claim=_claim_and_call,
        act=lambda claimed: (claimed, post(claimed)),
        record=lambda results: record(results, now=timezone.now()),
        width=WIDTH,
        seconds=RUN_SECONDS,
        last_claim=last_claim,
        is_wanted=is_wanted,
    )


def _claim_and_call(count: int) -> list[Claimed]:
    """Claim, not everything at once; where there may be more, another process may help."""
    claimed = claim(count=min(count, CLAIMED_AT_ONCE), now=timezone.now())
    if len(claimed) == CLAIMED_AT_ONCE:
        bell.ring("webhooks.deliver")
    return claimed


def skip_disabled(*, now: datetime) -> int:
    """Skip what is due to endpoints that are disabled, with their reason; return how many. They can be redelivered."""
    with connection.cursor() as cursor:
        cursor.execute(SKIP_DISABLED, {"now": now, "count": SKIP_AT_ONCE, "disabled": DISABLED})
        skipped: int = cursor.rowcount
        return skipped


def claim(*, count: int, now: datetime) -> list[Claimed]:
    """Claim up to `count` due deliveries, fairly between organizations and lanes, and write their attempts.

    One claimer at a time, for the length of this short transaction: so the limit of a lane is exact, and who waited
    sees what the other has left.
    """
    values: dict[str, Any] = {
        "now": now,
        "count": count,
        "per_lane": IN_FLIGHT_PER_LANE,
        "per_organization": IN_FLIGHT_PER_ORGANIZATION,
        "suspects": IN_FLIGHT_OF_SUSPECTS,
        "always": IN_FLIGHT_ALWAYS,
        "beyond": IN_FLIGHT_BEYOND,
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
        signed = claimed.signed
    except UnreadableSecret:
        # Retried like any failure: the operator has the schedule's three days to put the secret or its key back.
        log.error("webhooks.no_secret", delivery_id=claimed.delivery_id, endpoint_id=claimed.endpoint_id)
        return Answer(error=NO_SECRET)
    return guarded.post(claimed.url, body=claimed.body.encode(), headers=signed)


def decide(*, answer: Answer, attempts: int, now: datetime, chance: float, once: bool = False) -> Decision:
    """Return what follows from the answer to the `attempts`-th attempt. `chance` is a random number from 0 to 1.

    Everything but 2xx and 410 is retried, `forbidden_target` and `dns` too: names can be pointed elsewhere. What is
    sent `once` only is not.
    """
    if answer.ok:
        return Decision(Delivery.State.DELIVERED)
    if once or answer.status_code == GONE or attempts >= MAX_ATTEMPTS:
        return Decision(Delivery.State.EXHAUSTED)
    wait_seconds = RETRY_SCHEDULE_SECONDS[attempts - 1] * (1 + JITTER * (2 * chance - 1))
    asked_seconds = min(answer.retry_after_seconds or 0, RETRY_AFTER_MAX_SECONDS)
    return Decision(Delivery.State.PENDING, now + timedelta(seconds=max(wait_seconds, asked_seconds)))


def record(results: Sequence[tuple[Claimed, Answer]], *, now: datetime) -> None:
    """Record what came of the attempts, and what follows for the deliveries whose lease still holds."""
    decisions = [
        decide(
            answer=answer,
            attempts=claimed.attempts,
            now=now,
            chance=random.random(),  # noqa: S311 - only jitter.
            once=claimed.is_test,
        )
        for claimed, answer in results
    ]
    # Deliveries before attempts, as in a claim: two workers that meet at an expired lease must not deadlock.
    with transaction.atomic():
        decisive = _move([claimed for claimed, _ in results], decisions)
        _complete(results)
        _learn([(claimed, answer) for claimed, answer in results if claimed.attempt_id in decisive], now)
    for (claimed, _), decision in zip(results, decisions, strict=True):
        if decision.state == Delivery.State.EXHAUSTED and claimed.attempt_id in decisive:
            log.warning("webhooks.exhausted", delivery_id=claimed.delivery_id)


def _move(claims: Sequence[Claimed], decisions: Sequence[Decision]) -> set[int]:
    """Apply the decisions; return the ids of the attempts whose claims were still entitled to them."""
    columns: list[Any] = [
        [claimed.delivery_id for claimed in claims],
        [claimed.lease for claimed in claims],
        [decision.state.value for decision in decisions],
        [decision.due_at for decision in decisions],
    ]
    with connection.cursor() as cursor:
        cursor.execute(MOVE_DELIVERIES, columns)
        moved = set(cursor.fetchall())
    return {claimed.attempt_id for claimed in claims if (claimed.delivery_id, claimed.lease) in moved}


def _complete(results: Sequence[tuple[Claimed, Answer]]) -> None:
    columns: list[Any] = [
        [claimed.attempt_id for claimed, _ in results],
        [answer.status_code for _, answer in results],
        [answer.error for _, answer in results],
        [answer.duration_ms for _, answer in results],
        [answer.response for _, answer in results],
        [claimed.signature for claimed, _ in results],
    ]
    with connection.cursor() as cursor:
        cursor.execute(COMPLETE_ATTEMPTS, columns)


@dataclass
class _Word:
    """What some attempts to one endpoint say of it together."""

    url: str
    at: datetime
    worked: bool = False
    failures: int = 0
    is_pausing: bool = False
    retry_after_seconds: float = 0.0
    is_gone: bool = False

    def hear(self, claimed: Claimed, answer: Answer) -> None:
        """Take in what came of one more attempt."""
        if answer.ok:
            self.worked, self.failures, self.is_pausing = True, 0, False
            return
        if self.failures == 0:
            self.at = claimed.at
        self.failures += 1
        self.is_gone = self.is_gone or answer.status_code == GONE
        if answer.status_code in PAUSING:
            self.is_pausing = True
            asked = min(answer.retry_after_seconds or 0.0, RETRY_AFTER_MAX_SECONDS)
            self.retry_after_seconds = max(self.retry_after_seconds, asked)


def _learn(results: Sequence[tuple[Claimed, Answer]], now: datetime) -> None:
    """Note on the endpoints whether they work. A test that fails, and a secret that we lost, say nothing of them."""
    words: dict[str, _Word] = {}
    for claimed, answer in results:
        if claimed.endpoint_id is None or answer.error == NO_SECRET or (claimed.is_test and not answer.ok):
            continue
        words.setdefault(claimed.endpoint_id, _Word(claimed.url, claimed.at)).hear(claimed, answer)
    if not words:
        return
    said = list(words.values())
    values: dict[str, Any] = {
        "now": now,
        "first": PAUSE_FIRST_SECONDS,
        "most": PAUSE_MOST_SECONDS,
        "gone": GONE_REASON,
        "ids": list(words),
        "urls": [word.url for word in said],
        "worked": [word.worked for word in said],
        "failures": [word.failures for word in said],
        "ats": [word.at for word in said],
        "pausing": [word.is_pausing for word in said],
        "retry_afters": [word.retry_after_seconds for word in said],
        "chances": [random.uniform(1 - JITTER, 1 + JITTER) for _ in said],  # noqa: S311 - only jitter.
        "goners": [word.is_gone for word in said],
    }
    with connection.cursor() as cursor:
        cursor.execute(LEARN, values)
    gone = sorted(endpoint_id for endpoint_id, word in words.items() if word.is_gone)
    if gone:
        log.warning("webhooks.endpoints_gone", endpoint_ids=gone)
