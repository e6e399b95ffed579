"""The queue in SQL: claims with leases, and the moves that end them.

A claim writes a token into `lease` and moves `due_at` past the lease's end, so an expired lease is simply due again.
Who comes back after that finds another token (or none), changes no row, and drops the result. A claimed submit waits
as LOOKUP: if the claimer dies now, the provider may have the job, and looking it up is what is right.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from batches.catalogue import Route, Terms
from batches.execution import gate
from batches.failures import POLICIES, FailureType
from batches.models import Attempt, Stage, Status, new_attempt_id


@dataclass(frozen=True)
class Claimed:
    """An item that is ours until the lease ends, with its latest attempt."""

    item_id: str
    batch_id: str
    lease: uuid.UUID
    model: str
    prompt: str
    seconds: int
    size: str
    deadline_at: datetime
    number: int
    attempt_id: str
    attempt_state: str
    job_id: str | None
    submitted_at: datetime
    ready_at: datetime | None
    attempt_failure: str = ""

    @property
    def claim(self) -> tuple[str, uuid.UUID]:
        """Which claim this is: the same item claimed again is another one, by another lease."""
        return self.item_id, self.lease


@dataclass(frozen=True)
class Move:
    """What becomes of a claimed item: the next stage and when it is due, or its end (`stage` None)."""

    item: Claimed
    status: Status = Status.RUNNING
    stage: Stage | None = None
    due_at: datetime | None = None
    failure_type: str = ""


@dataclass(frozen=True)
class AttemptNews:
    """What was learned of an attempt; None leaves a field as it is."""

    attempt_id: str
    state: Attempt.State
    job_id: str | None = None
    accepted_at: datetime | None = None
    ready_at: datetime | None = None
    ended_at: datetime | None = None
    failure_type: str = ""
    detail: str = ""

    @property
    def retryable(self) -> bool | None:
        """Say whether the item may be submitted again after this failure; None while there is none."""
        return POLICIES[FailureType(self.failure_type)].submits_again if self.failure_type else None


# Fair between organizations: whoever has the fewest items in flight is next. Within one, its batches go by priority,
# then whichever has the fewest in flight. Of many open batches, only those are looked into that may be next.
# Served by batches_batch_open, batches_item_to_submit and batches_item_in_flight: finished items cost nothing.
CLAIM_SUBMITS = """
    WITH flying AS (
        SELECT batch_id, count(*) AS count FROM batches_item
        WHERE route = %(route)s AND stage IN ('lookup', 'poll') GROUP BY batch_id
    ), open AS (
        SELECT b.id, b.organization_id, b.priority, coalesce(f.count, 0) AS in_flight,
               sum(coalesce(f.count, 0)) OVER (PARTITION BY b.organization_id) AS busy
        FROM batches_batch b LEFT JOIN flying f ON f.batch_id = b.id
        WHERE b.state IN ('queued', 'processing') AND b.canceled_at IS NULL
          AND (b.deadline IS NULL OR b.deadline > %(now)s)
    ), ready AS (
        SELECT open.*, dense_rank() OVER (ORDER BY busy, organization_id) AS place,
               row_number() OVER (PARTITION BY organization_id ORDER BY priority DESC, in_flight, id) AS place_within
        FROM open
        WHERE EXISTS (
            SELECT FROM batches_item w
            WHERE w.batch_id = open.id AND w.stage = 'submit' AND w.route = %(route)s AND w.due_at <= %(now)s
              AND w.model <> ALL(%(retired)s) AND (w.deadline_at IS NULL OR w.deadline_at > %(now)s))
    ), waiting AS (
        SELECT i.id, ready.organization_id, ready.id AS batch_id, ready.busy, ready.priority,
               ready.in_flight + row_number() OVER (PARTITION BY ready.id ORDER BY i.index) AS turn_in_batch
        FROM ready CROSS JOIN LATERAL (
            SELECT w.id, w.index FROM batches_item w
            WHERE w.batch_id = ready.id AND w.stage = 'submit' AND w.route = %(route)s AND w.due_at <= %(now)s
              AND w.model <> ALL(%(retired)s) AND (w.deadline_at IS NULL OR w.deadline_at > %(now)s)
            ORDER BY w.index LIMIT %(count)s
        ) i
        WHERE ready.place <= %(count)s AND ready.place_within <= %(count)s
    ), ranked AS (
        SELECT id, busy + row_number() OVER (
                   PARTITION BY organization_id ORDER BY priority DESC, turn_in_batch, batch_id) AS turn
        FROM waiting ORDER BY turn, id LIMIT %(count)s
    ), ours AS (
        -- Asked again of the locked row: it may have gone to another route since it was read.
        SELECT i.id FROM batches_item i
        WHERE i.id IN (SELECT id FROM ranked) AND i.stage = 'submit' AND i.route = %(route)s
        FOR UPDATE SKIP LOCKED
    )
    UPDATE batches_item i
    SET status = 'running', stage = 'lookup', lease = %(lease)s, due_at = %(lease_ends)s,
        attempts_made = i.attempts_made + 1, started_at = coalesce(i.started_at, %(now)s),
        deadline_at = coalesce(i.deadline_at, %(now)s + make_interval(secs => coalesce(
            (SELECT t.seconds FROM unnest(%(models)s::text[], %(deadlines)s::float8[]) AS t (model, seconds)
             WHERE t.model = i.model), %(deadline)s)))
    FROM ours WHERE i.id = ours.id
    RETURNING i.id, i.batch_id, i.lease, i.model, i.prompt, i.seconds, i.size, i.deadline_at, i.attempts_made
"""

INSERT_ATTEMPTS = """
    INSERT INTO batches_attempt (id, item_id, number, model, route, state, submitted_at, failure_type, detail)
    SELECT v.id, v.item_id, v.number, v.model, %s, 'sending', %s, '', ''
    FROM unnest(%s::text[], %s::text[], %s::int[], %s::text[]) AS v (id, item_id, number, model)
"""

# Served by batches_item_due, and for the attempt by batches_attempt_number_once.
CLAIM_DUE = """
    WITH ours AS (
        SELECT id FROM batches_item
        WHERE route = %(route)s AND stage = %(stage)s AND due_at <= %(now)s
        ORDER BY due_at LIMIT %(count)s FOR UPDATE SKIP LOCKED
    )
    UPDATE batches_item i SET lease = %(lease)s, due_at = %(lease_ends)s
    FROM ours, batches_attempt a
    WHERE i.id = ours.id AND a.item_id = i.id AND a.number = i.attempts_made
    RETURNING {claimed}
"""
CLAIMED = """
    i.id, i.batch_id, i.lease, coalesce(nullif(a.model, ''), i.model), i.prompt, i.seconds, i.size, i.deadline_at,
    i.attempts_made, a.id, a.state, a.provider_job_id, a.submitted_at, a.ready_at, a.failure_type
"""

# Fair between organizations, and within one between its batches: a large batch that comes in faster than its videos are
# fetched keeps nobody waiting. Looks at the oldest due, which a route's limit in flight keeps few.
CLAIM_TO_COLLECT = """
    WITH due AS (
        SELECT id, batch_id, due_at FROM batches_item
        WHERE route = %(route)s AND stage = 'collect' AND due_at <= %(now)s ORDER BY due_at LIMIT 5000
    ), of_batches AS (
        SELECT id, batch_id, due_at, row_number() OVER (PARTITION BY batch_id ORDER BY due_at, id) AS place FROM due
    ), ranked AS (
        SELECT d.id, d.due_at,
               row_number() OVER (PARTITION BY b.organization_id ORDER BY d.place, d.due_at, d.id) AS turn
        FROM of_batches d JOIN batches_batch b ON b.id = d.batch_id
        ORDER BY turn, due_at, id LIMIT %(count)s
    ), ours AS (
        SELECT id FROM batches_item
        WHERE id IN (SELECT id FROM ranked) AND stage = 'collect' AND due_at <= %(now)s FOR UPDATE SKIP LOCKED
    )
    UPDATE batches_item i SET lease = %(lease)s, due_at = %(lease_ends)s
    FROM ours, batches_attempt a
    WHERE i.id = ours.id AND a.item_id = i.id AND a.number = i.attempts_made
    RETURNING {claimed}
"""

RENEW_LEASES = """
    UPDATE batches_item i SET due_at = %s
    FROM unnest(%s::text[], %s::uuid[]) AS held (id, lease)
    WHERE i.id = held.id AND i.lease = held.lease
"""

# Only the holder of the lease decides, and only while the item is open: the first terminal outcome wins.
MOVE_ITEMS = """
    UPDATE batches_item i
    SET status = m.status, stage = m.stage, due_at = m.due_at, failure_type = m.failure_type, lease = NULL,
        finished_at = CASE WHEN m.stage IS NULL THEN %(now)s::timestamptz END
    FROM unnest(%(ids)s::text[], %(leases)s::uuid[], %(statuses)s::text[], %(stages)s::text[],
                %(dues)s::timestamptz[], %(failures)s::text[]) AS m (id, lease, status, stage, due_at, failure_type)
    WHERE i.id = m.id AND i.lease = m.lease AND i.status = 'running'
    RETURNING m.id, m.lease
"""

# By attempt id, whoever holds the item by now: a lost lease must not lose the id of a paid job. The first job of an
# attempt stays its job, an ended attempt stays ended, and a job that look-up gave to an equal attempt stays there.
UPDATE_ATTEMPTS = """
    UPDATE batches_attempt a
    SET provider_job_id = coalesce(a.provider_job_id, n.job_id),
        accepted_at = coalesce(a.accepted_at, n.accepted_at),
        ready_at = coalesce(a.ready_at, n.ready_at),
        ended_at = coalesce(a.ended_at, n.ended_at),
        state = CASE WHEN a.ended_at IS NULL THEN n.state ELSE a.state END,
        failure_type = CASE WHEN a.ended_at IS NULL THEN n.failure_type ELSE a.failure_type END,
        retryable = CASE WHEN a.ended_at IS NULL THEN n.retryable ELSE a.retryable END,
        detail = CASE WHEN a.ended_at IS NULL THEN n.detail ELSE a.detail END
    FROM (
        SELECT *, row_number() OVER (PARTITION BY job_id ORDER BY id) AS turn
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[],
                    %s::text[], %s::text[], %s::bool[])
             AS u (id, state, job_id, accepted_at, ready_at, ended_at, failure_type, detail, retryable)
    ) n
    WHERE a.id = n.id AND (n.job_id IS NULL OR n.turn = 1)
      AND (n.job_id IS NULL OR NOT EXISTS (
          SELECT FROM batches_attempt o WHERE o.route = a.route AND o.provider_job_id = n.job_id AND o.id <> a.id))
      -- A worker that comes back late with "not accepted" does not undo a job that look-up has found.
      AND NOT (a.provider_job_id IS NOT NULL AND n.state IN ('not_accepted', 'ambiguous', 'lost'))
    RETURNING a.id
"""


def claim_submits(
    *, route: Route, terms: Mapping[str, Terms], retired: Sequence[str], count: int, now: datetime
) -> list[Claimed]:
    """Claim up to `count` items to submit, as many as the route has room for, and write their attempts.

    One claimer at a time per route (an advisory lock for the length of this short transaction) makes its limits
    exact; who does not get it claims nothing. `retired` are models that nothing is submitted for any more.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('batches.submit'), hashtext(%s))", [route.name])
        free = min(count, gate.room(route, now=now)) if _scalar(cursor) else 0
        if free <= 0:
            return []
        cursor.execute(CLAIM_SUBMITS, _claim_values(route, terms, retired, free, now))
        claimed = [_claimed_to_submit(row, terms, now) for row in cursor.fetchall()]
        if claimed:
            attempts = [(c.attempt_id, c.item_id, c.number, c.model) for c in claimed]
            cursor.execute(INSERT_ATTEMPTS, [route.name, now, *map(list, zip(*attempts, strict=True))])
            gate.postpone_probe(route, now=now)
        return claimed


def _claim_values(
    route: Route, terms: Mapping[str, Terms], retired: Sequence[str], count: int, now: datetime
) -> dict[str, Any]:
    return {
        "route": route.name,
        "count": count,
        "now": now,
        "retired": list(retired),
        "lease": uuid.uuid4(),
        "lease_ends": now + timedelta(seconds=settings.SUBMIT_TIMEOUT_SECONDS + settings.LOOKUP_GRACE_SECONDS),
        "models": list(terms),
        "deadlines": [of_model.deadline_seconds for of_model in terms.values()],
        "deadline": route.deadline_seconds,
    }


def _claimed_to_submit(row: Sequence[Any], terms: Mapping[str, Terms], now: datetime) -> Claimed:
    """The item as it goes to the provider: by the provider's name of the model."""
    item = Claimed(*(*row, new_attempt_id(), Attempt.State.SENDING.value, None, now, None))
    return replace(item, model=terms[item.model].provider_model) if item.model in terms else item


def claim_due(
    *, route: str, stage: Stage, count: int, lease_seconds: float, now: datetime, ahead_seconds: float = 0.0
) -> list[Claimed]:
    """Claim up to `count` items that are due for `stage` within `ahead_seconds`, each with its latest attempt."""
    values: dict[str, Any] = {
        "route": route,
        "stage": stage.value,
        "count": count,
        "now": now + timedelta(seconds=ahead_seconds),
        "lease": uuid.uuid4(),
        "lease_ends": now + timedelta(seconds=lease_seconds),
    }
    statement = CLAIM_TO_COLLECT if stage == Stage.COLLECT else CLAIM_DUE
    with connection.cursor() as cursor:
        cursor.execute(statement.format(claimed=CLAIMED), values)
        return [Claimed(*row) for row in cursor.fetchall()]


def renew(*, items: Sequence[Claimed], lease_seconds: float, now: datetime) -> None:
    """Push the end of leases that still hold."""
    values: list[Any] = [
        now + timedelta(seconds=lease_seconds),
        [item.item_id for item in items],
        [item.lease for item in items],
    ]
    with connection.cursor() as cursor:
        cursor.execute(RENEW_LEASES, values)


def count_at(*, route: str, stage: Stage) -> int:
    """Return how many items stand at `stage`, due or not."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM batches_item WHERE route = %s AND stage = %s", [route, stage.value])
        count: int = _scalar(cursor)
        return count


def next_due(*, route: str, stage: Stage) -> datetime | None:
    """Return when the next item is due for `stage`, or None."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(due_at) FROM batches_item WHERE route = %s AND stage = %s", [route, stage.value])
        at: datetime | None = _scalar(cursor)
        return at


def move(*, moves: Sequence[Move], now: datetime) -> set[tuple[str, uuid.UUID]]:
    """Apply the moves whose lease still holds, in one statement; return the claims whose items moved.

    Not the items: a worker that claimed one again after its own lease ended may bring both results at once.
    """
    if not moves:
        return set()
    ordered = sorted(moves, key=lambda m: m.item.item_id)
    values: dict[str, Any] = {
        "now": now,
        "ids": [m.item.item_id for m in ordered],
        "leases": [m.item.lease for m in ordered],
        "statuses": [m.status.value for m in ordered],
        "stages": [m.stage.value if m.stage else None for m in ordered],
        "dues": [m.due_at for m in ordered],
        "failures": [m.failure_type for m in ordered],
    }
    with connection.cursor() as cursor:
        cursor.execute(MOVE_ITEMS, values)
        return set(cursor.fetchall())


def tell_attempts(news: Sequence[AttemptNews]) -> set[str]:
    """Record what was learned of attempts, in one statement; return the ids of those that took it.

    An attempt is missing there when its job belongs to another attempt already.
    """
    if not news:
        return set()
    ordered = sorted(news, key=lambda n: n.attempt_id)
    columns: list[Any] = [
        [n.attempt_id for n in ordered],
        [n.state.value for n in ordered],
        [n.job_id for n in ordered],
        [n.accepted_at for n in ordered],
        [n.ready_at for n in ordered],
        [n.ended_at for n in ordered],
        [n.failure_type for n in ordered],
        [n.detail[:500] for n in ordered],
        [n.retryable for n in ordered],
    ]
    with connection.cursor() as cursor:
        cursor.execute(UPDATE_ATTEMPTS, columns)
        return {row[0] for row in cursor.fetchall()}


def _scalar(cursor: Any) -> Any:
    row = cursor.fetchone()
    return row[0] if row else None
