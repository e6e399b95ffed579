"""Webhook deliveries in OpenAPI."""

from typing import Any

from sora2.operations import (
    FLAG,
    INSTANT,
    NUMBER,
    PAGING,
    PERIOD,
    TEXT,
    Answer,
    Operation,
    Schema,
    choice,
    identifier,
    in_path,
    list_of,
    nullable,
    page,
    query,
    record,
    ref,
    said,
)
from webhooks.models import Delivery, EventType, Trigger

_DELIVERY = {
    "id": identifier("dlv"),
    "event_id": said(identifier("evt"), "The header `webhook-id`; the same over all retries."),
    "event": choice(EventType.values),
    "batch_id": nullable(TEXT),
    "endpoint_id": said(nullable(TEXT), "Null for a batch's own `webhook_url`."),
    "url": said(TEXT, "Where it was last sent, or will be."),
    "state": choice(Delivery.State.values),
    "skipped_reason": nullable(TEXT),
    "next_attempt_at": said(nullable(INSTANT), "While it is pending; not before a pause of its endpoint ends."),
    "created_at": INSTANT,
    "livemode": FLAG,
    "attempts": list_of(ref("WebhookAttempt")),
}
DESCRIPTION = "One event on its way to one address, with its attempts, oldest first."

COMPONENTS: dict[str, Schema] = {
    "WebhookDelivery": record(DESCRIPTION, _DELIVERY),
    "WebhookDeliveryAnswer": record(DESCRIPTION, {"ok": {"const": True}, **_DELIVERY}),
    "WebhookDeliveryPage": page("WebhookDelivery"),
    "WebhookAttempt": record(
        "One post of a delivery.",
        at=INSTANT,
        trigger=said(
            choice(Trigger.values),
            "What asked for it: the schedule, a person for this delivery, a test, or a person for a range of them.",
        ),
        status_code=nullable(NUMBER),
        error=nullable(TEXT),
        duration_ms=nullable(NUMBER),
        response=said(TEXT, "The beginning of the answer."),
    ),
}

_ID = "01kadf7q2m3n4p5r6s7t8v9w0x"
EXAMPLE_DELIVERY: dict[str, Any] = {
    "ok": True,
    "id": f"dlv_{_ID}",
    "event_id": f"evt_{_ID}",
    "event": "batch.completed",
    "batch_id": f"bat_{_ID}",
    "endpoint_id": f"whe_{_ID}",
    "url": "https://example.com/hook",
    "state": "pending",
    "skipped_reason": None,
    "next_attempt_at": "2026-01-24T13:00:00.000000Z",
    "created_at": "2026-01-24T10:00:00.000000Z",
    "livemode": True,
    "attempts": [
        {
            "at": "2026-01-24T10:00:00.100000Z",
            "trigger": "auto",
            "status_code": 500,
            "error": None,
            "duration_ms": 42,
            "response": "Internal Server Error",
        }
    ],
}
EXAMPLE_DELIVERY_PAGE: dict[str, Any] = {
    "ok": True,
    "data": [{name: value for name, value in EXAMPLE_DELIVERY.items() if name != "ok"}],
    "next_cursor": None,
}

LIST_DELIVERIES = Operation(
    name="listWebhookDeliveries",
    tag="Webhooks",
    summary="List webhook deliveries, newest first",
    scope="webhooks:read",
    parameters=[
        query("batch_id", TEXT, "Only deliveries about this batch."),
        query("endpoint_id", TEXT, "Only deliveries to this endpoint, also one that was deleted."),
        query("state", choice(Delivery.State.values), "Only deliveries in this state."),
        query("event", choice(EventType.values), "Only deliveries of this event."),
        query("undelivered", choice(["true", "false"]), "`true`: only what has not arrived; `false`: only what has."),
        *PERIOD,
        *PAGING,
    ],
    answers={200: Answer("A page of deliveries.", ref("WebhookDeliveryPage"), example=EXAMPLE_DELIVERY_PAGE)},
    errors=["validation_error"],
)
SHOW_DELIVERY = Operation(
    name="showWebhookDelivery",
    tag="Webhooks",
    summary="Show a webhook delivery with its attempts",
    scope="webhooks:read",
    parameters=[in_path("delivery_id", "dlv")],
    answers={200: Answer("The delivery.", ref("WebhookDeliveryAnswer"), example=EXAMPLE_DELIVERY)},
    errors=["not_found"],
)
REDELIVER = Operation(
    name="redeliverWebhook",
    tag="Webhooks",
    summary="Send an event again, under the same id",
    scope="webhooks:write",
    parameters=[in_path("delivery_id", "dlv")],
    answers={
        202: Answer(
            "The delivery as it now is: due at once. One that is being sent at this moment stays as it is.",
            ref("WebhookDeliveryAnswer"),
            example=EXAMPLE_DELIVERY,
        )
    },
    errors=["not_found", "validation_error"],
)
