"""The wallet and its entries over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from batches.failures import FailureType
from customers.models import Mode
from ledger.models import Entry, Wallet
from tests.factories import Account, end_batch, make_account, make_batch

pytestmark = pytest.mark.django_db


def test_the_wallet_shows_four_figures(account: Account) -> None:
    make_batch(account.api, 3)
    end_batch(make_batch(account.api, 2, request_id="b"))
    response = account.api.get("/wallet")
    assert response.status_code == 200
    assert list(response.json().items()) == [
        ("funded", 1000),
        ("available", 950),
        ("reserved", 30),
        ("settled", 20),
        ("livemode", True),
    ]


def test_entries_come_newest_first_in_pages_that_hold_still(account: Account) -> None:
    for number in range(4):
        make_batch(account.api, request_id=f"order-{number}")
    first = account.api.get("/ledger", limit=2).json()
    make_batch(account.api, request_id="later")
    second = account.api.get("/ledger", limit=2, cursor=first["next_cursor"]).json()
    third = account.api.get("/ledger", limit=2, cursor=second["next_cursor"]).json()
    assert [entry["seq"] for page in (first, second, third) for entry in page["data"]] == [5, 4, 3, 2, 1]
    assert third["next_cursor"] is None


SEALED = [
    *("wallet_id", "seq", "entry_id", "created_at", "kind", "amount"),
    *("available_after", "reserved_after", "settled_after", "reference", "request_id", "actor", "reason"),
]


def test_an_entry_is_shown_whole_with_its_sealed_fields_in_their_order(account: Account) -> None:
    make_batch(account.api)
    (entry,) = account.api.get("/ledger", kind="reserve").json()["data"]
    stored = Entry.objects.get(pk=entry["entry_id"])
    assert list(entry) == [*SEALED, "prev_hash", "hash"]
    assert (entry["seq"], entry["hash"]) == (stored.seq, stored.hash)
    assert entry["request_id"] == "order-1"
    assert entry["actor"] == account.keys[Mode.LIVE].pk


def test_entries_are_filtered(account: Account) -> None:
    batch = end_batch(make_batch(account.api, 2), failed={0: FailureType.TIMEOUT})
    make_batch(account.api, request_id="b")
    at = {entry.seq: entry.created_at.astimezone(UTC) for entry in Entry.objects.filter(wallet__mode="live")}

    def found(**query: Any) -> list[int]:
        return [entry["seq"] for entry in account.api.get("/ledger", **query).json()["data"]]

    assert found() == [5, 4, 3, 2, 1]
    assert found(kind="reserve") == [5, 2]
    assert found(batch_id=batch.pk) == [4, 3, 2]
    assert found(batch_id=batch.pk, kind="refund") == [4]
    assert found(batch_id="bat_unknown") == []
    assert found(created_after=at[3].isoformat()) == [5, 4, 3]
    assert found(created_before=at[3].isoformat()) == [2, 1]
    assert found(created_after=at[2].isoformat(), created_before=at[4].isoformat()) == [3, 2]


def test_a_period_is_read_in_any_zone(account: Account) -> None:
    entry = Entry.objects.get(wallet=account.wallets[Mode.LIVE])
    local = entry.created_at.astimezone(datetime.now(UTC).astimezone().tzinfo) + timedelta(microseconds=1)
    shifted = local.isoformat().replace("Z", "+00:00")
    assert account.api.get("/ledger", created_before=shifted).json()["data"][0]["entry_id"] == entry.pk
    assert account.api.get("/ledger", created_after=shifted).json()["data"] == []


@pytest.mark.parametrize(
    "query", [{"kind": "gift"}, {"batch_id": "\0"}, {"cursor": "YmF0"}, {"cursor": "OTk5OTk5OTk5OTk5OTk5OTk5OTk="}]
)
def test_a_parameter_that_cannot_be_understood_is_refused(account: Account, query: dict[str, str]) -> None:
    response = account.api.get("/ledger", query)
    assert (response.status_code, response.json()["code"]) == (422, "validation_error")


def test_a_customer_without_a_wallet_has_none_to_show(account: Account) -> None:
    bare = make_account(0, name="Bare")
    assert bare.api.get("/wallet").json()["funded"] == 0
    assert Wallet.objects.filter(organization=bare.organization).count() == 2
    assert bare.api.get("/ledger").json()["data"] == []
