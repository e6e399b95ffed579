"""What the tests of the webhooks' pages share: events and how they end, and looking at a page as somebody."""

import json
from datetime import timedelta
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from customers.models import Membership, Mode, Organization
from sora2.ids import new_id
from tests.people import member, staff, words_of
from webhooks.endpoints import create_endpoint
from webhooks.models import Attempt, Delivery, Endpoint, EventType, new_event_id
from webhooks.services import Message, publish, publish_all

LIST, LOG = "/admin/webhooks/", "/admin/webhooks/deliveries/"
State = Delivery.State


def endpoint_of(organization: Organization, url: str = "https://example.com/hook", **fields: Any) -> Endpoint:
    events = fields.pop("events", [EventType.BATCH_COMPLETED.value])
    made, _ = create_endpoint(organization=organization, mode=fields.pop("mode", Mode.LIVE), url=url, events=events)
    Endpoint.objects.filter(pk=made.pk).update(**fields)
    return Endpoint.objects.get(pk=made.pk)


def tell(
    organization: Organization, event: EventType = EventType.BATCH_COMPLETED, *, reference: str = "", **more: Any
) -> list[Delivery]:
    """Publish one event; return its deliveries."""
    event_id = new_event_id()
    told = publish(
        organization_id=organization.pk,
        mode=more.pop("mode", Mode.LIVE),
        event_type=event,
        event_id=event_id,
        body=json.dumps({"event": event.value, "event_id": event_id, "credits": 31337, "note": "it's 100 % 🎬"}),
        reference=reference or new_id("bat"),
        **more,
    )
    return list(told.deliveries.order_by("pk"))


def tell_items(organization: Organization, reference: str, count: int) -> None:
    """Publish the ends of so many items."""
    messages = [
        Message(EventType.ITEM_SUCCEEDED, new_event_id(), '{"secret_of_item": 1}', reference, part=new_id("itm"))
        for _ in range(count)
    ]
    publish_all(organization_id=organization.pk, mode=Mode.LIVE, messages=messages)


def tried(delivery: Delivery, state: str, *, code: int | None = 503, error: str = "", **fields: Any) -> Delivery:
    """Record one more attempt, as the deliverer does, and where it left the delivery."""
    number = delivery.attempts_made + 1
    now = timezone.now()
    Attempt.objects.create(
        delivery=delivery,
        endpoint=delivery.endpoint,
        number=number,
        at=now,
        status_code=code,
        error=error,
        duration_ms=42,
        response=fields.pop("response", ""),
    )
    due_at = now + timedelta(minutes=5) if state == State.PENDING else None
    Delivery.objects.filter(pk=delivery.pk).update(state=state, attempts_made=number, due_at=due_at, **fields)
    return Delivery.objects.get(pk=delivery.pk)


def delivered(delivery: Delivery) -> Delivery:
    return tried(delivery, State.DELIVERED, code=200)


def at(row: Endpoint | Delivery, act: str = "") -> str:
    kind = "endpoints" if isinstance(row, Endpoint) else "deliveries"
    return f"/admin/webhooks/{kind}/{row.pk}{act}"


def secrets_of(organization: Organization, act: str = "") -> str:
    return f"/admin/webhooks/secrets/{organization.pk}{act}"


def who(role: str, organization: Organization) -> Client:
    return member(organization, role) if role in Membership.Role.values else staff(role)


def text(address: str, role: str = "auditor", **query: str) -> str:
    response = staff(role).get(address, query)
    assert response.status_code == 200, response.status_code
    return words_of(response)


def sent(address: str, form: dict[str, Any] | None = None, client: Client | None = None) -> str:
    """Send a form and return what is read then."""
    response = (client or staff("support")).post(address, form or {}, follow=True)
    assert response.status_code == 200
    return words_of(response)


def opened(client: Client, address: str) -> dict[str, str]:
    """Return the form that rotates a secret, as the page gives it."""
    return {"seen": client.get(address).context["rotate"]["seen"].value(), "overlap_hours": "24"}


def queries_of(client: Client, address: str) -> int:
    client.get(address)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def now_due(delivery: Delivery) -> bool:
    delivery.refresh_from_db()
    return delivery.due_at is not None and delivery.due_at <= timezone.now()
