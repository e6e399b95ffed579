"""`results.jsonl`: every item of a batch in one answer, at the cost of a few queries and a few items in memory."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches import results
from batches.failures import FailureType
from batches.finalization import finalize_batch_credits
from batches.models import Batch
from tests.factories import Account, end_batch, end_items, make_account, make_batch
from tests.markup import links_of
from tests.people import member
from tests.sora2.test_openapi import check, faults

pytestmark = pytest.mark.django_db


def lines(account: Account, batch: Batch) -> list[dict[str, Any]]:
    """Return the objects of the answer."""
    response = account.api.get(f"/video-batch/{batch.pk}/results.jsonl")
    assert response.status_code == 200
    text = b"".join(response.streaming_content).decode()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


def listed(account: Account, batch: Batch) -> list[dict[str, Any]]:
    return list(account.api.get(f"/video-batch/{batch.pk}/items", limit=100).json()["data"])


def test_each_line_is_the_item_as_the_api_shows_it(account: Account) -> None:
    batch = end_batch(make_batch(account.api, 4), failed={2: FailureType.TIMEOUT})
    found = lines(account, batch)
    assert found == listed(account, batch)
    assert [item["status"] for item in found] == ["succeeded", "succeeded", "refunded", "succeeded"]
    assert all(faults(item, {"$ref": "#/components/schemas/Item"}) == [] for item in found)


def test_people_take_the_same_from_the_batchs_page_without_credits_if_they_may_see_none(account: Account) -> None:
    batch = end_batch(make_batch(account.api, 3), failed={1: FailureType.TIMEOUT})
    address = f"/admin/batches/{batch.pk}/results.jsonl"
    listed_here = listed(account, batch)
    for role, wanted in (
        ("customer finance", listed_here),
        ("customer developer", [{name: item[name] for name in item if name != "credits"} for item in listed_here]),
    ):
        client = member(account.organization, role)
        assert address in links_of(client.get(f"/admin/batches/{batch.pk}"))
        response = client.get(address)
        assert response.headers["Content-Disposition"] == f'attachment; filename="{batch.pk}.results.jsonl"'
        text = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
        assert [json.loads(line) for line in text.splitlines()] == wanted
    assert member(make_account(name="Stranger").organization, "customer admin").get(address).status_code == 404


def test_it_is_there_while_the_batch_runs_and_says_when_to_ask_again(account: Account) -> None:
    batch = make_batch(account.api, 3)
    end_items(batch, succeeded=[1])
    assert [item["status"] for item in lines(account, batch)] == ["pending", "succeeded", "pending"]
    answer = account.api.get(f"/video-batch/{batch.pk}/results.jsonl")
    assert answer.headers["Retry-After"] == "2"
    check(answer)
    end_items(batch, failed={0: FailureType.TIMEOUT, 2: FailureType.TIMEOUT})
    finalize_batch_credits(batch_id=batch.pk, now=timezone.now())
    assert "Retry-After" not in account.api.get(f"/video-batch/{batch.pk}/results.jsonl").headers


def test_what_a_customer_wrote_stays_on_its_line(account: Account) -> None:
    odd = ' two\nlines\r\n\u2028 "quoted" \\ 株式会社 😀 \ud83d'.encode("utf-16", "surrogatepass").decode(
        "utf-16", "ignore"
    )
    batch = make_batch(account.api, items=[{"prompt": odd, "metadata": {"sku\n": odd}}, {"prompt": "plain"}])
    assert [item["prompt"] for item in lines(account, batch)] == [odd, "plain"]
    assert lines(account, batch) == listed(account, batch)


def test_many_items_cost_few_queries_and_little_memory() -> None:
    account = make_account(20_000, max_items_per_batch=2000)
    batch = make_batch(account.api, 1200)
    assert [item["index"] for item in lines(account, batch)] == list(range(1200))
    with CaptureQueriesContext(connection) as captured:
        blocks = results.blocks(batch)
        first = next(blocks)
        assert len(captured) == 1, "no more is read than is needed for the first block"
        rest = list(blocks)
    assert len(captured) == 1200 // results.ITEMS_AT_ONCE + 2, "500, 500, 200, and none"
    assert max(map(len, [first, *rest])) < results.BLOCK_BYTES + 2000


def test_an_answer_that_nobody_reads_to_its_end_keeps_nothing_open(account: Account) -> None:
    batch = make_batch(account.api, 3)
    reading = results.blocks(batch)
    next(reading)
    reading.close()
    assert lines(account, batch) == listed(account, batch)


def test_a_head_reads_no_item(account: Account) -> None:
    batch = make_batch(account.api, 3)
    with CaptureQueriesContext(connection) as captured:
        answer = account.api.send("HEAD", f"/video-batch/{batch.pk}/results.jsonl")
    assert answer.status_code == 200
    assert not [query for query in captured if "batches_item" in query["sql"]]
