"""What is told of batches, their items and their credits, in OpenAPI."""

from typing import Any

from batches.examples import ITEM
from batches.models import STATUS_OF_STATE, State
from batches.schemas import ENDED, EXAMPLE_HOST, EXAMPLE_ID, FINAL, TOTALS
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
    identifier,
    record,
    ref,
    said,
    webhook,
)


def _item_ended(event: str, description: str) -> Schema:
    return record(
        description,
        event={"const": event},
        batch_id=identifier("bat"),
        request_id=TEXT,
        item=ref("Item"),
        timestamp=said(INSTANT, "When its end was written."),
        event_id=identifier("evt"),
        livemode=FLAG,
    )


COMPONENTS: dict[str, Schema] = {
    "BatchStarted": record(
        "Sent once per batch, to who subscribes to it.",
        event={"const": "batch.started"},
        batch_id=identifier("bat"),
        request_id=TEXT,
        summary=record(total=NUMBER),
        ledger=record(reserved=CREDITS),
        timestamp=said(INSTANT, "When the first item was submitted."),
        event_id=identifier("evt"),
        livemode=FLAG,
        status={"const": STATUS_OF_STATE[State.PROCESSING]},
        state={"const": State.PROCESSING.value},
    ),
    "BatchCompleted": record(
        "Sent once per batch, whatever its final state.",
        event={"const": "batch.completed"},
        batch_id=identifier("bat"),
        request_id=TEXT,
        summary=ENDED,
        ledger=TOTALS,
        timestamp=said(INSTANT, "When the batch was finalized."),
        event_id=identifier("evt"),
        livemode=FLAG,
        status=choice([STATUS_OF_STATE[state] for state in FINAL]),
        state=choice(FINAL),
        proof=record(url=URL, sha256=SHA256),
    ),
    "ItemSucceeded": _item_ended("item.succeeded", "Sent once per item that succeeds, to who subscribes to it."),
    "ItemFailed": _item_ended(
        "item.failed",
        "Sent once per item that fails, to who subscribes to it. It is refunded when the batch ends.",
    ),
    "CreditsLow": record(
        "Sent once each time that a wallet falls below its threshold.",
        event={"const": "credits.low"},
        organization_id=identifier("org"),
        wallet_id=identifier("wal"),
        available=CREDITS,
        threshold=CREDITS,
        since=said(INSTANT, "When it fell below the threshold."),
        timestamp=said(INSTANT, "When this event was written."),
        event_id=identifier("evt"),
        livemode=FLAG,
    ),
}

_BATCH = f"bat_{EXAMPLE_ID}"
_ENVELOPE = {"timestamp": "2026-01-24T10:00:00.000000Z", "event_id": f"evt_{EXAMPLE_ID}", "livemode": True}
EXAMPLE_STARTED: dict[str, Any] = {
    "event": "batch.started",
    "batch_id": _BATCH,
    "request_id": "order-123",
    "summary": {"total": 10},
    "ledger": {"reserved": 100},
    **_ENVELOPE,
    "status": "running",
    "state": "processing",
}
EXAMPLE_COMPLETED: dict[str, Any] = {
    "event": "batch.completed",
    "batch_id": _BATCH,
    "request_id": "order-123",
    "summary": {"total": 10, "succeeded": 9, "failed": 1},
    "ledger": {"reserved": 100, "settled": 90, "refunded": 10},
    **_ENVELOPE,
    "status": "partial",
    "state": "partial",
    "proof": {"url": f"{EXAMPLE_HOST}/api/enterprise/video-batch/{_BATCH}/proof", "sha256": "0" * 64},
}
EXAMPLE_SUCCEEDED: dict[str, Any] = {
    "event": "item.succeeded",
    "batch_id": _BATCH,
    "request_id": "order-123",
    "item": ITEM,
    **_ENVELOPE,
}
EXAMPLE_FAILED: dict[str, Any] = {
    **EXAMPLE_SUCCEEDED,
    "event": "item.failed",
    "item": {
        **ITEM,
        "status": "failed",
        "failure": {"type": "timeout", "message": "The provider did not finish in time.", "retryable": True},
        "output": None,
    },
}
EXAMPLE_LOW: dict[str, Any] = {
    "event": "credits.low",
    "organization_id": f"org_{EXAMPLE_ID}",
    "wallet_id": f"wal_{EXAMPLE_ID}",
    "available": 90,
    "threshold": 100,
    "since": "2026-01-24T09:59:57.000000Z",
    **_ENVELOPE,
}

WEBHOOKS: dict[str, Schema] = {
    "batch.started": webhook(
        "onBatchStarted", "A batch's first item was submitted", ref("BatchStarted"), EXAMPLE_STARTED
    ),
    "batch.completed": webhook(
        "onBatchCompleted",
        "A batch has ended and its credits are finalized",
        ref("BatchCompleted"),
        EXAMPLE_COMPLETED,
    ),
    "item.succeeded": webhook("onItemSucceeded", "An item has succeeded", ref("ItemSucceeded"), EXAMPLE_SUCCEEDED),
    "item.failed": webhook("onItemFailed", "An item has failed", ref("ItemFailed"), EXAMPLE_FAILED),
    "credits.low": webhook("onCreditsLow", "A wallet has fallen below its threshold", ref("CreditsLow"), EXAMPLE_LOW),
}
