"""The timeline of a batch as the outside world sees it, and in OpenAPI."""

from datetime import datetime
from typing import Any

from batches.models import State
from batches.operations import BATCH, POLLING
from batches.schemas import EXAMPLE_ID, FINAL
from batches.timeline import INTERVALS, Timeline
from sora2.operations import (
    FLAG,
    INSTANT,
    NUMBER,
    URL,
    Answer,
    Operation,
    Schema,
    choice,
    identifier,
    list_of,
    nullable,
    record,
    ref,
    said,
)
from sora2.times import timestamp
from webhooks.models import Trigger
from webhooks.trail import ATTEMPTS_MAX, OF_THE_WHOLE


def timeline_json(timeline: Timeline) -> dict[str, Any]:
    """Return a timeline: each step with `at`, `kind`, and the fields of its kind."""
    return {
        "ok": True,
        "batch_id": timeline.batch.pk,
        "state": timeline.batch.state,
        "steps": [
            {"at": timestamp(step.at), "kind": step.kind, **{name: _value(of) for name, of in step.fields.items()}}
            for step in timeline.steps
        ],
        "left_out": {"delivery_attempts": timeline.left_out},
    }


def _value(value: Any) -> Any:
    return timestamp(value) if isinstance(value, datetime) else value


def _step(kind: str, description: str, **fields: Schema) -> Schema:
    return record(description, {"at": INSTANT, "kind": {"const": kind}, **fields})


_WHERE: dict[str, Schema] = {
    "delivery_id": identifier("dlv"),
    "event_id": identifier("evt"),
    "endpoint_id": said(nullable(identifier("whe")), "null: the batch's own `webhook_url`."),
    "host": said(URL, "Scheme and host of the address; the whole of it takes `webhooks:read`."),
}
STEPS = (
    _step("created", "The batch was accepted, and its cost frozen.", items=NUMBER),
    _step("started", "Its first item was submitted."),
    _step("canceled", "It was canceled; what was submitted ran on."),
    _step(
        "items_ended",
        "So many items ended from `since` to `at`.",
        since=INSTANT,
        succeeded=NUMBER,
        failed=NUMBER,
    ),
    _step(
        "finalized",
        "Its credits were settled and refunded.",
        state=choice(FINAL),
        succeeded=NUMBER,
        failed=NUMBER,
    ),
    _step("event_written", "An event was written.", event_id=identifier("evt"), event=choice(OF_THE_WHOLE)),
    _step(
        "delivery_attempt",
        "An event was sent. `ok` says whether it was taken, null while the answer is awaited.",
        **_WHERE,
        attempt=said(NUMBER, "Which one of the delivery."),
        trigger=choice(Trigger.values),
        status_code=nullable(NUMBER),
        ok=nullable(FLAG),
        duration_ms=nullable(NUMBER),
    ),
    _step("acknowledged", "`batch.completed` was taken for the first time.", **_WHERE, status_code=NUMBER),
)

COMPONENTS: dict[str, Schema] = {
    "TimelineStep": {"oneOf": list(STEPS)},
    "Timeline": record(
        "What happened to a batch until now, in order.",
        ok={"const": True},
        batch_id=identifier("bat"),
        state=choice(State.values),
        steps=list_of(ref("TimelineStep")),
        left_out=record(
            delivery_attempts=said(NUMBER, f"How many attempts came before the latest {ATTEMPTS_MAX}, which are shown.")
        ),
    ),
}

_SENT = {
    "delivery_id": f"dlv_{EXAMPLE_ID}",
    "event_id": f"evt_{EXAMPLE_ID}",
    "endpoint_id": f"whe_{EXAMPLE_ID}",
    "host": "https://example.com",
}
EXAMPLE: dict[str, Any] = {
    "ok": True,
    "batch_id": f"bat_{EXAMPLE_ID}",
    "state": "partial",
    "steps": [
        {"at": "2026-01-24T10:00:00.000000Z", "kind": "created", "items": 10},
        {"at": "2026-01-24T10:00:01.000000Z", "kind": "started"},
        {
            "at": "2026-01-24T10:04:39.000000Z",
            "kind": "items_ended",
            "since": "2026-01-24T10:04:38.000000Z",
            "succeeded": 9,
            "failed": 1,
        },
        {
            "at": "2026-01-24T10:04:40.000000Z",
            "kind": "finalized",
            "state": "partial",
            "succeeded": 9,
            "failed": 1,
        },
        {
            "at": "2026-01-24T10:04:40.100000Z",
            "kind": "event_written",
            "event_id": f"evt_{EXAMPLE_ID}",
            "event": "batch.completed",
        },
        {
            "at": "2026-01-24T10:04:41.000000Z",
            "kind": "delivery_attempt",
            **_SENT,
            "attempt": 1,
            "trigger": "auto",
            "status_code": 200,
            "ok": True,
            "duration_ms": 120,
        },
        {"at": "2026-01-24T10:04:41.120000Z", "kind": "acknowledged", **_SENT, "status_code": 200},
    ],
    "left_out": {"delivery_attempts": 0},
}

SHOW_TIMELINE = Operation(
    name="showTimeline",
    tag="Batches",
    summary="Show what happened to a batch, in order",
    scope="batches:read",
    parameters=[BATCH],
    answers={
        200: Answer(
            f"The steps until now. The ends of items are counted in up to {INTERVALS} intervals of equal length. What "
            "tells of single items is left out: `GET /webhook-deliveries?batch_id=` lists it.",
            ref("Timeline"),
            headers={"Retry-After": POLLING},
            example=EXAMPLE,
        )
    },
    errors=["not_found"],
)
