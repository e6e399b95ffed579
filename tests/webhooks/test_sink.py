"""The internal webhook address, called as by a sender."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from customers.models import Mode, Organization
from tests.people import member, words_of
from webhooks import sinks
from webhooks.guarded import ForbiddenTarget
from webhooks.models import Endpoint, Sink, SinkMessage
from webhooks.signing import new_secret, signature_headers

pytestmark = pytest.mark.django_db

BODY = '{"event": "batch.completed",  "emoji":"🎬"}'


@pytest.fixture(autouse=True)
def sink_here(settings: Settings) -> None:
    settings.PUBLIC_BASE_URL = "http://127.0.0.1:8000"
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = ["http://127.0.0.1:*"]
    settings.WEBHOOK_SINK_ENABLED = True


@pytest.fixture
def acme() -> Organization:
    return Organization.objects.create(name="Acme")


@pytest.fixture
def made(acme: Organization) -> tuple[Sink, Endpoint, str]:
    return sinks.create_sink(organization=acme, mode=Mode.LIVE)


def signed(secret: str, body: str = BODY) -> dict[str, str]:
    headers = signature_headers(event_id="evt_1", body=body, secrets=[secret], at=timezone.now())
    return {"content-type": "application/json", **headers}


def post(token: str, body: str | bytes = BODY, headers: Mapping[str, str] | None = None) -> Any:
    given = {"content-type": "application/json", **(headers or {})}
    return Client(enforce_csrf_checks=True).generic(
        "POST", f"/webhook-sink/{token}", body, content_type=given["content-type"], headers=given
    )


def test_a_sink_is_an_endpoint_whose_address_nobody_can_guess(acme: Organization) -> None:
    sink, endpoint, secret = sinks.create_sink(organization=acme, mode=Mode.TEST)
    assert endpoint.url == f"http://127.0.0.1:8000/webhook-sink/{sink.token}"
    assert (endpoint.organization, endpoint.mode, endpoint.secret) == (acme, Mode.TEST, secret)
    assert len(sink.token) >= 40
    assert sinks.create_sink(organization=acme, mode=Mode.TEST)[0].token != sink.token


def test_a_sink_where_webhooks_may_not_go_is_refused_and_leaves_nothing(acme: Organization, settings: Settings) -> None:
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = []
    with pytest.raises(ForbiddenTarget):
        sinks.create_sink(organization=acme, mode=Mode.LIVE)
    assert not Endpoint.objects.exists()


def test_what_the_endpoint_s_secret_signed_verifies_and_is_kept_as_it_came(made: tuple[Sink, Endpoint, str]) -> None:
    sink, _, secret = made
    headers = signed(secret) | {"user-agent": "Sora2-Webhooks/1.0", "cookie": "a=b", "authorization": "Bearer x"}
    response = post(sink.token, headers=headers)
    assert (response.status_code, response.json()) == (200, {"ok": True, "verified": True, "fault": ""})
    [message] = sinks.messages_of(sink)
    assert (message.body, message.verified) == (BODY, True)
    assert set(message.headers) == {
        "content-type",
        "user-agent",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    }
    assert message.headers["webhook-id"] == "evt_1"


def test_what_another_secret_signed_is_kept_with_its_fault(made: tuple[Sink, Endpoint, str]) -> None:
    response = post(made[0].token, headers=signed(new_secret()))
    assert response.json() == {"ok": True, "verified": False, "fault": "no matching signature"}
    assert not sinks.messages_of(made[0])[0].verified


def test_one_changed_byte_is_noticed(made: tuple[Sink, Endpoint, str]) -> None:
    response = post(made[0].token, BODY.replace("  ", " "), headers=signed(made[2]))
    assert response.json()["fault"] == "no matching signature"


@pytest.mark.parametrize("body", [b"", b"\x00\xff not text", b"plain"])
def test_whatever_comes_is_kept(made: tuple[Sink, Endpoint, str], body: bytes) -> None:
    response = post(made[0].token, body, headers={"webhook-\x00id": "\x00" * 5000})
    assert response.json()["verified"] is False
    assert SinkMessage.objects.count() == 1


def test_a_body_over_256_kib_is_refused(made: tuple[Sink, Endpoint, str]) -> None:
    assert post(made[0].token, b"x" * sinks.BODY_MAX_BYTES).status_code == 200
    response = post(made[0].token, b"x" * (sinks.BODY_MAX_BYTES + 1))
    assert (response.status_code, response.json()["code"]) == (413, "payload_too_large")
    assert SinkMessage.objects.count() == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_only_post_is_taken(made: tuple[Sink, Endpoint, str], method: str) -> None:
    response = Client().generic(method, f"/webhook-sink/{made[0].token}")
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("token", ["unknown", "%00", "a.b"])
def test_an_unknown_token_is_not_found(token: str) -> None:
    assert post(token).status_code == 404


def test_a_sink_that_is_switched_off_is_not_found(made: tuple[Sink, Endpoint, str], settings: Settings) -> None:
    settings.WEBHOOK_SINK_ENABLED = False
    assert post(made[0].token).status_code == 404
    assert not SinkMessage.objects.exists()


def fill(sink: Sink, count: int, *, age: timedelta) -> None:
    at = timezone.now() - age
    SinkMessage.objects.bulk_create(SinkMessage(sink=sink, received_at=at, body=str(n)) for n in range(count))


@pytest.mark.owner
def test_a_flooded_sink_refuses_for_a_minute_and_no_other_does(
    acme: Organization, made: tuple[Sink, Endpoint, str]
) -> None:
    fill(made[0], sinks.MESSAGES_PER_MINUTE, age=timedelta(seconds=50))
    response = post(made[0].token)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "60")
    assert post(sinks.create_sink(organization=acme, mode=Mode.LIVE)[0].token).status_code == 200
    SinkMessage.objects.update(received_at=timezone.now() - timedelta(seconds=61))
    assert post(made[0].token).status_code == 200


def test_a_sink_keeps_its_newest_200_messages(acme: Organization, made: tuple[Sink, Endpoint, str]) -> None:
    fill(made[0], 230, age=timedelta(hours=1))
    other = sinks.create_sink(organization=acme, mode=Mode.LIVE)[0]
    fill(other, 3, age=timedelta(hours=2))
    post(made[0].token)
    messages = list(sinks.messages_of(made[0]))
    assert [message.body for message in messages] == [BODY, *(str(n) for n in range(229, 30, -1))]
    assert sinks.messages_of(other).count() == 3


def test_messages_of_more_than_a_week_are_dropped(made: tuple[Sink, Endpoint, str]) -> None:
    fill(made[0], 2, age=timedelta(days=7, minutes=1))
    fill(made[0], 1, age=timedelta(days=6, hours=23))
    assert sinks.purge(now=timezone.now()) == 2
    assert SinkMessage.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ('{"summary": {"total": 31}, "ledger": {"reserved": 31337}}', '"total": 31 }, "ledger": { "reserved": ••• }'),
        ("reserved=31337", "The body is no JSON. It may name credits, which your role does not see."),
        ("[" * 100_000, "The body is no JSON. It may name credits, which your role does not see."),
        ("31337", "•••"),
        (r'"half of a pair: \ud83d"', r'"half of a pair: \ud83d"'),
    ],
    ids=["ours", "a form", "deep", "a number", "no text"],
)
def test_who_sees_no_credits_sees_what_came_without_them(
    made: tuple[Sink, Endpoint, str], body: str, shown: str
) -> None:
    sink, endpoint, _ = made
    post(sink.token, body)
    page = words_of(member(endpoint.organization, "customer developer").get(f"/admin/sinks/{sink.token}"))
    assert shown in page
    assert "31337" not in page
    whole = words_of(member(endpoint.organization, "customer admin").get(f"/admin/sinks/{sink.token}"))
    assert body in whole
