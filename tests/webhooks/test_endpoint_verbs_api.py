"""The verbs of a webhook endpoint over HTTP: it is tested, its secret is rotated, and it is told again."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from sora2.times import from_timestamp
from tests.factories import Account, code_of
from tests.webhooks.customer import faults_of, make, signed_by, tell
from tests.webhooks.receivers import Receiver, answers, in_turn, serve
from webhooks import delivery, endpoints
from webhooks.models import Attempt, Delivery, Endpoint, EventType

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("loopback")]

State = Delivery.State


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that takes everything."""
    with serve(answers(200, b"thanks")) as receiver:
        yield receiver


@pytest.fixture
def hook(account: Account) -> Endpoint:
    """A live endpoint that nobody listens at."""
    return make(account.api)[0]


def log() -> list[tuple[str, int | None]]:
    """Return what asked for each attempt, and what was answered, in the order of time."""
    return list(Attempt.objects.order_by("pk").values_list("trigger", "status_code"))


# --- testing -------------------------------------------------------------------------------------------------------


def in_a_moment(call: Callable[[], object]) -> None:
    """Call, in a thread with a connection of its own, when there is something pending."""
    try:
        for _ in range(200):
            if Delivery.objects.filter(state=State.PENDING).exists():
                break
            threading.Event().wait(0.02)
        call()
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("status", "state"), [(200, "delivered"), (500, "exhausted")])
def test_a_test_is_sent_by_the_workers_once_and_its_end_is_answered(account: Account, status: int, state: str) -> None:
    with serve(answers(status, b"seen")) as receiver, ThreadPoolExecutor(1) as pool:
        endpoint, secret = make(account.api, receiver.url, events=["credits.low"])
        make(account.api, f"{receiver.url}/other")
        worker = pool.submit(in_a_moment, delivery.deliver_due)
        response = account.api.post(f"/webhook-endpoints/{endpoint.pk}/test")
        worker.result()
    assert response.status_code == 200
    answer = response.json()
    assert answer == {"ok": True, **answer} == account.api.get(f"/webhook-deliveries/{answer['id']}").json()
    said = [(tried["trigger"], tried["status_code"], tried["response"]) for tried in answer["attempts"]]
    assert (answer["event"], answer["state"], said) == ("webhook.test", state, [("test", status, "seen")])
    assert (answer["endpoint_id"], answer["batch_id"]) == (endpoint.pk, None)
    [request] = receiver.requests
    assert signed_by(secret, request)
    body = json.loads(request.body)
    assert (body["event"], body["endpoint_id"], body["event_id"]) == ("webhook.test", endpoint.pk, answer["event_id"])
    assert Endpoint.objects.get(pk=endpoint.pk).failing_since is None


def test_a_test_that_has_not_ended_in_time_is_answered_as_it_is(
    account: Account, hook: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "TEST_WAIT_SECONDS", 0.25)
    response = account.api.post(f"/webhook-endpoints/{hook.pk}/test")
    assert response.status_code == 202
    answer = response.json()
    assert (answer["ok"], answer["state"], answer["attempts"]) == (True, "pending", [])
    assert response.headers["Location"].endswith(f"/webhook-deliveries/{answer['id']}")
    assert account.api.get(response.headers["Location"]).json() == answer


def test_a_test_of_one_that_is_disabled_ends_at_once(account: Account) -> None:
    endpoint, _ = make(account.api, enabled=False)
    response = account.api.post(f"/webhook-endpoints/{endpoint.pk}/test")
    assert response.status_code == 200
    assert (response.json()["state"], response.json()["skipped_reason"]) == (
        "skipped",
        "the endpoint was switched off",
    )


# --- rotating ------------------------------------------------------------------------------------------------------


def rotate(account: Account, endpoint: Endpoint, **body: Any) -> tuple[str, str | None]:
    """Rotate; return the new secret, and until when the old one signs."""
    response = account.api.post(f"/webhook-endpoints/{endpoint.pk}/rotate-secret", body)
    assert response.status_code == 200, response.content
    answer = response.json()
    assert list(answer) == ["ok", "id", "secret", "secret_rotating_until"]
    assert answer["id"] == endpoint.pk
    shown = account.api.get(f"/webhook-endpoints/{endpoint.pk}").json()
    assert shown["secret_rotating_until"] == answer["secret_rotating_until"]
    return answer["secret"], answer["secret_rotating_until"]


def test_both_secrets_sign_until_the_overlap_ends(account: Account, receiver: Receiver) -> None:
    endpoint, old = make(account.api, receiver.url)
    new, until = rotate(account, endpoint, overlap_hours=2)
    assert new != old
    ends = timezone.now() + timedelta(hours=2)
    assert until is not None
    assert ends - timedelta(minutes=1) < from_timestamp(until) <= ends
    tell(account)
    delivery.deliver_due()
    Endpoint.objects.update(previous_secret_until=timezone.now())
    tell(account)
    delivery.deliver_due()
    during, after = receiver.requests
    assert len(during.headers["webhook-signature"].split()) == 2
    assert (signed_by(old, during), signed_by(new, during)) == (True, True)
    assert len(after.headers["webhook-signature"].split()) == 1
    assert (signed_by(old, after), signed_by(new, after)) == (False, True)
    assert account.api.get(f"/webhook-endpoints/{endpoint.pk}").json()["secret_rotating_until"] is None


def test_without_overlap_the_old_secret_ends_at_once(account: Account, receiver: Receiver) -> None:
    endpoint, old = make(account.api, receiver.url)
    new, until = rotate(account, endpoint, overlap_hours=0)
    assert until is None
    tell(account)
    delivery.deliver_due()
    [request] = receiver.requests
    assert (signed_by(old, request), signed_by(new, request)) == (False, True)


def test_a_retry_after_a_rotation_is_signed_with_what_holds_then(account: Account) -> None:
    with serve(in_turn(answers(500), answers(200))) as receiver:
        endpoint, old = make(account.api, receiver.url)
        event_id = tell(account)
        delivery.deliver_due()
        new, _ = rotate(account, endpoint)
        Delivery.objects.update(due_at=timezone.now())
        delivery.deliver_due()
        first, second = receiver.requests
    assert (signed_by(old, first), signed_by(new, first)) == (True, False)
    assert (signed_by(old, second), signed_by(new, second)) == (True, True)
    assert [request.headers["webhook-id"] for request in (first, second)] == [event_id] * 2
    assert log() == [("auto", 500), ("auto", 200)]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"overlap_hours": null}'])
def test_the_old_secret_signs_for_a_day_if_nothing_is_said(account: Account, hook: Endpoint, body: bytes) -> None:
    content_type = "application/json" if body else ""
    response = account.api.send("POST", f"/webhook-endpoints/{hook.pk}/rotate-secret", body, content_type)
    assert response.status_code == 200
    until = Endpoint.objects.get().previous_secret_until
    assert until is not None
    assert timedelta(hours=23, minutes=59) < until - timezone.now() <= timedelta(hours=24)


@pytest.mark.parametrize("hours", [-1, 169, 1.5, "24", True, [1], 10**30])
def test_an_overlap_is_a_whole_number_of_hours_up_to_a_week(account: Account, hook: Endpoint, hours: Any) -> None:
    response = account.api.post(f"/webhook-endpoints/{hook.pk}/rotate-secret", {"overlap_hours": hours})
    assert faults_of(response) == [("/overlap_hours", "invalid")]
    assert Endpoint.objects.get().secret_encrypted == hook.secret_encrypted


def test_a_rotation_takes_no_other_field(account: Account, hook: Endpoint) -> None:
    response = account.api.post(f"/webhook-endpoints/{hook.pk}/rotate-secret", {"hours": 1})
    assert faults_of(response) == [("/hours", "unknown_field")]
    assert code_of(account.api.send("POST", f"/webhook-endpoints/{hook.pk}/rotate-secret", b"[", "text/plain")) == (
        415,
        "unsupported_media_type",
    )


# --- telling again -------------------------------------------------------------------------------------------------


@pytest.fixture
def told(account: Account, receiver: Receiver) -> tuple[Endpoint, list[str]]:
    """An endpoint that was told of one event each day since the tenth: some arrived, one was given up, one skipped."""
    endpoint, _ = make(account.api, receiver.url)
    ids = [tell(account, at=day(number)) for number in (10, 11, 12, 13)]
    ids.append(tell(account, EventType.CREDITS_LOW, at=day(14)))
    delivery.deliver_due()
    Delivery.objects.filter(event=ids[1]).update(state=State.EXHAUSTED)
    receiver.requests.clear()
    return endpoint, ids


def day(number: int) -> datetime:
    return datetime(2026, 10, number, tzinfo=UTC)


def noon(number: int) -> str:
    return f"2026-10-{number:02}T12:00:00+00:00"


@pytest.mark.owner
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"created_after": "2026-10-12T00:00:00Z"}, [2, 3]),
        ({"created_before": "2026-10-12T00:00:00Z"}, [0, 1]),
        ({"created_after": noon(10), "created_before": noon(12)}, [1, 2]),
        ({"undelivered": True}, [1]),
        ({"undelivered": True, "events": ["batch.completed", "credits.low"]}, [1, 4]),
        ({"created_after": noon(1), "events": ["credits.low"]}, [4]),
        ({"created_after": noon(1), "events": ["item.failed"]}, []),
        ({"undelivered": True, "created_after": noon(12)}, []),
    ],
)
def test_what_is_counted_is_what_is_sent_again_under_the_same_ids(
    account: Account,
    receiver: Receiver,
    told: tuple[Endpoint, list[str]],
    body: dict[str, Any],
    expected: list[int],
) -> None:
    endpoint, ids = told
    path, before = f"/webhook-endpoints/{endpoint.pk}/replay", Delivery.objects.order_by("pk").values()
    was = list(before)
    counted = account.api.post(path, {**body, "dry_run": True})
    assert (counted.status_code, counted.json()) == (200, {"ok": True, "dry_run": True, "count": len(expected)})
    assert list(before.all()) == was
    sent = account.api.post(path, {**body, "dry_run": False})
    assert (sent.status_code, sent.json()) == (202, {"ok": True, "dry_run": False, "count": len(expected)})
    delivery.deliver_due()
    assert sorted(request.headers["webhook-id"] for request in receiver.requests) == [ids[n] for n in expected]
    assert log()[4:] == [("range", 200)] * len(expected)


def test_what_was_skipped_while_switched_off_is_sent_after_switching_on(account: Account, receiver: Receiver) -> None:
    endpoint, _ = make(account.api, receiver.url, enabled=False)
    path = f"/webhook-endpoints/{endpoint.pk}"
    ids = [tell(account) for _ in range(3)]
    refused = account.api.post(f"{path}/replay", {"undelivered": True})
    assert faults_of(refused) == [("", "endpoint_disabled")]
    assert "enable it first" in refused.json()["detail"]
    account.api.patch(path, {"enabled": True})
    assert account.api.post(f"{path}/replay", {"undelivered": True}).json()["count"] == 3
    delivery.deliver_due()
    assert sorted(request.headers["webhook-id"] for request in receiver.requests) == ids


def test_a_test_event_is_never_part_of_a_range(account: Account, hook: Endpoint) -> None:
    endpoints.send_test(endpoint=hook, actor="test", now=timezone.now())
    Delivery.objects.update(state=State.EXHAUSTED, due_at=None)
    Attempt.objects.create(delivery=Delivery.objects.get(), number=1, at=timezone.now(), error="timeout", duration_ms=1)
    assert account.api.post(f"/webhook-endpoints/{hook.pk}/replay", {"undelivered": True}).json()["count"] == 0


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({}, [("", "required")]),
        ({"events": ["batch.completed"], "dry_run": True}, [("", "required")]),
        ({"undelivered": False}, [("", "required")]),
        ({"created_after": None}, [("", "required")]),
        ({"created_after": "2026-10-12"}, [("/created_after", "invalid")]),
        ({"created_after": "2026-10-12T00:00:00"}, [("/created_after", "invalid")]),
        ({"created_before": 1760000000}, [("/created_before", "invalid")]),
        ({"created_after": noon(12), "created_before": noon(12)}, [("/created_before", "invalid")]),
        ({"undelivered": "true"}, [("/undelivered", "invalid")]),
        ({"undelivered": True, "dry_run": "no"}, [("/dry_run", "invalid")]),
        ({"undelivered": True, "events": []}, [("/events", "invalid")]),
        ({"undelivered": True, "events": ["batch.ended"]}, [("/events/0", "unknown_event")]),
        ({"undelivered": True, "state": "exhausted"}, [("/state", "unknown_field")]),
        ({"created_after": "x", "events": "x"}, [("/created_after", "invalid"), ("/events", "invalid")]),
    ],
)
def test_what_is_wrong_with_a_range_is_said_where_it_stands(
    account: Account, hook: Endpoint, body: dict[str, Any], faults: list[tuple[str, str]]
) -> None:
    assert faults_of(account.api.post(f"/webhook-endpoints/{hook.pk}/replay", body)) == faults
