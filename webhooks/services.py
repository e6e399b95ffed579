"""The verbs of telling: create an endpoint, publish an event, deliver it once more."""

from datetime import datetime

from django.db.models import F
from django.utils import timezone

from customers.models import Organization
from sora2 import bell
from sora2.crypto import encrypt
from webhooks.guarded import check_url
from webhooks.models import DefaultSecret, Delivery, Endpoint, Event, EventType, Trigger
from webhooks.signing import new_secret


def create_endpoint(*, organization: Organization, mode: str, url: str, description: str = "") -> tuple[Endpoint, str]:
    """Create an endpoint that wants `batch.completed`; return it with its secret. Raises ForbiddenTarget."""
    check_url(url)
    secret = new_secret()
    endpoint = Endpoint.objects.create(
        organization=organization, mode=mode, url=url, description=description, secret_encrypted=encrypt(secret)
    )
    return endpoint, secret


def create_default_secret(*, organization: Organization) -> str:
    """Create and return the organization's default secret, which signs for a batch's own `webhook_url`."""
    secret = new_secret()
    DefaultSecret.objects.create(organization=organization, secret_encrypted=encrypt(secret))
    return secret


def publish(
    *,
    organization_id: str,
    mode: str,
    event_type: EventType,
    event_id: str,
    body: str,
    reference: str,
    extra_url: str = "",
) -> Event:
    """Write an event and one delivery for each address that is to hear of it, in the caller's transaction.

    That is every endpoint of the organization and mode, and `extra_url`. An endpoint that is disabled or has not
    subscribed gets a skipped delivery with the reason, which can be replayed; `extra_url` was asked for by the batch
    itself, so a subscription is not needed.
    """
    now = timezone.now()
    event = Event.objects.create(
        id=event_id,
        organization_id=organization_id,
        mode=mode,
        type=event_type,
        reference=reference,
        body=body,
        created_at=now,
    )
    endpoints = Endpoint.objects.filter(organization_id=organization_id, mode=mode).order_by("pk")
    deliveries = [_delivery(event, endpoint, asked_for=endpoint.url == extra_url, now=now) for endpoint in endpoints]
    if extra_url and all(delivery.url != extra_url for delivery in deliveries):
        deliveries.append(Delivery(event=event, url=extra_url, due_at=now, created_at=now))
    Delivery.objects.bulk_create(deliveries)
    bell.ring("webhooks.deliver")
    return event


def redeliver(*, delivery: Delivery, trigger: Trigger) -> bool:
    """Send an event once more, under its id, however its delivery ended; return False while that is still pending.

    The next attempt is due now and bears `trigger`. Attempts are numbered on, but the schedule starts anew: who asks
    for a message after repairing a receiver is not to lose it to the next hiccup. What was delivered before is
    pending again, and its attempts show that it once arrived.
    """
    ended = Delivery.objects.filter(pk=delivery.pk).exclude(state=Delivery.State.PENDING)
    changed = ended.update(
        state=Delivery.State.PENDING,
        skipped_reason="",
        due_at=timezone.now(),
        next_trigger=trigger,
        attempts_before=F("attempts_made"),
    )
    if changed:
        bell.ring("webhooks.deliver")
    return bool(changed)


def _delivery(event: Event, endpoint: Endpoint, *, asked_for: bool, now: datetime) -> Delivery:
    delivery = Delivery(event=event, endpoint=endpoint, url=endpoint.url, due_at=now, created_at=now)
    if not endpoint.enabled:
        delivery.skipped_reason = endpoint.disabled_reason or "the endpoint is disabled"
    elif event.type not in endpoint.events and not asked_for:
        delivery.skipped_reason = "the endpoint has not subscribed to this event"
    if delivery.skipped_reason:
        delivery.state, delivery.due_at = Delivery.State.SKIPPED, None
    return delivery
