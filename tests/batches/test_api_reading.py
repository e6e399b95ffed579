"""Batches over HTTP on their way and at their end: progress, lists, items, videos, ledger, proof."""

import json
from datetime import UTC
from hashlib import sha256
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from batches import finalization, telling
from batches.failures import FailureType
from batches.models import Batch, Item
from tests.factories import VIDEO, Account, code_of, end_batch, end_items, make_account, make_batch, order

pytestmark = pytest.mark.django_db


# --- a batch on its way ----------------------------------------------------------------------------------------------


def test_a_batch_shows_its_progress_and_then_its_totals(account: Account) -> None:
    batch = make_batch(account.api, 8)
    telling.start(batch_ids=[batch.pk], now=timezone.now())
    end_items(
        batch, succeeded=[0, 1], failed={2: FailureType.TIMEOUT, 3: FailureType.CAPACITY, 4: FailureType.CAPACITY}
    )
    response = account.api.get(f"/video-batch/{batch.pk}")
    assert int(response.headers["Retry-After"]) > 0
    answer = response.json()
    assert (answer["state"], answer["status"]) == ("processing", "running")
    assert answer["summary"] == {"total": 8, "pending": 3, "running": 0, "succeeded": 2, "failed": 3}
    assert answer["ledger"] == {"reserved": 80, "settled": 0, "refunded": 0}
    ids = {item.index: item.pk for item in batch.items.all()}
    assert answer["failures"] == [
        {"type": "capacity", "count": 2, "sample_item_ids": [ids[3], ids[4]]},
        {"type": "timeout", "count": 1, "sample_item_ids": [ids[2]]},
    ]

    end_items(batch, succeeded=[5, 6, 7])
    assert finalization.finalize_batch_credits(batch_id=batch.pk, now=timezone.now())
    response = account.api.get(f"/video-batch/{batch.pk}")
    assert "Retry-After" not in response.headers
    final = response.json()
    assert (final["state"], final["status"]) == ("partial", "partial")
    assert final["summary"] == {"total": 8, "pending": 0, "running": 0, "succeeded": 5, "failed": 3}
    assert final["ledger"] == {"reserved": 80, "settled": 50, "refunded": 30}
    assert final["failures"] == answer["failures"]
    assert final["finished_at"].endswith("Z")


def test_at_most_five_items_stand_for_a_kind_of_failure(account: Account) -> None:
    batch = end_batch(make_batch(account.api, 7), failed=dict.fromkeys(range(7), FailureType.TIMEOUT))
    (failure,) = account.api.get(f"/video-batch/{batch.pk}").json()["failures"]
    assert failure["count"] == 7
    first = list(batch.items.order_by("index").values_list("pk", flat=True)[:5])
    assert failure["sample_item_ids"] == first


@pytest.mark.parametrize(
    "address", ["nonsense", "bat_x", "bat_" + "0" * 26, "bat_%00", "bat_" + "I" * 26, "%F0%9F%90%88"]
)
def test_what_does_not_exist_is_not_found(account: Account, address: str) -> None:
    batch = make_batch(account.api)
    for path in ("", "/items", "/ledger", "/proof", "/proof/items.jsonl", "/items/itm_x"):
        assert code_of(account.api.get(f"/video-batch/{address}{path}")) == (404, "not_found")
    assert code_of(account.api.post(f"/video-batch/{address}/cancel")) == (404, "not_found")
    item_address = f"/video-batch/{batch.pk}/items/{address.replace('bat_', 'itm_')}"
    assert code_of(account.api.get(item_address)) == (404, "not_found")
    assert code_of(account.api.get(f"{item_address}/content")) == (404, "not_found")


def test_an_item_is_found_only_in_its_own_batch(account: Account) -> None:
    first, second = make_batch(account.api), make_batch(account.api, request_id="order-2")
    item = first.items.get()
    assert account.api.get(f"/video-batch/{first.pk}/items/{item.pk}").status_code == 200
    assert account.api.get(f"/video-batch/{second.pk}/items/{item.pk}").status_code == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_other_methods_are_not_allowed(account: Account, method: str) -> None:
    response = account.api.send(method, "/video-batch", b"{}", "application/json")
    assert code_of(response) == (405, "method_not_allowed")
    assert response.headers["Allow"] == "GET, HEAD, POST"


def test_what_a_client_accepts_does_not_matter(account: Account) -> None:
    for accept in ("text/html", "application/xml", "nonsense"):
        response = account.api.get("/wallet", headers={"Accept": accept}, format="xml")
        assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")


# --- lists -----------------------------------------------------------------------------------------------------------


def test_a_list_of_a_hundred_batches_takes_a_constant_number_of_queries(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    account = make_account(10_000)
    for number in range(100):
        batch = make_batch(account.api, 2, request_id=f"order-{number}")
        if number % 3 == 0:
            end_batch(batch, failed={0: FailureType.TIMEOUT})
    with django_assert_max_num_queries(4):
        answer = account.api.get("/video-batch", limit=100).json()
    assert len(answer["data"]) == 100
    assert answer["data"][0]["batch_id"] == batch.pk
    assert sum(len(batch["failures"]) for batch in answer["data"]) == 34
    assert "ok" not in answer["data"][0]


def test_pages_hold_still_while_batches_are_added(account: Account) -> None:
    made = [make_batch(account.api, request_id=f"order-{number}").pk for number in range(5)]
    first = account.api.get("/video-batch", limit=2).json()
    make_batch(account.api, request_id="later")
    second = account.api.get("/video-batch", limit=2, cursor=first["next_cursor"]).json()
    third = account.api.get("/video-batch", limit=2, cursor=second["next_cursor"]).json()
    assert [b["batch_id"] for page in (first, second, third) for b in page["data"]] == made[::-1]
    assert third["next_cursor"] is None


def test_batches_are_filtered(account: Account) -> None:
    ended = end_batch(make_batch(account.api, request_id="a"), failed={0: FailureType.TIMEOUT})
    running = make_batch(account.api, request_id="b")
    telling.start(batch_ids=[running.pk], now=timezone.now())

    def found(**query: str) -> list[str]:
        return [batch["batch_id"] for batch in account.api.get("/video-batch", query).json()["data"]]

    assert found() == [running.pk, ended.pk]
    assert found(state="failed") == found(status="failed") == found(request_id="a") == [ended.pk]
    assert found(state="processing") == found(status="running") == [running.pk]
    assert found(status="succeeded") == found(request_id="unknown") == []
    at = running.created_at.astimezone(UTC).isoformat()
    assert found(created_after=at) == [running.pk]
    assert found(created_before=at) == [ended.pk]
    assert found(created_after="0001-01-01T00:00:00-14:00", created_before="9999-12-31T00:00:00Z") == [
        running.pk,
        ended.pk,
    ]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"limit": "9" * 5000}, {"limit": "-1"}, {"limit": "١"},
        {"limit": ""}, {"cursor": "x"}, {"cursor": "MQ=="}, {"cursor": "\0"}, {"cursor": ""}, {"cursor": "é"},
        {"state": "done"}, {"status": "refunded"}, {"state": "\0"}, {"request_id": "a\0b"},
        {"created_after": "yesterday"}, {"created_after": "2026-01-01"}, {"created_before": "2026-01-01T00:00:00"},
        {"created_after": "0001-01-01T00:00:00+14:00"}, {"created_before": "9999-12-31T23:59:59-14:00"},
        {"created_after": "\0"},
    ],
)  # fmt: skip
def test_a_parameter_that_cannot_be_understood_is_refused(account: Account, query: dict[str, str]) -> None:
    response = account.api.get("/video-batch", query)
    assert code_of(response) == (422, "validation_error")
    (name,) = query
    assert response.json()["errors"][0]["pointer"] == f"?{name}"


# --- items -----------------------------------------------------------------------------------------------------------


def test_an_item_is_as_documented(account: Account) -> None:
    body = order(0)
    body["items"] = [{"prompt": "A cat", "custom_id": "sku-1", "metadata": {"sku": "1"}, "seconds": 8}, {"prompt": "B"}]
    batch = Batch.objects.get(pk=account.api.post("/video-batch", body).json()["batch_id"])
    end_batch(batch, failed={1: FailureType.CONTENT_REFUSED})
    good, bad = batch.items.order_by("index")
    url = f"{settings.PUBLIC_BASE_URL}/api/enterprise/video-batch/{batch.pk}/items/{good.pk}/content"
    answer = account.api.get(f"/video-batch/{batch.pk}/items/{good.pk}").json()
    times = [answer.pop(name) for name in ("created_at", "started_at", "finished_at")]
    assert all(at.endswith("Z") for at in times)
    assert json.dumps(answer) == json.dumps(
        {
            "id": good.pk,
            "index": 0,
            "custom_id": "sku-1",
            "status": "succeeded",
            "model": "sora-2",
            "prompt": "A cat",
            "seconds": 8,
            "size": "1280x720",
            "metadata": {"sku": "1"},
            "credits": 20,
            "attempts": 1,
            "failure": None,
            "output": {
                "url": url,
                "content_type": "video/mp4",
                "bytes": len(VIDEO),
                "sha256": good.output.sha256,
                "duration_seconds": 4.0,
                "expires_at": None,
            },
            "refunded_at": None,
        }
    )
    failed = account.api.get(f"/video-batch/{batch.pk}/items/{bad.pk}").json()
    assert (failed["status"], failed["custom_id"], failed["output"]) == ("refunded", None, None)
    assert failed["failure"]["type"] == "content_refused"
    assert failed["failure"]["retryable"] is False
    assert failed["failure"]["message"]
    assert failed["refunded_at"].endswith("Z")


def test_items_come_by_index_and_are_filtered(
    account: Account, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    body = order(25)
    body["items"][7]["custom_id"] = "sku-7"
    batch = Batch.objects.get(pk=account.api.post("/video-batch", body).json()["batch_id"])
    end_batch(batch, failed={3: FailureType.TIMEOUT, 4: FailureType.CAPACITY})
    path = f"/video-batch/{batch.pk}/items"
    with django_assert_max_num_queries(4):
        first = account.api.get(path, limit=20).json()
    second = account.api.get(path, limit=20, cursor=first["next_cursor"]).json()
    assert [item["index"] for page in (first, second) for item in page["data"]] == list(range(25))

    def found(**query: str) -> list[int]:
        return [item["index"] for item in account.api.get(path, query).json()["data"]]

    assert found(status="refunded") == [3, 4]
    assert found(failure_type="capacity") == [4]
    assert found(custom_id="sku-7") == [7]
    assert found(custom_id="unknown") == []
    for name, value in [("status", "x"), ("failure_type", "x"), ("custom_id", "\0"), ("cursor", "YmF0Xw==")]:
        assert code_of(account.api.get(path, {name: value})) == (422, "validation_error")


# --- cancel, ledger, proof -------------------------------------------------------------------------------------------


def test_canceling_ends_what_was_not_submitted(account: Account) -> None:
    batch = make_batch(account.api, 3)
    response = account.api.post(f"/video-batch/{batch.pk}/cancel")
    assert response.status_code == 200
    answer = response.json()
    assert (answer["ok"], answer["state"], answer["ledger"]["refunded"]) == (True, "failed", 30)
    assert answer["failures"][0]["type"] == "canceled"
    assert code_of(account.api.post(f"/video-batch/{batch.pk}/cancel")) == (409, "batch_final")
    assert account.figures() == (1000, 0, 0)


def test_canceling_leaves_what_was_submitted(account: Account) -> None:
    batch = make_batch(account.api, 2)
    Item.objects.filter(batch=batch, index=0).update(status="running", stage="poll", attempts_made=1)
    telling.start(batch_ids=[batch.pk], now=timezone.now())
    answer = account.api.post(f"/video-batch/{batch.pk}/cancel").json()
    assert answer["summary"] == {"total": 2, "pending": 0, "running": 1, "succeeded": 0, "failed": 1}
    assert answer["ledger"] == {"reserved": 20, "settled": 0, "refunded": 0}


def test_the_ledger_of_a_batch_is_balanced_once_it_has_ended(account: Account) -> None:
    batch = make_batch(account.api, 3)
    path = f"/video-batch/{batch.pk}/ledger"
    open_ = account.api.get(path).json()
    assert [entry["kind"] for entry in open_["entries"]] == ["reserve"]
    assert open_["totals"] == {"reserved": 30, "settled": 0, "refunded": 0, "held": 30}
    assert open_["balanced"] is False
    end_batch(batch, failed={0: FailureType.TIMEOUT})
    final = account.api.get(path).json()
    assert list(final) == ["ok", "batch_id", "entries", "totals", "balanced"]
    assert [(entry["kind"], entry["amount"]) for entry in final["entries"]] == [
        ("reserve", 30),
        ("settle", 20),
        ("refund", 10),
    ]
    assert final["totals"] == {"reserved": 30, "settled": 20, "refunded": 10, "held": 0}
    assert final["balanced"] is True


def test_a_proof_is_served_as_the_bytes_that_were_fixed(account: Account) -> None:
    batch = make_batch(account.api, 3)
    path = f"/video-batch/{batch.pk}/proof"
    assert code_of(account.api.get(path)) == (409, "batch_not_final")
    assert code_of(account.api.get(f"{path}/items.jsonl")) == (409, "batch_not_final")
    end_batch(batch, failed={0: FailureType.TIMEOUT})
    response = account.api.get(path)
    assert response.headers["Content-Type"] == "application/json"
    assert sha256(response.content).hexdigest() == batch.proof.sha256
    items = b"".join(account.api.get(f"{path}/items.jsonl").streaming_content)
    assert sha256(items).hexdigest() == response.json()["items_sha256"]
    assert items.count(b"\n") == response.json()["items_count"] == 3
    assert response.json()["entries"] == account.api.get(f"/video-batch/{batch.pk}/ledger").json()["entries"]


def test_without_the_broker_a_batch_is_accepted_all_the_same(
    account: Account, settings: Settings, django_capture_on_commit_callbacks: Any
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with django_capture_on_commit_callbacks(execute=True):
        assert account.api.post("/video-batch", order()).status_code == 201
