"""Batches and items in OpenAPI. What is told of them is in batches.events_schemas."""

from typing import Any

from batches import intake
from batches.catalogue import LifeCycle
from batches.failures import FailureType
from batches.models import STATUS_OF_STATE, State, Status
from sora2.operations import (
    CREDITS,
    FLAG,
    INSTANT,
    NUMBER,
    SHA256,
    TEXT,
    URL,
    Schema,
    choice,
    free_text,
    identifier,
    list_of,
    nullable,
    page,
    record,
    ref,
    said,
    text,
)
from webhooks.guarded import URL_MAX_BYTES

FINAL = (State.COMPLETED, State.PARTIAL, State.FAILED)
TOTALS = record(reserved=CREDITS, settled=CREDITS, refunded=CREDITS)
ENDED = record(total=NUMBER, succeeded=NUMBER, failed=NUMBER)
REQUEST_ID = free_text(minLength=1, maxLength=intake.REQUEST_ID_MAX)


def metadata(keys: int) -> Schema:
    """Return an object of texts with at most so many keys."""
    return {
        "type": "object",
        "maxProperties": keys,
        "propertyNames": free_text(minLength=1, maxLength=intake.METADATA_KEY_MAX),
        "additionalProperties": free_text(maxLength=intake.METADATA_VALUE_MAX),
    }


_ITEM_ORDER = {
    **record(
        "One video to be made.",
        optional=["model", "seconds", "size", "custom_id", "metadata"],
        prompt=free_text(minLength=1, maxLength=intake.PROMPT_MAX),
        model=said({**nullable(TEXT), "default": "sora-2"}, "A model of the catalogue (`GET /models`)."),
        seconds=said(nullable({"type": "integer"}), "One of what the model offers; its default if missing."),
        size=said(nullable(text(pattern=r"^\d+x\d+$")), "One of what the model offers; its first if missing."),
        custom_id=said(nullable(free_text(minLength=1, maxLength=intake.CUSTOM_ID_MAX)), "Unique in the batch."),
        metadata=nullable(metadata(intake.ITEM_METADATA_MAX)),
    ),
    "additionalProperties": False,
}
_ORDER = {
    **record(
        "A batch of videos. A request id is needed, here or in a header; several are fine if equal.",
        {"request_id": REQUEST_ID, "x-request-id": REQUEST_ID},
        optional=["request_id", "x-request-id", "webhook_url", "metadata", "max_credits", "deadline", "priority"],
        items=list_of(ref("ItemOrder"), minItems=1, maxItems=intake.MAX_ITEMS),
        webhook_url=said(nullable({**URL, "maxLength": URL_MAX_BYTES}), "An https:// address of the public internet."),
        metadata=nullable(metadata(intake.BATCH_METADATA_MAX)),
        max_credits=nullable({**CREDITS, "minimum": 1}),
        deadline=said(nullable(INSTANT), "A time to come: items not submitted by then fail as `timeout`."),
        priority=said(
            nullable(choice(list(intake.PRIORITIES))),
            "Which of your own open batches goes first; `normal` if missing. It changes nothing for other customers.",
        ),
    ),
    "additionalProperties": False,
}
_RETRY = {
    **record(
        "What to call the new batch, and what it may cost.",
        {"request_id": REQUEST_ID, "x-request-id": REQUEST_ID},
        optional=["request_id", "x-request-id", "max_credits"],
        max_credits=nullable({**CREDITS, "minimum": 1}),
    ),
    "additionalProperties": False,
}
_FAILURE = record(type=choice(list(FailureType)), message=TEXT, retryable=FLAG)
_OUTPUT = record(
    url=URL,
    content_type=TEXT,
    bytes=NUMBER,
    sha256=SHA256,
    duration_seconds={"type": "number"},
    expires_at=nullable(INSTANT),
)
_BATCH = {
    "batch_id": identifier("bat"),
    "status": choice(list(STATUS_OF_STATE.values())),
    "state": choice(State.values),
    "request_id": TEXT,
    "livemode": FLAG,
    "created_at": INSTANT,
    "started_at": nullable(INSTANT),
    "finished_at": nullable(INSTANT),
    "deadline": nullable(INSTANT),
    "created_via": TEXT,
    "summary": record(total=NUMBER, pending=NUMBER, running=NUMBER, succeeded=NUMBER, failed=NUMBER),
    "ledger": said(TOTALS, "Once final, reserved = settled + refunded; until then both are 0."),
    "failures": list_of(ref("FailureCount")),
    "metadata": metadata(intake.BATCH_METADATA_MAX),
    "price_version": TEXT,
    "retry_of": nullable(identifier("bat")),
    "webhook_url": nullable(TEXT),
    "priority": said(choice(list(intake.PRIORITIES)), "Only where it is not `normal`."),
    "links": record(self=URL, items=URL, dashboard=URL),
}

COMPONENTS: dict[str, Schema] = {
    "ItemOrder": _ITEM_ORDER,
    "BatchOrder": _ORDER,
    "RetryOrder": _RETRY,
    "FailureCount": record(
        type=choice(list(FailureType)), count=NUMBER, sample_item_ids=list_of(identifier("itm"), maxItems=5)
    ),
    "Batch": record("A batch as it now is.", _BATCH, optional=["priority"]),
    "BatchAnswer": record("A batch as it now is.", {"ok": {"const": True}, **_BATCH}, optional=["priority"]),
    "BatchPage": page("Batch"),
    "Item": record(
        "One video of a batch.",
        id=identifier("itm"),
        index=NUMBER,
        custom_id=nullable(TEXT),
        status=choice(Status.values),
        model=TEXT,
        prompt=TEXT,
        seconds=NUMBER,
        size=TEXT,
        metadata=metadata(intake.ITEM_METADATA_MAX),
        credits=CREDITS,
        attempts=NUMBER,
        failure={"oneOf": [_FAILURE, {"type": "null"}]},
        output={"oneOf": [_OUTPUT, {"type": "null"}]},
        created_at=INSTANT,
        started_at=nullable(INSTANT),
        finished_at=nullable(INSTANT),
        refunded_at=nullable(INSTANT),
    ),
    "ItemPage": page("Item"),
    "Quote": record(
        ok={"const": True},
        credits=CREDITS,
        available=CREDITS,
        sufficient=FLAG,
        lines=list_of(record(model=TEXT, seconds=NUMBER, count=NUMBER, unit_credits=CREDITS, credits=CREDITS)),
        price_version=TEXT,
    ),
    "BatchLedger": record(
        "The entries of a batch. `balanced` says that reserved = settled + refunded: false while credits are held.",
        ok={"const": True},
        batch_id=identifier("bat"),
        entries=list_of(ref("LedgerEntry")),
        totals=record(reserved=CREDITS, settled=CREDITS, refunded=CREDITS, held=CREDITS),
        balanced=FLAG,
    ),
    "Proof": record(
        "The reconciliation proof of a batch, as canonical JSON: these bytes never change.",
        batch_id=identifier("bat"),
        entries=list_of(ref("LedgerEntry")),
        finalized_at=INSTANT,
        items_count=NUMBER,
        items_sha256=said(SHA256, "Of the bytes of proof/items.jsonl."),
        ledger=TOTALS,
        livemode=FLAG,
        organization_id=identifier("org"),
        request_id=TEXT,
        state=choice(FINAL),
        summary=ENDED,
    ),
    "ProofItem": record(credits=CREDITS, id=identifier("itm"), index=NUMBER, status=choice(Status.values)),
    "Model": record(
        "A model on offer. A clip costs `credits` × its seconds ÷ `base_seconds`, rounded up.",
        name=TEXT,
        credits=CREDITS,
        base_seconds=NUMBER,
        seconds=list_of(NUMBER),
        default_seconds=NUMBER,
        sizes=list_of(TEXT),
        status=choice(list(LifeCycle)),
        sunset_at=nullable(INSTANT),
        replacement=nullable(TEXT),
        price_version=TEXT,
    ),
    "ModelPage": page("Model"),
}


EXAMPLE_ID, EXAMPLE_HOST = "01kadf7q2m3n4p5r6s7t8v9w0x", "https://api.example.com"
EXAMPLE_ORDER: dict[str, Any] = {
    "request_id": "order-123",
    "items": [
        {
            "prompt": "A cat playing piano",
            "model": "sora-2",
            "seconds": 4,
            "size": "1280x720",
            "custom_id": "sku-1",
            "metadata": {"sku": "1"},
        }
    ],
    "webhook_url": "https://example.com/hook",
    "metadata": {"campaign": "autumn"},
    "max_credits": 500,
}
EXAMPLE_BATCH: dict[str, Any] = {
    "ok": True,
    "batch_id": f"bat_{EXAMPLE_ID}",
    "status": "pending",
    "state": "queued",
    "request_id": "order-123",
    "livemode": True,
    "created_at": "2026-01-24T10:00:00.000000Z",
    "started_at": None,
    "finished_at": None,
    "deadline": None,
    "created_via": "api",
    "summary": {"total": 10, "pending": 10, "running": 0, "succeeded": 0, "failed": 0},
    "ledger": {"reserved": 100, "settled": 0, "refunded": 0},
    "failures": [],
    "metadata": {"campaign": "autumn"},
    "price_version": "2026-01-24",
    "retry_of": None,
    "webhook_url": "https://example.com/hook",
    "links": {
        "self": f"{EXAMPLE_HOST}/api/enterprise/video-batch/bat_{EXAMPLE_ID}",
        "items": f"{EXAMPLE_HOST}/api/enterprise/video-batch/bat_{EXAMPLE_ID}/items",
        "dashboard": f"{EXAMPLE_HOST}/admin/batches/bat_{EXAMPLE_ID}",
    },
}
