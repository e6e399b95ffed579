"""What happened to a batch, step by step: bounded, whatever the number of its items and of attempts to tell of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from batches.models import Batch
from webhooks.models import Attempt, Event
from webhooks.trail import host_of, trail_of

# The ends of items are counted in so many intervals of equal length, from the first end to the last.
INTERVALS = 50

# One scan of the batch's items, served by batches_item_index_once.
ENDS = """
    WITH ended AS (
        SELECT finished_at, status, min(finished_at) OVER () AS first, max(finished_at) OVER () AS last
        FROM batches_item WHERE batch_id = %(batch)s AND finished_at IS NOT NULL
    )
    SELECT min(finished_at), max(finished_at),
           count(*) FILTER (WHERE status = 'succeeded'), count(*) FILTER (WHERE status <> 'succeeded')
    FROM ended
    GROUP BY least(%(intervals)s - 1, floor(%(intervals)s * extract(epoch FROM finished_at - first)
                                            / nullif(extract(epoch FROM last - first), 0)))
    ORDER BY 1
"""


@dataclass(frozen=True)
class Step:
    """Something that happened, when, and what belongs to its kind."""

    at: datetime
    kind: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class Timeline:
    """The steps of a batch in order. `left_out` are the attempts of deliveries that came before those among them."""

    batch: Batch
    steps: list[Step]
    left_out: int


def timeline_of(batch: Batch) -> Timeline:
    """Return what happened to a batch until now."""
    trail = trail_of(batch.pk)
    steps = [
        *_begun(batch),
        *_ends(batch),
        *_finalized(batch),
        *(_told(event) for event in trail.events),
        *(_attempted(attempt) for attempt in reversed(trail.attempts)),
        *_acknowledged(trail.taken),
    ]
    # Of the same instant, in the order of above: what comes first there has led to what follows.
    return Timeline(batch, sorted(steps, key=lambda step: step.at), trail.left_out)


def _begun(batch: Batch) -> list[Step]:
    steps = [Step(batch.created_at, "created", {"items": batch.total})]
    if batch.started_at:
        steps.append(Step(batch.started_at, "started", {}))
    if batch.canceled_at:
        steps.append(Step(batch.canceled_at, "canceled", {}))
    return steps


def _ends(batch: Batch) -> list[Step]:
    with connection.cursor() as cursor:
        cursor.execute(ENDS, {"batch": batch.pk, "intervals": INTERVALS})
        return [
            Step(last, "items_ended", {"since": first, "succeeded": succeeded, "failed": failed})
            for first, last, succeeded, failed in cursor.fetchall()
        ]


def _finalized(batch: Batch) -> list[Step]:
    if batch.finished_at is None:
        return []
    outcome = {"state": batch.state, "succeeded": batch.succeeded, "failed": batch.failed}
    return [Step(batch.finished_at, "finalized", outcome)]


def _told(event: Event) -> Step:
    return Step(event.created_at, "event_written", {"event_id": event.pk, "event": event.type})


def _attempted(attempt: Attempt) -> Step:
    said = {
        "trigger": attempt.trigger,
        "status_code": attempt.status_code,
        "ok": attempt.was_taken if attempt.error or attempt.duration_ms is not None else None,
        "duration_ms": attempt.duration_ms,
    }
    return Step(attempt.at, "delivery_attempt", {**_where(attempt), "attempt": attempt.number, **said})


def _acknowledged(taken: Attempt | None) -> list[Step]:
    if taken is None:
        return []
    return [Step(taken.ended_at or taken.at, "acknowledged", {**_where(taken), "status_code": taken.status_code})]


def _where(attempt: Attempt) -> dict[str, Any]:
    """Say which delivery it is of. Its whole address, and what was answered, take the scope webhooks:read."""
    delivery = attempt.delivery
    return {
        "delivery_id": delivery.pk,
        "event_id": delivery.event_id,
        "endpoint_id": delivery.endpoint_id,
        "host": host_of(delivery.url),
    }
