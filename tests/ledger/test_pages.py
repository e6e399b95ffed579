"""The ledger's pages: wallets with their totals, and a customer's entries with the balances after each."""

from typing import Any

import pytest

from batches.failures import FailureType
from customers.models import Mode
from ledger import pages
from ledger.models import Entry
from tests.factories import Account, end_batch, fund, make_account, make_batch
from tests.people import member, staff, words_of

pytestmark = pytest.mark.django_db


def give(account: Account, amount: int, reference: str, mode: Mode = Mode.LIVE) -> Entry:
    return fund(account.wallets[mode], amount, reference=reference)


def numbers(response: Any) -> list[int]:
    """Return the numbers of the entries that a page lists, in its order."""
    return [entry.seq for entry in response.context["found"].page.rows]


def test_wallets_are_listed_with_the_totals_of_their_mode() -> None:
    first, second = make_account(1000), make_account(500, name="Globex")
    give(first, 7, "only in test", Mode.TEST)
    end_batch(make_batch(first.api, 3), failed={0: FailureType.TIMEOUT})
    make_batch(second.api, 2)
    text = words_of(staff().get("/admin/ledger/"))
    assert "Funded 1,500 = Available 1,460 + Reserved 20 + Settled 20 ✓" in text
    assert "All 2 wallets" in text
    assert "Funded 1,507 = Available 1,507" in words_of(staff().get("/admin/ledger/", {"mode": "test"}))


def test_wallets_are_filtered_by_customer_and_so_are_their_totals() -> None:
    make_account(1000)
    globex = make_account(500, name="Globex")
    for customer in ("glob", globex.organization.pk):
        text = words_of(staff().get("/admin/ledger/", {"customer": customer}))
        assert "Funded 500 =" in text
        assert "Acme" not in text
    assert "No customer of that name" in words_of(staff().get("/admin/ledger/", {"customer": "nobody"}))


def test_a_customers_person_sees_their_own_wallets_only() -> None:
    acme = make_account(1000)
    make_account(500, name="Globex")
    text = words_of(member(acme.organization).get("/admin/ledger/"))
    assert "Funded 1,000 =" in text
    assert "Globex" not in text


def test_a_statement_shows_each_entry_with_its_sign_and_the_balances_after_it(account: Account) -> None:
    end_batch(make_batch(account.api, 10), failed={7: FailureType.CONTENT_REFUSED})
    text = words_of(staff().get(f"/admin/ledger/{account.organization.pk}"))
    rows = ["grant +1,000 1,000 0", "reserve −100 900 100", "settle 90 900 10", "refund +10 910 0"]
    assert [row for row in rows if row in text] == rows
    assert "Funded 1,000 = Available 910 + Reserved 0 + Settled 90 ✓" in text


def test_a_statement_is_paged_by_cursor_newest_first(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ENTRIES_SHOWN", 3)
    for number in range(4):
        give(account, 1, f"grant {number}")
    address, client = f"/admin/ledger/{account.organization.pk}", staff()
    first = client.get(address)
    assert numbers(first) == [5, 4, 3]
    give(account, 1, "one more meanwhile")
    second = client.get(address, {"after": first.context["found"].page.next})
    assert numbers(second) == [2, 1]
    assert second.context["found"].page.next is None
    assert numbers(client.get(address, {"after": "no number"})) == [6, 5, 4]


def test_a_statement_is_filtered_by_kind_and_reference_with_their_total(account: Account) -> None:
    give(account, 7, "invoice 7")
    batch = make_batch(account.api, 2)
    address, client = f"/admin/ledger/{account.organization.pk}", staff()
    by_kind = client.get(address, {"kind": "grant"})
    assert numbers(by_kind) == [2, 1]
    assert "All 2 of this kind 1,007" in words_of(by_kind)
    assert numbers(client.get(address, {"reference": batch.pk})) == [3]
    assert "No entry fits" in words_of(client.get(address, {"kind": "refund"}))


def test_modes_have_statements_of_their_own(account: Account) -> None:
    make_batch(account.test_api, 2)
    address, client = f"/admin/ledger/{account.organization.pk}", staff()
    assert len(numbers(client.get(address))) == 1
    assert len(numbers(client.get(address, {"mode": "test"}))) == 2
    assert client.get(address, {"mode": "neither"}).status_code == 404


def test_the_pages_take_as_many_queries_whatever_there_is(account: Account, django_assert_num_queries: Any) -> None:
    client, address = staff(), f"/admin/ledger/{account.organization.pk}"
    for page, queries in (("/admin/ledger/", 7), (address, 8)):
        with django_assert_num_queries(queries):
            client.get(page)
        for number in range(5):
            make_account(name=f"Customer {number} {page}")
            give(account, 1, f"{page} {number}")
        with django_assert_num_queries(queries):
            client.get(page)
