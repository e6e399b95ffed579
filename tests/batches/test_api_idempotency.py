"""Request ids over HTTP: one batch and one reserve, however often and at once a request comes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from batches.failures import FailureType
from batches.models import Batch, Item
from customers.models import AuditEvent
from ledger.models import Entry
from tests.factories import Account, Api, code_of, end_batch, make_account, make_batch, order

pytestmark = pytest.mark.django_db


def nothing_is_stored() -> bool:
    reserves = Entry.objects.filter(kind="reserve")
    return not (Batch.objects.exists() or Item.objects.exists() or reserves.exists())


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"request_id": "order-9"}, {}),
        ({"x-request-id": "order-9"}, {}),
        ({}, {"X-Request-Id": "order-9"}),
        ({}, {"Idempotency-Key": "order-9"}),
        ({}, {"Idempotency-Key": '"order-9"'}),
        (
            {"request_id": "order-9", "x-request-id": "order-9"},
            {"X-Request-Id": "order-9", "Idempotency-Key": '"order-9"'},
        ),
    ],
)
def test_a_request_id_is_the_same_in_each_of_its_places(
    account: Account, fields: dict[str, str], headers: dict[str, str]
) -> None:
    first = account.api.post("/video-batch", order(2, request_id="order-9"))
    again = account.api.post("/video-batch", {**order(2, request_id=None), **fields}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert (Batch.objects.count(), Entry.objects.filter(kind="reserve").count()) == (1, 1)


@pytest.mark.parametrize(
    "headers", [{"X-Request-Id": "other"}, {"Idempotency-Key": "other"}, {"Idempotency-Key": '"other"'}]
)
def test_different_request_ids_are_a_conflict(account: Account, headers: dict[str, str]) -> None:
    response = account.api.post("/video-batch", order(), headers=headers)
    assert code_of(response) == (400, "request_id_conflict")
    assert nothing_is_stored()


def test_a_header_in_utf_8_equals_the_same_text_in_the_body(account: Account) -> None:
    sent = "bestellung-ä-✓"
    as_wsgi_has_it = sent.encode().decode("latin-1")
    response = account.api.post("/video-batch", order(request_id=sent), headers={"X-Request-Id": as_wsgi_has_it})
    assert response.status_code == 201
    assert response.json()["request_id"] == sent


def test_another_body_under_the_same_id_is_refused_and_audited(account: Account) -> None:
    make_batch(account.api, 2)
    response = account.api.post("/video-batch", order(3))
    assert code_of(response) == (422, "request_id_reused")
    assert Batch.objects.count() == 1
    assert AuditEvent.objects.get().outcome == "request_id_reused"


def test_the_order_of_keys_does_not_make_another_body(account: Account) -> None:
    raw = b'{"request_id": "r", "metadata": {"a": "1", "b": "2"}, "items": [{"prompt": "x", "seconds": 4}]}'
    turned = b'{"items": [{"seconds": 4, "prompt": "x"}], "metadata": {"b": "2", "a": "1"}, "request_id": "r"}'
    assert account.api.send("POST", "/video-batch", raw, "application/json").status_code == 201
    assert account.api.send("POST", "/video-batch", turned, "application/json").status_code == 200


@pytest.mark.owner
def test_a_replay_answers_even_when_the_body_would_be_refused_today(account: Account) -> None:
    soon = (timezone.now() + timedelta(hours=1)).isoformat()
    batch = make_batch(account.api, 5, deadline=soon)
    account.organization.max_items_per_batch = 1
    account.organization.max_open_batches = 0
    account.organization.save()
    response = account.api.post("/video-batch", order(5, deadline=soon))
    assert (response.status_code, response.json()["batch_id"]) == (200, batch.pk)


def test_a_replay_shows_the_batch_as_it_now_is(account: Account) -> None:
    end_batch(make_batch(account.api, 2), failed={1: FailureType.TIMEOUT})
    response = account.api.post("/video-batch", order(2))
    assert response.status_code == 200
    assert (response.json()["state"], response.json()["ledger"]["refunded"]) == ("partial", 10)


def test_a_request_id_belongs_to_an_organization_and_mode(account: Account) -> None:
    other = make_account(name="Other")
    answers = [api.post("/video-batch", order()) for api in (account.api, account.test_api, other.api)]
    assert [answer.status_code for answer in answers] == [201, 201, 201]


def at_once(api: Api, *bodies: dict[str, Any]) -> list[Any]:
    """Post the bodies at the same moment, each on a connection of its own."""
    start = threading.Barrier(len(bodies))

    def post(body: dict[str, Any]) -> Any:
        try:
            connection.ensure_connection()
            start.wait(10)
            return api.post("/video-batch", body)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(post, bodies))


@pytest.mark.django_db(transaction=True)
def test_twenty_equal_requests_at_once_make_one_batch_and_one_reserve() -> None:
    account = make_account(100)
    answers = at_once(account.api, *[order(10)] * 20)
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["batch_id"] for answer in answers}) == 1
    assert (Batch.objects.count(), Item.objects.count()) == (1, 10)
    assert [entry.amount for entry in Entry.objects.filter(kind="reserve", wallet__mode="live")] == [100]
    assert account.figures() == (0, 100, 0)


@pytest.mark.django_db(transaction=True)
def test_two_batches_at_once_on_a_wallet_that_can_pay_for_one() -> None:
    account = make_account(100)
    answers = at_once(account.api, order(10, request_id="a"), order(10, request_id="b"))
    assert sorted(answer.status_code for answer in answers) == [201, 402]
    refused = next(answer.json() for answer in answers if answer.status_code == 402)
    assert (refused["required"], refused["available"], refused["shortfall"]) == (100, 0, 100)
    assert account.figures() == (0, 100, 0)
