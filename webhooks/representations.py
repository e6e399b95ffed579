"""Webhook endpoints and deliveries as the outside world sees them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings

from customers.models import Mode
from sora2.api import BASE_PATH
from sora2.ids import is_id
from sora2.times import timestamp
from webhooks.health import Health, disabled_at, health_of, state_of
from webhooks.models import Attempt, Delivery, Endpoint

SUCCESS_RATE_DIGITS = 4


def endpoints_json(endpoints: Sequence[Endpoint], *, now: datetime) -> list[dict[str, Any]]:
    """Return endpoints with their health, which costs two queries however many they are. Never a secret."""
    healths = health_of(endpoints, now=now)
    return [_endpoint_json(endpoint, healths[endpoint.pk], now) for endpoint in endpoints]


def endpoint_answer(endpoint: Endpoint, *, now: datetime, secret: str | None = None) -> dict[str, Any]:
    """Return one endpoint as an answer of its own, with its secret when it is new."""
    (said,) = endpoints_json([endpoint], now=now)
    return {"ok": True, **said, **({"secret": secret} if secret else {})}


def endpoint_url(endpoint: Endpoint) -> str:
    """Return the absolute address of an endpoint in our API."""
    return f"{settings.PUBLIC_BASE_URL}{BASE_PATH}/webhook-endpoints/{endpoint.pk}"


def delivery_answer(delivery: Delivery) -> dict[str, Any]:
    """Return one delivery as an answer of its own."""
    return {"ok": True, **delivery_json(delivery)}


def delivery_url(delivery: Delivery) -> str:
    """Return the absolute address of a delivery in our API."""
    return f"{settings.PUBLIC_BASE_URL}{BASE_PATH}/webhook-deliveries/{delivery.pk}"


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
        "next_attempt_at": timestamp(_next_attempt_at(delivery)),
        "created_at": timestamp(delivery.created_at),
        "livemode": event.mode == Mode.LIVE,
        "attempts": [_attempt_json(attempt) for attempt in delivery.attempts.all()],
    }


def _endpoint_json(endpoint: Endpoint, health: Health, now: datetime) -> dict[str, Any]:
    return {
        "id": endpoint.pk,
        "url": endpoint.url,
        "events": endpoint.events,
        "description": endpoint.description,
        "enabled": endpoint.enabled,
        "disabled_reason": endpoint.disabled_reason or None,
        "livemode": endpoint.mode == Mode.LIVE,
        "created_at": timestamp(endpoint.created_at),
        "secret_rotating_until": timestamp(endpoint.rotates_until(now)),
        "health": _health_json(endpoint, health, now),
    }


def _health_json(endpoint: Endpoint, health: Health, now: datetime) -> dict[str, Any]:
    rate = health.success_rate
    return {
        "state": state_of(endpoint, now=now).value,
        "failing_since": timestamp(endpoint.failing_since),
        "consecutive_failures": endpoint.consecutive_failures,
        "paused_until": timestamp(endpoint.pauses_until(now)),
        "next_attempt_at": timestamp(health.next_attempt_at),
        "pending": health.pending,
        "attempts_24h": health.attempts,
        "success_rate": rate if rate is None else round(rate, SUCCESS_RATE_DIGITS),
        "p50_ms": health.p50_ms,
        "p95_ms": health.p95_ms,
        "disabled_at": timestamp(disabled_at(endpoint)),
    }


def _next_attempt_at(delivery: Delivery) -> datetime | None:
    """Return when a delivery is due: not before its endpoint's pause ends."""
    paused_until = delivery.endpoint.paused_until if delivery.endpoint else None
    if delivery.due_at is None or paused_until is None:
        return delivery.due_at
    return max(delivery.due_at, paused_until)


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "at": timestamp(attempt.at),
        "trigger": attempt.trigger,
        "status_code": attempt.status_code,
        "error": attempt.error or None,
        "duration_ms": attempt.duration_ms,
        "response": attempt.response,
    }
