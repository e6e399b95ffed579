"""Webhook deliveries as the outside world sees them."""

from typing import Any

from customers.models import Mode
from sora2.ids import is_id
from sora2.times import timestamp
from webhooks.models import Attempt, Delivery


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery as a list shows it. Its event must be loaded."""
    event = delivery.event
    return {
        "id": delivery.pk,
        "event_id": event.pk,
        "event": event.type,
        "batch_id": event.reference if is_id(event.reference, "bat") else None,
        "livemode": event.mode == Mode.LIVE,
        "endpoint_id": delivery.endpoint_id,
        "url": delivery.url,
        "state": delivery.state,
        "skipped_reason": delivery.skipped_reason or None,
        "attempts": delivery.attempts_made,
        "created_at": timestamp(delivery.created_at),
        "next_attempt_at": timestamp(delivery.due_at),
    }


def delivery_detail_json(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery with the exact text that is sent, and each attempt, oldest first."""
    attempts = delivery.attempts.order_by("number")
    return {
        **delivery_json(delivery),
        "body": delivery.event.body,
        "attempt_log": [_attempt_json(attempt) for attempt in attempts],
    }


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "at": timestamp(attempt.at),
        "trigger": attempt.trigger,
        "status_code": attempt.status_code,
        "error": attempt.error or None,
        "duration_ms": attempt.duration_ms,
        "response": attempt.response,
    }
