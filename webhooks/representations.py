"""Webhook deliveries as the outside world sees them."""

from typing import Any

from customers.models import Mode
from sora2.ids import is_id
from sora2.times import timestamp
from webhooks.models import Attempt, Delivery


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery with its attempts, oldest first. Load it by `whole()`, or it costs further queries."""
    event = delivery.event
    return {
        "id": delivery.pk,
        "event_id": event.pk,
        "event": event.type,
        "batch_id": event.reference if is_id(event.reference, "bat") else None,
        "endpoint_id": delivery.endpoint_id,
        "url": delivery.url,
        "state": delivery.state,
        "skipped_reason": delivery.skipped_reason or None,
        "next_attempt_at": timestamp(delivery.due_at),
        "created_at": timestamp(delivery.created_at),
        "livemode": event.mode == Mode.LIVE,
        "attempts": [_attempt_json(attempt) for attempt in delivery.attempts.all()],
    }


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "at": timestamp(attempt.at),
        "trigger": attempt.trigger,
        "status_code": attempt.status_code,
        "error": attempt.error or None,
        "duration_ms": attempt.duration_ms,
        "response": attempt.response,
    }
