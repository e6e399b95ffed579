"""Telling: publish events. How endpoints are kept is in webhooks.endpoints, how events are sent again in replay."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from sora2 import bell
from webhooks.models import ONE_PER_ITEM, Delivery, Endpoint, Event, EventType, Trigger, lane_of

NOT_SUBSCRIBED = "the endpoint has not subscribed to this event"
DISABLED = "the endpoint is disabled"
ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class Message:
    """An event to be published: its exact body, and what it is about (`part`: an item of it)."""

    event_type: EventType
    event_id: str
    body: str
    reference: str
    part: str = ""


def publish(
    *,
    organization_id: str,
    mode: str,
    event_type: EventType,
    event_id: str,
    body: str,
    reference: str,
    extra_url: str = "",
    only_to: Endpoint | None = None,
    trigger: Trigger = Trigger.AUTO,
) -> Event:
    """Write an event and one delivery for each address that is to hear of it, in the caller's transaction.

    That is every endpoint of the organization and mode, and `extra_url`; or `only_to` one endpoint, whatever it has
    subscribed to. An endpoint that is disabled or has not subscribed gets a skipped delivery with the reason, which can
    be replayed; `extra_url` was asked for by the batch itself, so a subscription is not needed.
    """
    message = Message(event_type, event_id, body, reference)
    endpoints = _endpoints_of(organization_id, mode) if only_to is None else [only_to]
    asked_for = {endpoint.pk for endpoint in endpoints if endpoint is only_to or endpoint.url == extra_url}
    (event,) = _write(organization_id, mode, [message], endpoints, asked_for=asked_for, trigger=trigger)
    if extra_url and not asked_for:
        Delivery.objects.create(
            event=event,
            organization_id=organization_id,
            mode=mode,
            url=extra_url,
            lane=lane_of(organization_id=organization_id, endpoint_id=None, url=extra_url),
            due_at=event.created_at,
            created_at=event.created_at,
        )
    return event


def publish_all(*, organization_id: str, mode: str, messages: Sequence[Message]) -> None:
    """Write many events with their deliveries in a few statements, in the caller's transaction."""
    _write(organization_id, mode, messages, _endpoints_of(organization_id, mode))


def subscribers(event_types: Collection[EventType]) -> set[tuple[str, str]]:
    """Return the organizations and modes of which an endpoint has subscribed to one of these; one small query.

    What nobody has subscribed to need not be written.
    """
    endpoints = Endpoint.objects.present().filter(events__overlap=[event.value for event in event_types])
    return set(endpoints.values_list("organization_id", "mode"))


def _endpoints_of(organization_id: str, mode: str) -> list[Endpoint]:
    return list(Endpoint.objects.present().filter(organization_id=organization_id, mode=mode).order_by("pk"))


def _write(
    organization_id: str,
    mode: str,
    messages: Sequence[Message],
    endpoints: Iterable[Endpoint],
    *,
    asked_for: Collection[str] = (),
    trigger: Trigger = Trigger.AUTO,
) -> list[Event]:
    now = timezone.now()
    events = [
        Event(
            id=message.event_id,
            organization_id=organization_id,
            mode=mode,
            type=message.event_type,
            reference=message.reference,
            part=message.part,
            body=message.body,
            created_at=now,
        )
        for message in messages
    ]
    Event.objects.bulk_create(events, batch_size=ROWS_AT_ONCE)
    deliveries = [
        _delivery(event, endpoint, asked_for=endpoint.pk in asked_for, trigger=trigger, now=now)
        for endpoint in endpoints
        for event in events
        if event.type not in ONE_PER_ITEM or event.type in endpoint.events
    ]
    Delivery.objects.bulk_create(deliveries, batch_size=ROWS_AT_ONCE)
    bell.ring("webhooks.deliver")
    return events


def _delivery(event: Event, endpoint: Endpoint, *, asked_for: bool, trigger: Trigger, now: datetime) -> Delivery:
    reason = ""
    if not endpoint.enabled:
        reason = endpoint.disabled_reason or DISABLED
    elif event.type not in endpoint.events and not asked_for:
        reason = NOT_SUBSCRIBED
    return Delivery(
        event=event,
        organization_id=event.organization_id,
        mode=event.mode,
        endpoint=endpoint,
        url=endpoint.url,
        lane=endpoint.pk,
        state=Delivery.State.SKIPPED if reason else Delivery.State.PENDING,
        skipped_reason=reason,
        due_at=None if reason else now,
        next_trigger=trigger,
        created_at=now,
    )
