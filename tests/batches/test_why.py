"""Why is this amount here? A batch's figures, an item's credits, and totals over batches, explained by their items."""

from typing import Any

import pytest

from batches.failures import FailureType
from batches.models import Batch, Item
from customers.models import Mode
from ledger.models import Entry
from tests.batches.faults import tamper
from tests.factories import Account, api_with_scopes, end_batch, end_items, make_account, make_batch
from tests.people import member, staff, words_of

pytestmark = pytest.mark.django_db

ITEMS = [
    *({"prompt": f"A cat, take {number}"} for number in range(4)),
    {"prompt": "A dog", "model": "sora-2", "seconds": 8},
    {"prompt": "A dog", "model": "sora-2-pro", "seconds": 4},
]


@pytest.fixture
def batch(account: Account) -> Batch:
    """Four clips of sora-2 of 4 s, one of 8 s, one of the dearer model."""
    return make_batch(account.api, 0, request_id="order-123", items=ITEMS)


def why(batch: Batch, figure: str) -> str:
    return words_of(staff("finance").get(f"/admin/batches/{batch.pk}/why/{figure}"))


# --- a batch -------------------------------------------------------------------------------------------------------


def test_what_is_reserved_is_its_price_lines(batch: Batch) -> None:
    unit = Item.objects.get(batch=batch, index=0).credits
    page = why(batch, "reserved")
    assert f"Reserved {batch.credits} ✓" in page
    assert f"sora-2 · 4 s {4 * unit} 4 × {unit}; price list: {unit} for 4 s" in page
    assert f"sora-2 · 8 s {2 * unit} 1 × {2 * unit}; price list: {unit} for 4 s" in page
    assert f"at the prices of list {batch.price_version}" in page
    assert "Written as entry 2 of the ledger" in page


def test_what_is_charged_and_given_back_is_the_items_by_price_and_by_failure(batch: Batch) -> None:
    failed = {0: FailureType.TIMEOUT, 1: FailureType.TIMEOUT, 5: FailureType.CONTENT_REFUSED}
    end_batch(batch, failed=failed)
    settled, refunded = why(batch, "settled"), why(batch, "refunded")
    assert f"Settled {batch.settled} ✓" in settled
    assert "sora-2 · 4 s 20 2 × 10; price list: 10 for 4 s" in settled
    assert f"Refunded {batch.refunded} ✓" in refunded
    assert "timeout 20 2 × 10" in refunded
    assert "content refused 30 1 × 30" in refunded
    assert "Held 0 ✓" in why(batch, "held")


def test_what_an_open_batch_holds_is_what_its_items_wait_for(batch: Batch) -> None:
    end_items(batch, succeeded=[0, 1], failed={2: FailureType.CAPACITY})
    held = why(batch, "held")
    assert f"Held {batch.credits} ✓" in held
    assert "pending: they wait for a provider" in held
    assert "succeeded: they are charged when the batch ends 20 2 × 10" in held
    assert "failed: they come back when the batch ends 10 1 × 10" in held
    assert "Of the items that have succeeded, 20 credits will be." in why(batch, "settled")
    assert "Of the items that have failed, 10 credits will." in why(batch, "refunded")


def test_the_rows_of_a_figure_lead_to_their_items(batch: Batch) -> None:
    client = staff("finance")
    html = client.get(f"/admin/batches/{batch.pk}/why/reserved").content.decode()
    assert f'href="/admin/batches/{batch.pk}?model=sora-2&amp;seconds=8"' in html
    items = words_of(client.get(f"/admin/batches/{batch.pk}?model=sora-2&seconds=8"))
    assert "A dog" in items
    assert "A cat" not in items


@pytest.mark.unbooked
def test_an_item_at_another_price_than_the_lists_is_red(batch: Batch) -> None:
    tamper(f"UPDATE batches_item SET credits = 13 WHERE batch_id = '{batch.pk}' AND index = 4")
    page = why(batch, "reserved")
    assert f"It says {batch.credits}, which is 7 credits more than the rows add up to" in page
    assert "✕ sora-2 · 8 s: These cost 13 each; by price list" in page
    assert "it is 20." in page


@pytest.mark.unbooked
def test_a_batch_that_says_another_figure_than_its_entries_is_red(batch: Batch) -> None:
    tamper(f"UPDATE batches_batch SET credits = credits + 5 WHERE id = '{batch.pk}'")
    page = why(batch, "reserved")
    assert f"✕ order-123: The batch itself says {batch.credits + 5}; its ledger entries say {batch.credits}." in page


@pytest.mark.unbooked
def test_what_failed_and_was_not_given_back_is_red(batch: Batch) -> None:
    end_batch(batch, failed={0: FailureType.TIMEOUT, 1: FailureType.TIMEOUT})
    tamper(f"UPDATE batches_item SET status = 'failed', refunded_at = NULL WHERE batch_id = '{batch.pk}' AND index = 1")
    page = why(batch, "refunded")
    assert "It says 20, which is 10 credits more than the rows add up to, 10." in page
    assert "✕ Items that failed: Failed, and not given back: 1 × 10 credits." in page


def test_an_explanation_takes_as_many_queries_for_many_items(
    account: Account, batch: Batch, django_assert_max_num_queries: Any
) -> None:
    client = staff("finance")
    many = make_batch(account.api, 40, request_id="many")
    with django_assert_max_num_queries(14) as few:
        client.get(f"/admin/batches/{batch.pk}/why/reserved")
    with django_assert_max_num_queries(len(few)):
        client.get(f"/admin/batches/{many.pk}/why/reserved")


def test_who_reaches_it_and_who_does_not(batch: Batch) -> None:
    address = f"/admin/batches/{batch.pk}/why/reserved"
    assert member(batch.organization).get(address).status_code == 200
    assert member(batch.organization, "customer developer").get(address).status_code == 403
    assert member(make_account(name="Other").organization).get(address).status_code == 404
    assert staff("finance").get(f"/admin/batches/{batch.pk}/why/secret").status_code == 404


# --- an item -------------------------------------------------------------------------------------------------------


def item_page(batch: Batch, index: int, client: Any = None) -> str:
    item = Item.objects.get(batch=batch, index=index)
    return words_of((client or staff("finance")).get(f"/admin/batches/{batch.pk}/items/{item.pk}"))


def test_an_items_credits_are_its_seconds_at_the_lists_price(batch: Batch) -> None:
    page = item_page(batch, 4)
    assert "10 credits for 4 s of sora-2, by price list" in page
    assert "10 × 8 s ÷ 4 s = 20 ✓" in page
    assert "Held until it has ended" in page
    end_batch(batch, failed={0: FailureType.TIMEOUT})
    settle = Entry.objects.get(reference=batch.pk, kind=Entry.Kind.SETTLE)
    assert f"It is in the batch's settled credits, by entry {settle.seq} of the ledger." in item_page(batch, 4)
    assert "Given back: it failed, and what fails is not charged." in item_page(batch, 0)


@pytest.mark.unbooked
def test_an_item_that_costs_another_price_than_its_lists_is_red(batch: Batch) -> None:
    tamper(f"UPDATE batches_item SET credits = 13 WHERE batch_id = '{batch.pk}' AND index = 4")
    assert "= 20 ✕ It was accepted at 13." in item_page(batch, 4)


def test_who_sees_no_credits_sees_no_arithmetic(batch: Batch) -> None:
    page = item_page(batch, 4, member(batch.organization, "customer developer"))
    assert "Its credits" not in page
    assert "÷" not in page


# --- totals --------------------------------------------------------------------------------------------------------


def test_a_total_over_batches_is_the_sum_of_each_state(account: Account, batch: Batch) -> None:
    end_batch(make_batch(account.api, 3, request_id="done"))
    client = staff("finance")
    page = words_of(client.get("/admin/batches/why/reserved?mode=live"))
    assert f"Reserved {batch.credits + 30} ✓" in page
    assert f"completed 30 1 batch queued {batch.credits} 1 batch" in page
    assert "Settled 30 ✓" in words_of(client.get("/admin/batches/why/settled?mode=live&state=completed"))
    assert f"Held {batch.credits} ✓" in words_of(client.get("/admin/batches/why/held?mode=live"))
    assert client.get("/admin/batches/why/secret?mode=live").status_code == 404


def test_what_a_key_has_used_is_in_the_list_of_its_batches(account: Account, batch: Batch) -> None:
    key = account.keys[Mode.LIVE]
    make_batch(api_with_scopes(account.organization), 3, request_id="by-another-key")
    page = words_of(member(account.organization).get(f"/admin/batches/?by={key.pk}"))
    assert "order-123" in page
    assert "by-another-key" not in page
    key.refresh_from_db()
    held = words_of(member(account.organization).get(f"/admin/batches/why/held?mode=live&by={key.pk}"))
    assert f"Held {key.used_credits} ✓" in held


def test_a_total_over_batches_is_of_those_that_the_filters_leave(account: Account, batch: Batch) -> None:
    make_batch(account.api, 3, request_id="other")
    response = member(account.organization).get("/admin/batches/why/reserved?mode=live&q=order")
    assert 'href="/admin/batches/?mode=live&amp;q=order&amp;state=queued"' in response.content.decode()
    assert f"Reserved {batch.credits} ✓" in words_of(response)
