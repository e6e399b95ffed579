"""The pilot in OpenAPI."""

from typing import Any

from batches.models import Side
from batches.schemas import EXAMPLE_BATCH, EXAMPLE_ID, FINAL, TOTALS
from pilots.boundary import BOUNDARY
from pilots.criteria import CRITERIA, STEPS, Status
from pilots.models import PilotFailure
from sora2.operations import (
    FLAG,
    INSTANT,
    NUMBER,
    SHA256,
    TEXT,
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


def _criterion(number: int, description: str, **evidence: Schema) -> Schema:
    return record(
        description,
        number={"const": number},
        name=TEXT,
        met=FLAG,
        met_at=nullable(INSTANT),
        in_time=said(nullable(FLAG), "Before the deadline; null while it is not met."),
        evidence={"oneOf": [record("", evidence), {"type": "null"}]},
    )


_CRITERIA = (
    _criterion(
        1,
        "A live batch ran to its end, whatever became of its items.",
        batch_id=identifier("bat"),
        request_id=TEXT,
        state=choice(FINAL),
        created_at=INSTANT,
        finished_at=INSTANT,
    ),
    _criterion(
        2,
        "An address of the customer's own, not our internal sink, answered `batch.completed` of a live batch with 2xx.",
        batch_id=identifier("bat"),
        event_id=identifier("evt"),
        delivery_id=identifier("dlv"),
        endpoint_id=said(nullable(identifier("whe")), "null: the batch's own `webhook_url`."),
        host=URL,
        status_code=NUMBER,
        at=said(INSTANT, "When it was sent."),
    ),
    _criterion(
        3,
        "Somebody in finance signed a live batch off: the customer's own, or ours for them.",
        batch_id=identifier("bat"),
        sign_off_id=identifier("sgn"),
        side=choice(Side.values),
        role=TEXT,
        signed_by=said(identifier("usr"), "Who it was, as an opaque id."),
        signed_at=INSTANT,
        ledger=TOTALS,
        proof_sha256=SHA256,
    ),
)

COMPONENTS: dict[str, Schema] = {
    "PilotCriterion": {"oneOf": list(_CRITERIA)},
    "PilotFailure": record(
        "A condition by which a pilot fails: the first by the clock, the others by what our people recorded.",
        number={**NUMBER, "minimum": 1, "maximum": 4},
        name=TEXT,
        holds=FLAG,
        recorded_at=said(nullable(INSTANT), "Since when it holds: of the first one, the deadline."),
    ),
    "PilotStep": record(
        "A step of a pilot, and when it was done first.",
        name=choice(list(STEPS)),
        at=nullable(INSTANT),
        seconds=said(nullable(NUMBER), "From the activation, whole ones."),
    ),
    "Pilot": record(
        "A pilot by its three criteria, judged from the live records as they are now; test batches never count.",
        ok={"const": True},
        pilot_id=identifier("pil"),
        activated_at=INSTANT,
        deadline=INSTANT,
        status=said(
            choice(list(Status)),
            "`scheduled` before the clock begins; `succeeded` once all criteria were met before the deadline, whatever "
            "else is said; `failed` by a condition that holds; `expired` when the deadline passed and it is neither. A "
            "closed pilot stays as it was closed.",
        ),
        criteria=list_of(ref("PilotCriterion"), minItems=3, maxItems=3),
        failures=said(
            list_of(ref("PilotFailure"), minItems=4, maxItems=4),
            "The four by which a pilot fails.",
        ),
        steps=said(list_of(ref("PilotStep"), minItems=4, maxItems=4), "How long each step took from the activation."),
        next=said(TEXT, "What to do next, in one sentence."),
        boundary=said(TEXT, "What the pilot is and what it is not."),
    ),
}

EXAMPLE: dict[str, Any] = {
    "ok": True,
    "pilot_id": f"pil_{EXAMPLE_ID}",
    "activated_at": "2026-01-24T09:00:00.000000Z",
    "deadline": "2026-01-26T09:00:00.000000Z",
    "status": "running",
    "criteria": [
        {
            "number": 1,
            "name": CRITERIA[0],
            "met": True,
            "met_at": "2026-01-24T10:04:40.000000Z",
            "in_time": True,
            "evidence": {
                "batch_id": EXAMPLE_BATCH["batch_id"],
                "request_id": "order-123",
                "state": "partial",
                "created_at": "2026-01-24T10:00:00.000000Z",
                "finished_at": "2026-01-24T10:04:40.000000Z",
            },
        },
        {
            "number": 2,
            "name": CRITERIA[1],
            "met": True,
            "met_at": "2026-01-24T10:04:41.120000Z",
            "in_time": True,
            "evidence": {
                "batch_id": EXAMPLE_BATCH["batch_id"],
                "event_id": f"evt_{EXAMPLE_ID}",
                "delivery_id": f"dlv_{EXAMPLE_ID}",
                "endpoint_id": f"whe_{EXAMPLE_ID}",
                "host": "https://example.com",
                "status_code": 200,
                "at": "2026-01-24T10:04:41.000000Z",
            },
        },
        {
            "number": 3,
            "name": CRITERIA[2],
            "met": False,
            "met_at": None,
            "in_time": None,
            "evidence": None,
        },
    ],
    "failures": [
        {"number": condition.value, "name": condition.label, "holds": False, "recorded_at": None}
        for condition in PilotFailure.Condition
    ],
    "steps": [
        {"name": "batch_accepted", "at": "2026-01-24T10:00:00.000000Z", "seconds": 3600},
        {"name": "batch_ended", "at": "2026-01-24T10:04:40.000000Z", "seconds": 3880},
        {"name": "webhook_received", "at": "2026-01-24T10:04:41.120000Z", "seconds": 3881},
        {"name": "signed_off", "at": None, "seconds": None},
    ],
    "next": "Have your finance sign off a live batch on its Billing page: reserved = settled + refunded.",
    "boundary": BOUNDARY,
}

SHOW_PILOT = Operation(
    name="showPilot",
    tag="Pilot",
    summary="Show how far your pilot is",
    scope="batches:read",
    answers={
        200: Answer(
            "The pilot of the key's organization. A test key gets the same, without `evidence`, which names live "
            "records.",
            ref("Pilot"),
            example=EXAMPLE,
        )
    },
    errors=["not_found"],
)
