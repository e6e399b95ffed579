"""Retry over HTTP: the refunded items that may succeed, in a batch of their own, each once, at today's prices."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from batches import intake, retrying, services, stopping
from batches.catalogue import catalogue
from batches.failures import FailureType
from batches.finalization import finalize_batch_credits
from batches.models import Batch, Item, Output
from batches.simulator.server import SimulatorServer
from customers.access import Permission
from customers.models import AuditEvent, Mode
from ledger.models import Entry
from tests.batches.engine import drive
from tests.batches.offers import change_model, publish, retire
from tests.connections import at_once
from tests.factories import (
    Account,
    Api,
    api_with_scopes,
    code_of,
    end_batch,
    end_items,
    fund,
    make_account,
    make_batch,
    order,
)
from webhooks.models import Delivery

pytestmark = pytest.mark.django_db

NEVER = (FailureType.CONTENT_REFUSED, FailureType.INVALID_REQUEST, FailureType.MODEL_RETIRED)


def retry(
    api: Api, batch: Batch, request_id: Any = "again", *, headers: Mapping[str, str] | None = None, **fields: Any
) -> Any:
    """Ask for a retry of a batch; without a request id in the body when that is None."""
    ids = {} if request_id is None else {"request_id": request_id}
    return api.post(f"/video-batch/{batch.pk}/retry", {**ids, **fields}, headers=headers)


def retried(api: Api, batch: Batch, request_id: str = "again", **fields: Any) -> Batch:
    """Retry a batch and return the new one."""
    response = retry(api, batch, request_id, **fields)
    assert response.status_code == 201, response.content
    return Batch.objects.get(pk=response.json()["batch_id"])


def failed(api: Api, count: int = 1, failure: FailureType = FailureType.TIMEOUT, **fields: Any) -> Batch:
    """Return a batch all of whose items failed and were refunded."""
    return end_batch(make_batch(api, count, **fields), failed=dict.fromkeys(range(count), failure))


def stored() -> tuple[int, int, int]:
    """Count what an order stores."""
    reserves = Entry.objects.filter(kind="reserve")
    return Batch.objects.count(), Item.objects.count(), reserves.count()


def audited() -> list[tuple[str, str]]:
    """Return whose orders were refused, and with which outcome."""
    refusals = AuditEvent.objects.filter(action="batch.submit").order_by("pk")
    return [(event.subject, event.outcome) for event in refusals]


# --- what a retry makes --------------------------------------------------------------------------------------------

ITEMS: Sequence[dict[str, Any]] = (
    {"prompt": "It succeeds"},
    {"prompt": "It was late", "seconds": 8, "size": "720x1280", "custom_id": "sku-1", "metadata": {"sku": "1"}},
    {"prompt": "It was refused", "custom_id": "sku-2"},
    {"prompt": "There was no room", "model": "veo-3", "seconds": 6, "size": "1080x1920", "metadata": {"sku": "3"}},
)


def mixed(api: Api, **fields: Any) -> Batch:
    """Return a batch of which one item succeeded, two may succeed and one cannot."""
    body = order(0, request_id="first", metadata={"campaign": "autumn"}, webhook_url="https://example.com/own")
    response = api.post("/video-batch", {**body, "items": ITEMS, **fields})
    assert response.status_code == 201, response.content
    batch = Batch.objects.get(pk=response.json()["batch_id"])
    failures = {1: FailureType.TIMEOUT, 2: FailureType.CONTENT_REFUSED, 3: FailureType.CAPACITY}
    return end_batch(batch, failed=failures)


def test_what_was_refunded_and_may_succeed_is_ordered_anew(account: Account) -> None:
    first = mixed(account.api)
    assert account.figures() == (990, 0, 10)
    response = retry(account.api, first)
    again = Batch.objects.latest("pk")
    assert response.status_code == 201
    assert response.headers["Location"] == f"{settings.PUBLIC_BASE_URL}/api/enterprise/video-batch/{again.pk}"
    assert "Idempotent-Replayed" not in response.headers
    assert {
        "ok": True,
        "batch_id": again.pk,
        "state": "queued",
        "request_id": "again",
        "livemode": True,
        "deadline": None,
        "created_via": "api",
        "summary": {"total": 2, "pending": 2, "running": 0, "succeeded": 0, "failed": 0},
        "ledger": {"reserved": 20 + 73, "settled": 0, "refunded": 0},
        "failures": [],
        "metadata": {"campaign": "autumn"},
        "price_version": first.price_version,
        "retry_of": first.pk,
        "webhook_url": "https://example.com/own",
    }.items() <= response.json().items()
    assert account.figures() == (990 - 93, 93, 10)


def test_an_item_is_ordered_as_it_was(account: Account) -> None:
    first = mixed(account.api)
    again = retried(account.api, first)
    said = account.api.get(f"/video-batch/{again.pk}/items").json()["data"]
    kept = ("prompt", "model", "seconds", "size", "custom_id", "metadata", "credits")
    before = account.api.get(f"/video-batch/{first.pk}/items").json()["data"]
    assert [[item[name] for name in kept] for item in said] == [[before[n][name] for name in kept] for n in (1, 3)]
    assert [(item["index"], item["status"], item["attempts"]) for item in said] == [
        (0, "pending", 0),
        (1, "pending", 0),
    ]
    links = again.items.order_by("index").values_list("retry_of", flat=True)
    assert list(links) == list(first.items.filter(index__in=[1, 3]).order_by("index").values_list("pk", flat=True))


@pytest.mark.parametrize("failure", FailureType)
def test_only_a_failure_that_may_not_come_again_is_tried_anew(account: Account, failure: FailureType) -> None:
    batch = failed(account.api, failure=failure)
    before = stored()
    response = retry(account.api, batch)
    if failure in NEVER:
        assert code_of(response) == (422, "nothing_to_retry")
        assert stored() == before
        assert audited() == [("again", "nothing_to_retry")]
    else:
        assert response.status_code == 201
        assert audited() == []


def test_a_retry_costs_what_it_costs_today_and_the_first_batch_what_it_did(account: Account) -> None:
    first = mixed(account.api)
    publish("dearer", {"sora-2": (11, 4), "veo-3": (50, 8)})
    again = retried(account.api, first)
    # 22 for 8 seconds, and 50 x 6 / 8 rounded up.
    assert list(again.items.order_by("index").values_list("credits", flat=True)) == [22, 38]
    assert (again.credits, again.price_version) == (60, "dearer")
    first.refresh_from_db()
    assert (first.credits, first.price_version) == (10 + 20 + 10 + 73, "2026-01-24")
    assert Entry.objects.get(reference=again.pk).amount == 60


def test_a_retry_in_test_mode_spends_the_test_wallet(account: Account) -> None:
    again = retried(account.test_api, failed(account.test_api))
    assert again.mode == Mode.TEST
    assert account.figures(Mode.TEST) == (990, 10, 0)
    assert account.figures(Mode.LIVE) == (1000, 0, 0)


def test_a_deadline_that_has_passed_is_not_ordered_anew(account: Account) -> None:
    first = make_batch(account.api, 2, deadline=(timezone.now() + timedelta(hours=1)).isoformat())
    later = timezone.now() + timedelta(hours=2)
    stopping.fail_what_must_not_be_submitted(now=later)
    again = retried(account.api, first)
    assert again.deadline is None
    stopping.fail_what_must_not_be_submitted(now=later)
    again.refresh_from_db()
    assert again.state == "queued"


def test_a_retry_keeps_the_priority(account: Account) -> None:
    assert retry(account.api, failed(account.api, priority="high")).json()["priority"] == "high"


def test_what_was_canceled_may_be_tried_anew(account: Account) -> None:
    batch = make_batch(account.api, 3)
    assert account.api.post(f"/video-batch/{batch.pk}/cancel").json()["state"] == "failed"
    assert retried(account.api, batch).total == 3


def test_the_address_of_the_first_batch_is_told_of_the_end_of_the_second(account: Account) -> None:
    again = end_batch(retried(account.api, mixed(account.api)))
    told = Delivery.objects.about(again.pk).get()
    assert told.url == "https://example.com/own"
    assert f'"request_id": "{again.request_id}"' in told.event.body


def test_what_failed_of_a_retry_is_tried_anew_from_there(account: Account) -> None:
    first = failed(account.api, 3)
    second = end_batch(retried(account.api, first, "second"), failed={0: FailureType.CAPACITY, 2: FailureType.TIMEOUT})
    third = end_batch(retried(account.api, second, "third"))
    assert (third.retry_of_id, second.retry_of_id, first.retry_of_id) == (second.pk, first.pk, None)
    assert [third.total, third.settled] == [2, 20]
    assert retry(account.api, first, "fourth").json()["retried_in"] == second.pk
    assert retry(account.api, second, "fifth").json()["retried_in"] == third.pk
    assert code_of(retry(account.api, third, "sixth")) == (422, "nothing_to_retry")
    # Three videos, each charged once, whatever it took.
    assert account.figures() == (970, 0, 30)
    assert Output.objects.count() == 3


def test_what_the_provider_was_too_slow_for_succeeds_later_and_is_charged_once(
    provider: SimulatorServer, settings: Settings, account: Account
) -> None:
    settings.ITEM_DEADLINE_SECONDS = 0.5
    body = {**order(1), "items": [{"prompt": "A cat [[slow:1.5]]"}]}
    first = Batch.objects.get(pk=account.api.post("/video-batch", body).json()["batch_id"])
    assert drive(first).state == "failed"
    assert account.figures() == (1000, 0, 0)
    settings.ITEM_DEADLINE_SECONDS = 60.0
    assert drive(retried(account.api, first)).state == "completed"
    assert account.figures() == (990, 0, 10)


def test_a_retry_of_a_thousand_items_takes_as_many_statements_as_one_of_ten() -> None:
    account = make_account(100_000, max_items_per_batch=10_000)
    statements = []
    for count in (10, 1000):
        batch = failed(account.api, count, request_id=f"order-{count}")
        with CaptureQueriesContext(connection) as captured:
            assert retry(account.api, batch, f"again-{count}").status_code == 201
        statements.append([query["sql"].split()[0] for query in captured])
    assert statements[0] == statements[1]


# --- each item once ------------------------------------------------------------------------------------------------


def test_a_second_retry_is_told_where_the_items_are(account: Account) -> None:
    first = failed(account.api, 2)
    again = retried(account.api, first)
    before = stored()
    response = retry(account.api, first, "once more")
    assert code_of(response) == (409, "already_retried")
    assert response.json()["retried_in"] == again.pk
    assert stored() == before
    assert audited() == [("once more", "already_retried")]


def test_an_item_whose_model_was_not_on_offer_is_tried_anew_when_it_is_back(account: Account) -> None:
    first = mixed(account.api)
    retire("veo-3", replacement="sora-2-pro")
    assert [item.model for item in retried(account.api, first, "one").items.all()] == ["sora-2"]
    response = retry(account.api, first, "two")
    assert code_of(response) == (410, "model_retired")
    assert response.json()["replacement"] == "sora-2-pro"
    change_model("veo-3", deprecated_at=None, sunset_at=None)
    assert [item.model for item in retried(account.api, first, "three").items.all()] == ["veo-3"]
    assert code_of(retry(account.api, first, "four")) == (409, "already_retried")


def test_nothing_of_a_retired_model_is_ordered(account: Account) -> None:
    first = failed(account.api)
    retire("sora-2")
    before = stored()
    response = retry(account.api, first)
    assert code_of(response) == (410, "model_retired")
    assert response.json()["replacement"] is None
    assert stored() == before
    assert audited() == [("again", "model_retired")]


# --- the request id ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"request_id": "again"}, {}),
        ({"x-request-id": "again"}, {}),
        ({}, {"X-Request-Id": "again"}),
        ({}, {"Idempotency-Key": '"again"'}),
    ],
)
def test_the_same_request_answers_with_the_same_batch(
    account: Account, fields: dict[str, str], headers: dict[str, str]
) -> None:
    first = failed(account.api, 2)
    made = retry(account.api, first, max_credits=50)
    body = {**fields, "max_credits": 50}
    replayed = account.api.post(f"/video-batch/{first.pk}/retry", body, headers=headers)
    assert (made.status_code, replayed.status_code) == (201, 200)
    assert replayed.headers["Idempotent-Replayed"] == "true"
    assert replayed.json() == made.json()
    assert stored() == (2, 4, 2)
    assert audited() == []


def test_a_replay_shows_the_batch_as_it_now_is_whatever_has_changed_since(account: Account) -> None:
    first = failed(account.api, 2)
    end_batch(retried(account.api, first), failed={0: FailureType.TIMEOUT})
    retire("sora-2")
    response = retry(account.api, first)
    assert response.status_code == 200
    assert (response.json()["state"], response.json()["ledger"]["refunded"]) == ("partial", 10)


def test_an_equal_request_that_was_faster_is_no_refusal(account: Account) -> None:
    first = failed(account.api)
    customer = services.Customer(account.organization, Mode.LIVE, actor="key_test")
    now = timezone.now()

    def go() -> tuple[Batch, bool]:
        """Look for no equal request before, as whoever looked a moment too early."""
        sha256 = intake.retry_sha256({}, batch_id=first.pk)
        return retrying.retry(
            customer=customer,
            batch=first,
            request_id="again",
            body_sha256=sha256,
            max_credits=None,
            catalogue=catalogue(now=now),
            now=now,
        )

    (again, made), (same, made_again) = go(), go()
    assert (made, made_again, again.pk) == (True, False, same.pk)
    assert audited() == []


def test_a_request_id_stands_for_one_body_and_one_batch(account: Account) -> None:
    first, other = failed(account.api, 2), failed(account.api, 2, request_id="other")
    retried(account.api, first, "again", max_credits=50)
    before = stored()
    refused = [
        retry(account.api, first, "again"),
        retry(account.api, first, "again", max_credits=51),
        retry(account.api, first, "again", max_credits=50, retry_of=first.pk),
        retry(account.api, other, "again", max_credits=50),
        retry(account.api, other, "order-1", max_credits=50),
        account.api.post("/video-batch", order(2, request_id="again")),
        account.api.post("/video-batch", {"request_id": "again", "max_credits": 50, "retry_of": first.pk}),
    ]
    assert [code_of(response) for response in refused] == [(422, "request_id_reused")] * len(refused)
    assert stored() == before
    assert audited() == [(subject, "request_id_reused") for subject in (*["again"] * 4, "order-1", *["again"] * 2)]


@pytest.mark.parametrize(
    ("request_id", "headers", "expected"),
    [
        (None, {}, (400, "request_id_required")),
        ("", {}, (400, "request_id_required")),
        ("again", {"X-Request-Id": "other"}, (400, "request_id_conflict")),
        ("x" * 256, {}, (422, "validation_error")),
        (17, {}, (422, "validation_error")),
    ],
)
def test_a_retry_needs_a_request_id(
    account: Account, request_id: Any, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    batch = failed(account.api)
    assert code_of(retry(account.api, batch, request_id, headers=headers)) == expected
    assert [outcome for _, outcome in audited()] == [expected[1]]


# --- refusals ------------------------------------------------------------------------------------------------------


def test_a_batch_that_has_not_ended_is_not_retried(account: Account) -> None:
    batch = make_batch(account.api, 2)
    assert code_of(retry(account.api, batch)) == (409, "batch_not_final")
    end_items(batch, failed={0: FailureType.TIMEOUT, 1: FailureType.TIMEOUT})
    # All have failed, and nothing is refunded yet.
    assert code_of(retry(account.api, batch)) == (409, "batch_not_final")
    assert stored() == (1, 2, 1)
    assert audited() == [("again", "batch_not_final")] * 2
    assert finalize_batch_credits(batch_id=batch.pk, now=timezone.now())
    assert retry(account.api, batch).status_code == 201


def test_of_a_batch_that_succeeded_there_is_nothing_to_retry(account: Account) -> None:
    assert code_of(retry(account.api, end_batch(make_batch(account.api, 2)))) == (422, "nothing_to_retry")


def test_a_retry_may_cost_what_its_sender_says_and_no_more(account: Account) -> None:
    first = failed(account.api, 2)
    before = stored()
    response = retry(account.api, first, "one", max_credits=19)
    assert code_of(response) == (422, "max_credits_exceeded")
    assert (response.json()["required"], response.json()["max_credits"]) == (20, 19)
    assert stored() == before
    assert audited() == [("one", "max_credits_exceeded")]
    assert retried(account.api, first, "two", max_credits=20).credits == 20


def test_a_retry_that_the_wallet_cannot_pay_for_leaves_the_items_to_another() -> None:
    account = make_account(25)
    first = failed(account.api, 2)
    make_batch(account.api, 1, request_id="meanwhile")
    before = stored()
    response = retry(account.api, first)
    assert code_of(response) == (402, "insufficient_credits")
    assert [response.json()[name] for name in ("required", "available", "shortfall")] == [20, 15, 5]
    assert stored() == before
    assert audited() == [("again", "insufficient_credits")]
    account.api.post(f"/video-batch/{Batch.objects.get(request_id='meanwhile').pk}/cancel")
    assert retried(account.api, first).credits == 20


def test_a_retry_counts_as_an_open_batch() -> None:
    account = make_account(max_open_batches=1)
    first = failed(account.api)
    open_one = make_batch(account.api, 1, request_id="open")
    response = retry(account.api, first)
    assert code_of(response) == (429, "too_many_open_batches")
    assert response.headers["Retry-After"]
    assert audited() == [("again", "too_many_open_batches")]
    end_batch(open_one)
    assert retry(account.api, first).status_code == 201


@pytest.mark.parametrize(
    ("fields", "pointers"),
    [
        ({"items": []}, ["/items"]),
        ({"webhook_url": "https://example.com", "deadline": None}, ["/deadline", "/webhook_url"]),
        ({"max_credits": 0}, ["/max_credits"]),
        ({"max_credits": "5"}, ["/max_credits"]),
        ({"max_credits": True}, ["/max_credits"]),
        ({"max_credits": 1.5, "colour": "red"}, ["/colour", "/max_credits"]),
    ],
)
def test_a_retry_is_said_in_two_fields_and_all_else_is_a_fault(
    account: Account, fields: dict[str, Any], pointers: list[str]
) -> None:
    batch = failed(account.api)
    response = retry(account.api, batch, **fields)
    assert code_of(response) == (422, "validation_error")
    assert [fault["pointer"] for fault in response.json()["errors"]] == pointers
    assert audited() == [("again", "validation_error")]
    assert stored() == (1, 1, 1)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'"again"'])
def test_the_body_of_a_retry_is_an_object(account: Account, raw: bytes) -> None:
    path = f"/video-batch/{failed(account.api).pk}/retry"
    assert code_of(account.api.send("POST", path, raw, "application/json")) == (400, "malformed_json")
    assert code_of(account.api.send("POST", path, b"{}", "text/plain")) == (415, "unsupported_media_type")
    assert code_of(account.api.get(path)) == (405, "method_not_allowed")


def test_a_batch_of_another_organization_or_mode_does_not_exist(account: Account) -> None:
    batch = failed(account.api)
    for api in (make_account(name="Globex").api, account.test_api):
        assert code_of(retry(api, batch)) == (404, "not_found")
    for unknown in ("bat_" + "0" * 26, "nonsense"):
        assert code_of(account.api.post(f"/video-batch/{unknown}/retry", {"request_id": "r"})) == (404, "not_found")
    assert stored() == (1, 1, 1)


def test_a_retry_needs_the_scope_to_write(account: Account) -> None:
    batch = failed(account.api)
    reads = api_with_scopes(account.organization, [Permission.BATCHES_READ])
    response = retry(reads, batch)
    assert code_of(response) == (403, "insufficient_scope")
    assert response.json()["scope"] == "batches:write"
    assert retry(api_with_scopes(account.organization, [Permission.BATCHES_WRITE]), batch).status_code == 201


def test_a_price_that_comes_later_does_not_count_yet(account: Account) -> None:
    first = failed(account.api)
    soon = timezone.now() + timedelta(days=1)
    publish("later", {"sora-2": (40, 4)}, effective_from=soon)
    second = end_batch(retried(account.api, first, "today"), failed={0: FailureType.TIMEOUT})
    assert second.credits == 10
    with time_machine.travel(soon + timedelta(seconds=1)):
        assert retried(account.api, second, "tomorrow").credits == 40


# --- at once -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", range(3))
def test_of_two_retries_at_once_one_gets_the_items(turn: int) -> None:
    account = make_account(1000)
    first = failed(account.api, 30)
    answers: list[Any] = at_once(
        *(lambda name=name: retry(account.api, first, name) for name in ("one", "two", "three"))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    made = next(answer.json()["batch_id"] for answer in answers if answer.status_code == 201)
    for refused in (answer for answer in answers if answer.status_code == 409):
        assert code_of(refused) == (409, "already_retried")
        assert refused.json()["retried_in"] == made
    assert stored() == (2, 60, 2)
    assert account.figures() == (700, 300, 0)
    assert [outcome for _, outcome in audited()] == ["already_retried"] * 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", range(3))
def test_ten_equal_retries_at_once_make_one_batch_and_one_reserve(turn: int) -> None:
    account = make_account(50)
    first = failed(account.api, 5)
    answers: list[Any] = at_once(*[lambda: retry(account.api, first)] * 10)
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len({answer.json()["batch_id"] for answer in answers}) == 1
    assert stored() == (2, 10, 2)
    assert account.figures() == (0, 50, 0)
    assert audited() == []


@pytest.mark.django_db(transaction=True)
def test_two_retries_at_once_on_a_wallet_that_can_pay_for_one() -> None:
    account = make_account(20)
    batches = [failed(account.api, 2, request_id=name) for name in ("a", "b")]
    answers: list[Any] = at_once(
        *(lambda batch=batch: retry(account.api, batch, f"{batch.request_id} again") for batch in batches)
    )
    assert sorted(answer.status_code for answer in answers) == [201, 402]
    assert account.figures() == (0, 20, 0)
    fund(account.wallets[Mode.LIVE], 20)
    left = next(batch for batch in batches if not batch.retries.exists())
    assert retried(account.api, left).total == 2
