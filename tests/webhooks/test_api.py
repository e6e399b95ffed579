"""The log of webhook deliveries over HTTP."""

from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from batches.models import Batch
from customers.models import Mode
from tests.factories import Account, end_batch, make_batch
from webhooks.endpoints import create_endpoint
from webhooks.models import Attempt, Delivery, Endpoint

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint(account: Account) -> Endpoint:
    """A live endpoint."""
    made, _ = create_endpoint(organization=account.organization, mode=Mode.LIVE, url="https://example.com/hook")
    return made


def ended(account: Account, request_id: str = "order-1", **fields: Any) -> Batch:
    return end_batch(make_batch(account.api, request_id=request_id, **fields))


def deliver(batch: Batch) -> Delivery:
    """Write down that the webhook of a batch arrived at the second attempt."""
    delivery = Delivery.objects.about(batch.pk).get()
    now = timezone.now()
    Attempt.objects.create(delivery=delivery, number=1, at=now, error="timeout", duration_ms=20_000)
    Attempt.objects.create(delivery=delivery, number=2, at=now, status_code=204, duration_ms=12)
    Delivery.objects.filter(pk=delivery.pk).update(state="delivered", due_at=None, attempts_made=2)
    return delivery


def test_a_delivery_is_shown_with_its_attempts(account: Account, endpoint: Endpoint) -> None:
    batch = ended(account)
    delivery = deliver(batch)
    response = account.api.get(f"/webhook-deliveries/{delivery.pk}")
    assert response.status_code == 200
    answer = response.json()
    log = answer.pop("attempts")
    assert answer.pop("created_at").endswith("Z")
    assert answer == {
        "id": delivery.pk,
        "event_id": delivery.event_id,
        "event": "batch.completed",
        "batch_id": batch.pk,
        "livemode": True,
        "endpoint_id": endpoint.pk,
        "url": "https://example.com/hook",
        "state": "delivered",
        "skipped_reason": None,
        "next_attempt_at": None,
    }
    assert list(log[0]) == ["at", "trigger", "status_code", "error", "duration_ms", "response"]
    assert [(a["status_code"], a["error"], a["duration_ms"]) for a in log] == [
        (None, "timeout", 20_000),
        (204, None, 12),
    ]


def test_deliveries_are_listed_newest_first_and_filtered(
    account: Account, endpoint: Endpoint, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    batches = [ended(account, f"order-{number}") for number in range(4)]
    deliver(batches[0])
    with django_assert_max_num_queries(3):
        answer = account.api.get("/webhook-deliveries").json()
    assert [row["batch_id"] for row in answer["data"]] == [batch.pk for batch in batches[::-1]]

    def found(**query: str) -> list[int]:
        ids = [row["batch_id"] for row in account.api.get("/webhook-deliveries", query).json()["data"]]
        return sorted([batch.pk for batch in batches].index(batch_id) for batch_id in ids)

    assert found(batch_id=batches[2].pk) == [2]
    assert found(batch_id="bat_unknown") == []
    assert found(state="delivered") == found(undelivered="false") == [0]
    assert found(state="pending") == found(undelivered="true") == [1, 2, 3]
    assert found(event="batch.completed") == [0, 1, 2, 3]
    assert found(event="webhook.test") == []


def test_pages_follow_a_cursor(account: Account, endpoint: Endpoint) -> None:
    made = [ended(account, f"order-{number}").pk for number in range(3)]
    first = account.api.get("/webhook-deliveries", limit=2).json()
    second = account.api.get("/webhook-deliveries", limit=2, cursor=first["next_cursor"]).json()
    assert [row["batch_id"] for page in (first, second) for row in page["data"]] == made[::-1]


def test_a_batch_is_told_to_its_own_address_too(account: Account, endpoint: Endpoint) -> None:
    ended(account, webhook_url="https://example.com/own")
    rows = account.api.get("/webhook-deliveries").json()["data"]
    assert {(row["url"], row["endpoint_id"]) for row in rows} == {
        ("https://example.com/hook", endpoint.pk),
        ("https://example.com/own", None),
    }


@pytest.mark.parametrize("address", ["nonsense", "dlv_x", "dlv_" + "0" * 26, "dlv_%00"])
def test_what_does_not_exist_is_not_found(account: Account, address: str) -> None:
    assert account.api.get(f"/webhook-deliveries/{address}").json()["code"] == "not_found"


@pytest.mark.parametrize("query", [{"state": "x"}, {"event": "x"}, {"undelivered": "yes"}, {"batch_id": "\0"}])
def test_a_parameter_that_cannot_be_understood_is_refused(account: Account, query: dict[str, str]) -> None:
    response = account.api.get("/webhook-deliveries", query)
    assert (response.status_code, response.json()["code"]) == (422, "validation_error")
