"""Webhook endpoints over HTTP: made, looked at, changed and deleted. Their other verbs: test_endpoint_verbs_api."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from customers.models import AuditEvent, Mode
from sora2.times import timestamp
from tests.factories import Account, code_of
from tests.webhooks.customer import URL, faults_of, make, tell
from tests.webhooks.receivers import Receiver, answers, in_turn, serve
from webhooks import delivery, endpoints
from webhooks.models import Attempt, Delivery, Endpoint

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


# --- creating ------------------------------------------------------------------------------------------------------


def test_an_endpoint_is_created_with_its_secret_shown_this_once(account: Account) -> None:
    body = {"url": URL, "events": ["credits.low", "item.failed"], "description": "Orders, größer"}
    response = account.api.post("/webhook-endpoints", body)
    assert response.status_code == 201
    answer = response.json()
    assert response.headers["Location"].endswith(f"/api/enterprise/webhook-endpoints/{answer['id']}")
    assert "no-store" in response.headers["Cache-Control"]
    assert list(answer)[:7] == ["ok", "id", "url", "events", "description", "enabled", "disabled_reason"]
    secret, created_at = answer.pop("secret"), answer.pop("created_at")
    assert created_at.endswith("Z")
    assert answer == {
        "ok": True,
        "id": Endpoint.objects.get().pk,
        **body,
        "enabled": True,
        "disabled_reason": None,
        "livemode": True,
        "secret_rotating_until": None,
        "health": {
            "state": "healthy",
            "failing_since": None,
            "consecutive_failures": 0,
            "paused_until": None,
            "next_attempt_at": None,
            "pending": 0,
            "attempts_24h": 0,
            "success_rate": None,
            "p50_ms": None,
            "p95_ms": None,
            "disabled_at": None,
        },
    }
    assert Endpoint.objects.get().secret == secret
    assert account.api.get(response.headers["Location"]).json() == {**answer, "created_at": created_at}


def test_only_the_address_is_needed_and_null_is_as_good_as_missing(account: Account) -> None:
    nothing = {"events": None, "description": None, "enabled": None}
    for name, body in (("a", {}), ("b", nothing)):
        answer = account.api.post("/webhook-endpoints", {"url": f"{URL}/{name}", **body}).json()
        said = (answer["events"], answer["description"], answer["enabled"])
        assert said == (["batch.completed"], "", True)


def test_an_endpoint_can_be_made_switched_off(account: Account) -> None:
    answer = account.api.post("/webhook-endpoints", {"url": URL, "enabled": False}).json()
    assert (answer["enabled"], answer["disabled_reason"]) == (False, "the endpoint was switched off")
    assert answer["health"]["state"] == "disabled"


def test_it_is_of_the_key_s_mode(account: Account) -> None:
    for api, mode in ((account.api, Mode.LIVE), (account.test_api, Mode.TEST)):
        endpoint, _ = make(api)
        assert (endpoint.organization, endpoint.mode) == (account.organization, mode)
        assert api.get(f"/webhook-endpoints/{endpoint.pk}").json()["livemode"] is (mode == Mode.LIVE)


def test_the_audit_log_says_which_key_did_what(account: Account) -> None:
    endpoint, secret = make(account.api)
    account.api.patch(f"/webhook-endpoints/{endpoint.pk}", {"description": "new"})
    rotated = account.api.post(f"/webhook-endpoints/{endpoint.pk}/rotate-secret").json()["secret"]
    account.api.delete(f"/webhook-endpoints/{endpoint.pk}")
    events = AuditEvent.objects.filter(subject=endpoint.pk).order_by("pk")
    assert [event.action.partition(".")[2] for event in events] == ["create", "change", "rotate_secret", "delete"]
    assert {event.actor for event in events} == {account.keys[Mode.LIVE].pk}
    said = json.dumps([event.detail for event in events])
    assert secret not in said
    assert rotated not in said


FAULTY_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"url": "http://example.com/hook"}, "/url", "invalid"),
    ({"url": "https://10.0.0.1/hook"}, "/url", "invalid"),
    ({"url": "https://example.com/" + "x" * 2000}, "/url", "invalid"),
    ({"url": "https://example.com/\0"}, "/url", "invalid"),
    ({"url": ""}, "/url", "invalid"),
    ({"url": 7}, "/url", "invalid"),
    ({"events": []}, "/events", "invalid"),
    ({"events": "batch.completed"}, "/events", "invalid"),
    ({"events": {"0": "batch.completed"}}, "/events", "invalid"),
    ({"events": ["batch.ended"]}, "/events/0", "unknown_event"),
    ({"events": ["credits.low", "batch.ended"]}, "/events/1", "unknown_event"),
    ({"events": [["credits.low"]]}, "/events/0", "unknown_event"),
    ({"events": ["credits.low", "credits.low"]}, "/events/1", "not_unique"),
    ({"description": "x" * 201}, "/description", "invalid"),
    ({"description": "a\0b"}, "/description", "invalid"),
    ({"description": ["x"]}, "/description", "invalid"),
    ({"enabled": "false"}, "/enabled", "invalid"),
    ({"enabled": 1}, "/enabled", "invalid"),
    ({"secret": "whsec_own"}, "/secret", "unknown_field"),
    ({"a/b": 1}, "/a~1b", "unknown_field"),
]


@pytest.mark.parametrize(("body", "pointer", "code"), FAULTY_FIELDS)
def test_what_is_wrong_with_an_endpoint_is_said_where_it_stands(
    account: Account, hook: Endpoint, body: dict[str, Any], pointer: str, code: str
) -> None:
    assert faults_of(account.api.post("/webhook-endpoints", {"url": f"{URL}/new", **body})) == [(pointer, code)]
    assert faults_of(account.api.patch(f"/webhook-endpoints/{hook.pk}", body)) == [(pointer, code)]
    assert (
        Endpoint.objects.values().get() == Endpoint.objects.filter(url=URL, events=["batch.completed"]).values().get()
    )


def test_every_fault_is_told_at_once(account: Account) -> None:
    body = {"events": ["x", "credits.low", "credits.low"], "description": 1, "enabled": 1, "colour": "red"}
    response = account.api.post("/webhook-endpoints", body)
    assert faults_of(response) == [
        ("/colour", "unknown_field"),
        ("/url", "required"),
        ("/events/0", "unknown_event"),
        ("/events/2", "not_unique"),
        ("/description", "invalid"),
        ("/enabled", "invalid"),
    ]
    assert "6 faults" in response.json()["detail"]


def test_of_very_many_faults_the_first_hundred_are_told(account: Account) -> None:
    response = account.api.post("/webhook-endpoints", {"url": URL, "events": ["credits.low"] * 100_000})
    assert len(faults_of(response)) == 100


def test_why_an_address_is_refused_is_said(account: Account) -> None:
    (fault,) = account.api.post("/webhook-endpoints", {"url": "https://user@example.com/"}).json()["errors"]
    assert fault["detail"].startswith("The address ")


def test_an_address_is_taken_once_in_a_mode(account: Account, hook: Endpoint) -> None:
    response = account.api.post("/webhook-endpoints", {"url": URL})
    assert faults_of(response) == [("/url", "duplicate")]
    assert hook.pk in response.json()["detail"]
    other, _ = make(account.api, f"{URL}/other")
    assert faults_of(account.api.patch(f"/webhook-endpoints/{other.pk}", {"url": URL})) == [("/url", "duplicate")]
    make(account.test_api)
    account.api.delete(f"/webhook-endpoints/{hook.pk}")
    make(account.api)


def test_an_organization_has_twenty_endpoints_at_most(account: Account) -> None:
    made = [make(account.api, f"{URL}/{number}")[0] for number in range(endpoints.ENDPOINTS_MOST)]
    response = account.api.post("/webhook-endpoints", {"url": URL})
    assert faults_of(response) == [("", "too_many")]
    assert response.json()["limit"] == 20
    assert "20" in response.json()["detail"]
    make(account.test_api)
    account.api.delete(f"/webhook-endpoints/{made[0].pk}")
    make(account.api)


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"[]", "application/json", (400, "malformed_json")),
        (b"{", "application/json", (400, "malformed_json")),
        (b"", "application/json", (400, "malformed_json")),
        (b"{}", "text/plain", (415, "unsupported_media_type")),
    ],
)
def test_a_body_is_one_json_object(
    account: Account, hook: Endpoint, body: bytes, content_type: str, code: tuple[int, str]
) -> None:
    path = f"/webhook-endpoints/{hook.pk}"
    for method, to in (("POST", "/webhook-endpoints"), ("PATCH", path), ("POST", f"{path}/replay")):
        assert code_of(account.api.send(method, to, body, content_type)) == code


# --- looking -------------------------------------------------------------------------------------------------------


def test_endpoints_are_listed_newest_first_and_filtered(account: Account) -> None:
    made = [make(account.api, f"{URL}/{number}", enabled=number != 1)[0].pk for number in range(3)]
    make(account.test_api)
    first = account.api.get("/webhook-endpoints", limit=2).json()
    second = account.api.get("/webhook-endpoints", limit=2, cursor=first["next_cursor"]).json()
    rows = [*first["data"], *second["data"]]
    assert [row["id"] for row in rows] == made[::-1]
    assert all("secret" not in row and "ok" not in row for row in rows)

    def found(enabled: str) -> list[int]:
        data = account.api.get("/webhook-endpoints", enabled=enabled).json()["data"]
        return sorted(made.index(row["id"]) for row in data)

    assert (found("true"), found("false")) == ([0, 2], [1])
    assert faults_of(account.api.get("/webhook-endpoints", enabled="yes")) == [("?enabled", "invalid")]


def test_a_page_costs_the_same_queries_however_many_endpoints_there_are(account: Account) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert account.api.get("/webhook-endpoints").status_code == 200
        return len(captured)

    make(account.api)
    one = queries()
    for number in range(5):
        make(account.api, f"{URL}/{number}")
        tell(account)
    assert queries() == one <= 4


def test_a_secret_is_nowhere_but_in_the_answer_that_shows_it(
    account: Account, hook: Endpoint, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint, first = make(account.api, receiver.url)
    path = f"/webhook-endpoints/{endpoint.pk}"
    response = account.api.post(f"{path}/rotate-secret", {"overlap_hours": 1})
    assert "no-store" in response.headers["Cache-Control"]
    second = response.json()["secret"]
    tell(account)
    delivery.deliver_due()
    said = [account.api.get(to).content.decode() for to in (path, "/webhook-endpoints", "/webhook-deliveries")]
    said += [account.api.patch(path, {"description": "x"}).content.decode(), caplog.text]
    said += [str(row) for row in (*AuditEvent.objects.values(), *Endpoint.objects.values(), *Attempt.objects.values())]
    assert "api.answered" in caplog.text
    for secret in (first, second):
        assert secret not in "".join(said)
        assert secret.removeprefix("whsec_") not in "".join(said)


def health_of(account: Account, endpoint: Endpoint) -> Any:
    return account.api.get(f"/webhook-endpoints/{endpoint.pk}").json()["health"]


def test_the_health_of_one_that_works(account: Account, receiver: Receiver) -> None:
    endpoint, _ = make(account.api, receiver.url)
    tell(account)
    waiting = health_of(account, endpoint)
    assert (waiting["pending"], waiting["attempts_24h"]) == (1, 0)
    assert waiting["next_attempt_at"] == timestamp(Delivery.objects.get().due_at)
    delivery.deliver_due()
    health = health_of(account, endpoint)
    assert health["p50_ms"] == health["p95_ms"] == Attempt.objects.get().duration_ms
    assert (health["state"], health["attempts_24h"], health["success_rate"]) == ("healthy", 1, 1.0)
    assert (health["pending"], health["next_attempt_at"], health["disabled_at"]) == (0, None, None)


def test_the_health_of_one_that_fails_and_is_paused(account: Account) -> None:
    with serve(in_turn(answers(200), answers(500), answers(503, headers={"Retry-After": "600"}))) as receiver:
        endpoint, _ = make(account.api, receiver.url)
        for _ in range(3):
            tell(account)
            delivery.deliver_due()
            Delivery.objects.filter(attempts_made=1, state=State.PENDING).update(
                due_at=timezone.now() + timedelta(seconds=60)
            )
            if Attempt.objects.count() == 2:
                failing = health_of(account, endpoint)
    assert (failing["state"], failing["consecutive_failures"], failing["success_rate"]) == ("failing", 1, 0.5)
    row = Endpoint.objects.get()
    assert row.failing_since is not None
    assert failing["failing_since"] == timestamp(row.failing_since)
    assert failing["disabled_at"] == timestamp(row.failing_since + timedelta(days=5))
    assert failing["paused_until"] is None

    paused = health_of(account, endpoint)
    assert (paused["state"], paused["consecutive_failures"], paused["success_rate"]) == ("paused", 2, 0.3333)
    assert paused["pending"] == 2
    # Both are due in a minute, and neither is sent before the pause ends.
    assert paused["paused_until"] == paused["next_attempt_at"] == timestamp(row.paused_until)
    for one in account.api.get("/webhook-deliveries", state="pending").json()["data"]:
        assert one["next_attempt_at"] == timestamp(row.paused_until)


def test_a_pause_that_is_over_is_none(account: Account, hook: Endpoint) -> None:
    Endpoint.objects.update(paused_until=timezone.now() - timedelta(seconds=1), failing_since=timezone.now())
    health = health_of(account, hook)
    assert (health["state"], health["paused_until"]) == ("failing", None)


def test_the_health_of_one_that_was_disabled(account: Account) -> None:
    with serve(answers(410)) as receiver:
        endpoint, _ = make(account.api, receiver.url)
        tell(account)
        delivery.deliver_due()
    answer = account.api.get(f"/webhook-endpoints/{endpoint.pk}").json()
    assert (answer["enabled"], answer["disabled_reason"]) == (False, "the receiver answered 410 Gone")
    assert (answer["health"]["state"], answer["health"]["disabled_at"]) == ("disabled", None)


@pytest.mark.parametrize("endpoint_id", ["nonsense", "whe_x", "whe_" + "0" * 26, "whe_%00", "dlv_" + "0" * 26])
def test_what_does_not_exist_is_not_found(account: Account, endpoint_id: str) -> None:
    path = f"/webhook-endpoints/{endpoint_id}"
    for response in (
        account.api.get(path),
        account.api.patch(path, {"enabled": True}),
        account.api.delete(path),
        account.api.post(f"{path}/test"),
        account.api.post(f"{path}/rotate-secret"),
        account.api.post(f"{path}/replay", {"undelivered": True}),
    ):
        assert code_of(response) == (404, "not_found")


def test_other_methods_are_not_allowed(account: Account, hook: Endpoint) -> None:
    response = account.api.send("PUT", f"/webhook-endpoints/{hook.pk}", b"{}", "application/json")
    assert code_of(response) == (405, "method_not_allowed")
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "PATCH", "DELETE"}
    assert code_of(account.api.delete("/webhook-endpoints")) == (405, "method_not_allowed")


# --- changing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://example.org/other"},
        {"events": ["item.failed", "batch.completed"]},
        {"description": "mine"},
        {"description": ""},
        {"enabled": True},
        {"url": URL, "events": ["credits.low"], "description": "all", "enabled": False},
    ],
)
def test_a_field_is_changed_and_the_others_stay(account: Account, hook: Endpoint, change: dict[str, Any]) -> None:
    path = f"/webhook-endpoints/{hook.pk}"
    before = account.api.get(path).json()
    response = account.api.patch(path, change)
    assert response.status_code == 200
    after = response.json()
    assert after == account.api.get(path).json()
    untouched = before.keys() - change.keys() - {"disabled_reason", "health"}
    assert {name: after[name] for name in change} == change
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}


def test_a_change_says_what_to_change(account: Account, hook: Endpoint) -> None:
    assert faults_of(account.api.patch(f"/webhook-endpoints/{hook.pk}", {})) == [("", "required")]


@pytest.mark.parametrize("name", ["url", "events", "description", "enabled"])
def test_null_is_no_value_of_a_field(account: Account, hook: Endpoint, name: str) -> None:
    response = account.api.patch(f"/webhook-endpoints/{hook.pk}", {name: None})
    assert faults_of(response) == [(f"/{name}", "invalid")]


def test_switching_off_skips_what_waits_and_switching_on_sends_nothing_of_it(
    account: Account, receiver: Receiver
) -> None:
    endpoint, _ = make(account.api, receiver.url)
    path = f"/webhook-endpoints/{endpoint.pk}"
    tell(account)
    answer = account.api.patch(path, {"enabled": False}).json()
    assert (answer["enabled"], answer["disabled_reason"]) == (False, "the endpoint was switched off")
    delivery.deliver_due()
    tell(account)
    answer = account.api.patch(path, {"enabled": True}).json()
    assert (answer["enabled"], answer["disabled_reason"], answer["health"]["state"]) == (True, None, "healthy")
    delivery.deliver_due()
    skipped = account.api.get("/webhook-deliveries", endpoint_id=endpoint.pk).json()["data"]
    assert [(row["state"], row["skipped_reason"]) for row in skipped] == [
        ("skipped", "the endpoint was switched off")
    ] * 2
    assert receiver.requests == []


def test_what_waits_follows_the_address(account: Account, hook: Endpoint, receiver: Receiver) -> None:
    event_id = tell(account)
    account.api.patch(f"/webhook-endpoints/{hook.pk}", {"url": receiver.url})
    delivery.deliver_due()
    assert [request.headers["webhook-id"] for request in receiver.requests] == [event_id]


# --- deleting ------------------------------------------------------------------------------------------------------


def test_one_that_is_deleted_is_gone_and_its_deliveries_stay(account: Account, hook: Endpoint) -> None:
    tell(account)
    path = f"/webhook-endpoints/{hook.pk}"
    response = account.api.delete(path)
    assert (response.status_code, response.json()) == (200, {"ok": True, "id": hook.pk, "deleted": True})
    for again in (
        account.api.delete(path),
        account.api.get(path),
        account.api.patch(path, {"enabled": True}),
        account.api.post(f"{path}/test"),
        account.api.post(f"{path}/rotate-secret"),
        account.api.post(f"{path}/replay", {"undelivered": True}),
    ):
        assert code_of(again) == (404, "not_found")
    assert account.api.get("/webhook-endpoints").json()["data"] == []
    delivery.deliver_due()
    (row,) = account.api.get("/webhook-deliveries", endpoint_id=hook.pk).json()["data"]
    assert (row["state"], row["skipped_reason"]) == ("skipped", "the endpoint was deleted")


def test_one_that_is_deleted_meanwhile_is_not_found(
    account: Account, hook: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there when the request came, and is gone when it comes to its turn."""
    find = Endpoint.objects.within(account.keys[Mode.LIVE].access()).present().get()
    monkeypatch.setattr("webhooks.endpoints_api._endpoint", lambda *_: find)
    endpoints.delete_endpoint(endpoint=hook, actor="test", now=timezone.now())
    path = f"/webhook-endpoints/{hook.pk}"
    for response in (
        account.api.delete(path),
        account.api.patch(path, {"enabled": True}),
        account.api.post(f"{path}/rotate-secret"),
    ):
        assert code_of(response) == (404, "not_found")
    assert faults_of(account.api.post(f"{path}/replay", {"undelivered": True})) == [("", "endpoint_deleted")]
