"""Webhook deliveries in OpenAPI."""

from sora2.operations import (
    FLAG,
    INSTANT,
    NUMBER,
    PAGING,
    TEXT,
    Answer,
    Operation,
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

COMPONENTS = {
    "WebhookDelivery": record(
        "One event on its way to one address, with its attempts, oldest first.",
        id=identifier("dlv"),
        event_id=said(identifier("evt"), "The header `webhook-id`; the same over all retries."),
        event=choice(EventType.values),
        batch_id=nullable(TEXT),
        endpoint_id=said(nullable(TEXT), "Null for a batch's own `webhook_url`."),
        url=TEXT,
        state=choice(Delivery.State.values),
        skipped_reason=nullable(TEXT),
        next_attempt_at=nullable(INSTANT),
        created_at=INSTANT,
        livemode=FLAG,
        attempts=list_of(ref("WebhookAttempt")),
    ),
    "WebhookDeliveryPage": page("WebhookDelivery"),
    "WebhookAttempt": record(
        "One post of a delivery.",
        at=INSTANT,
        trigger=choice(Trigger.values),
        status_code=nullable(NUMBER),
        error=nullable(TEXT),
        duration_ms=nullable(NUMBER),
        response=said(TEXT, "The beginning of the answer."),
    ),
}

LIST_DELIVERIES = Operation(
    name="listWebhookDeliveries",
    tag="Webhooks",
    summary="List webhook deliveries, newest first",
    scope="webhooks:read",
    parameters=[
        query("batch_id", TEXT, "Only deliveries about this batch."),
        query("state", choice(Delivery.State.values), "Only deliveries in this state."),
        query("event", choice(EventType.values), "Only deliveries of this event."),
        query("undelivered", choice(["true", "false"]), "`true`: only what has not arrived; `false`: only what has."),
        *PAGING,
    ],
    answers={200: Answer("A page of deliveries.", ref("WebhookDeliveryPage"))},
    errors=["validation_error"],
)
SHOW_DELIVERY = Operation(
    name="showWebhookDelivery",
    tag="Webhooks",
    summary="Show a webhook delivery with its attempts",
    scope="webhooks:read",
    parameters=[in_path("delivery_id", "dlv")],
    answers={200: Answer("The delivery.", ref("WebhookDelivery"))},
    errors=["not_found"],
)
