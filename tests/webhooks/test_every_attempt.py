"""Every attempt that comes over real HTTP verifies with the official libraries of Python and of Node."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone
from standardwebhooks import Webhook

from customers.models import Mode, Organization
from tests.webhooks.receivers import Received, answers, in_turn, serve
from tests.webhooks.test_npm import verified
from webhooks import delivery
from webhooks.endpoints import create_default_secret, create_endpoint, rotate_default_secret, rotate_secret, send_test
from webhooks.models import Attempt, Delivery, Endpoint, EventType, new_event_id
from webhooks.replay import Range, redeliver, replay
from webhooks.services import publish

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("loopback")]

BODY = json.dumps({"event": "batch.completed", "request_id": "größe 🎬 \u2028"}, ensure_ascii=False)


def holds(received: Received, *secrets: str) -> bool:
    """Say whether both libraries verify a request with each of these secrets, and with no other one."""
    said = [
        {"secret": secret, "headers": dict(received.headers), "body": received.body.decode()}
        for secret in (*secrets, "whsec_" + "A" * 43 + "=")
    ]
    content = json.loads(received.body)
    by_node = verified(*said)
    by_python = [Webhook(secret).verify(received.body, dict(received.headers)) for secret in secrets]
    return by_node == [*[content] * len(secrets), "No matching signature found"] and by_python == [content] * len(
        secrets
    )


def tell(acme: Organization, extra_url: str = "") -> None:
    event_id = new_event_id()
    publish(
        organization_id=acme.pk,
        mode=Mode.LIVE,
        event_type=EventType.BATCH_COMPLETED,
        event_id=event_id,
        body=BODY,
        reference=f"bat_of_{event_id}",
        extra_url=extra_url,
    )


def deliver() -> None:
    """Deliver everything now, whatever it waits for."""
    Endpoint.objects.update(paused_until=None)
    Delivery.objects.filter(state="pending").update(due_at=timezone.now() - timedelta(seconds=1))
    delivery.deliver_due()


def test_first_and_retried_rotated_and_not_redelivered_replayed_and_tests() -> None:
    acme = Organization.objects.create(name="Acme")
    fails_twice = in_turn(answers(500), answers(503), *[answers(200)] * 5)
    with serve(fails_twice) as receiver:
        endpoint, first = create_endpoint(organization=acme, mode=Mode.LIVE, url=receiver.url)
        tell(acme)
        deliver()
        second = rotate_secret(endpoint=endpoint, overlap_hours=1, actor="usr_1", now=timezone.now())
        deliver()
        Endpoint.objects.update(previous_secret_until=timezone.now() - timedelta(seconds=1))
        deliver()
        redeliver(delivery=Delivery.objects.get(), actor="usr_1", now=timezone.now())
        deliver()
        replay(wanted=Range(endpoint, undelivered=False), actor="usr_1", now=timezone.now())
        deliver()
        third = rotate_secret(endpoint=endpoint, overlap_hours=0, actor="usr_1", now=timezone.now())
        send_test(endpoint=endpoint, actor="usr_1", now=timezone.now())
        deliver()
    signed_with = [[first], [second, first], [second], [second], [second], [third]]
    assert len(receiver.requests) == len(signed_with)
    assert all(holds(received, *secrets) for received, secrets in zip(receiver.requests, signed_with, strict=True))
    assert len({received.headers["webhook-id"] for received in receiver.requests}) == 2
    triggers = Attempt.objects.order_by("pk").values_list("trigger", flat=True)
    assert list(triggers) == ["auto", "auto", "auto", "manual", "range", "test"]


def test_an_address_of_a_batch_with_the_default_secret() -> None:
    acme = Organization.objects.create(name="Acme")
    first = create_default_secret(organization=acme)
    with serve(in_turn(answers(500), answers(200))) as receiver:
        tell(acme, extra_url=receiver.url)
        deliver()
        second = rotate_default_secret(organization=acme, overlap_hours=168, actor="usr_1", now=timezone.now())
        deliver()
    before, after = receiver.requests
    assert holds(before, first)
    assert holds(after, second, first)
