"""Why is this amount here? A wallet's figures, totals over wallets, and entries, explained by their rows."""

import re
from html import unescape
from typing import Any

import pytest
from django.db import connection

from customers.models import Mode, Organization
from ledger.days import roll_up
from ledger.models import Entry, Wallet
from ledger.services import Movement, refund, reserve, settle
from tests.factories import Account, fund, make_account
from tests.ledger.clock import turn_to
from tests.markup import links_of
from tests.people import member, staff, words_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def wallet(account: Account) -> Wallet:
    """1,000 granted; 30 held for order-1, of order-2 90 charged and 10 given back."""
    live = account.wallets[Mode.LIVE]
    for reference, amount in (("order-1", 30), ("order-2", 100)):
        reserve(movement=about(live, reference), amount=amount)
    settle(movement=about(live, "order-2"), amount=90)
    refund(movement=about(live, "order-2"), amount=10)
    return live


def about(wallet: Wallet, reference: str) -> Movement:
    return Movement(wallet_id=wallet.pk, reference=reference, request_id=reference, actor="system")


def why(wallet: Wallet, figure: str) -> str:
    """Return what the page says of a figure, from its head on."""
    page = words_of(staff("finance").get(f"/admin/ledger/{wallet.organization_id}/why/{figure}?mode={wallet.mode}"))
    return page[page.index(f"› {figure.capitalize()} ") :]


def tamper(statement: str) -> None:
    """Do what only somebody can who goes around the triggers."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        for table in ("credit_ledger", "ledger_wallet"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(statement)


def leads_to(page: Any, label: str) -> str:
    """Return where the link with this text leads."""
    found = re.search(rf'<a [^>]*href="([^"]+)"[^>]*>{re.escape(label)}</a>', page.content.decode())
    assert found is not None
    return unescape(found[1])


# --- a wallet ------------------------------------------------------------------------------------------------------


def test_what_is_available_is_what_came_in_less_what_is_held_and_charged(wallet: Wallet) -> None:
    page = why(wallet, "available")
    assert "Available 880 ✓" in page
    assert "available = grants − reserved − settled 880 = 1,000 − 30 − 90 ✓" in page
    assert "order-1 30 held since" in page
    assert "90 1 batch" in page


def test_each_figure_of_a_wallet_is_explained(wallet: Wallet) -> None:
    assert "Funded 1,000 ✓" in why(wallet, "funded")
    assert "Reserved 30 ✓" in why(wallet, "reserved")
    assert "Settled 90 ✓" in why(wallet, "settled")


def test_the_figures_are_the_same_whether_the_days_are_added_up_or_not(wallet: Wallet) -> None:
    before = why(wallet, "available")
    roll_up()
    assert why(wallet, "available") == before


def test_a_large_wallet_is_explained_by_the_sums_of_its_days(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    before = why(wallet, "available")
    roll_up()
    monkeypatch.setattr("ledger.why_pages.EXACT_ENTRIES", 0)
    assert why(wallet, "available") == before


def test_a_month_leads_to_its_own_entries_in_whatever_zone_the_customer_lives(account: Account) -> None:
    """In Tokyo the last evening of a month in UTC is the month after."""
    live = account.wallets[Mode.LIVE]
    Organization.objects.update(time_zone="Asia/Tokyo")
    turn_to("2100-10-31 20:00:00 UTC")
    reserve(movement=about(live, "order-1"), amount=70)
    settle(movement=about(live, "order-1"), amount=70)
    client = staff("finance")
    page = client.get(f"/admin/ledger/{live.organization_id}/why/settled?mode=live")
    entries = client.get(leads_to(page, "October 2100 (UTC)")).context["found"]
    assert (entries.count, entries.amount) == (1, 70)
    totals = client.get("/admin/ledger/why/settled?mode=live&month=2100-10")
    of_month = client.get(leads_to(totals, "Acme")).context["found"]
    assert of_month.statement.closing.settled == 70
    assert of_month.statement.interval.zone == "UTC"


def test_what_is_not_listed_is_counted(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        fund(wallet, 10 + number)
    monkeypatch.setattr("ledger.why.ROWS_SHOWN", 2)
    monkeypatch.setattr("ledger.why_pages.ROWS_SHOWN", 2)
    page = why(wallet, "funded")
    assert "and 2 more 1,010" in page
    assert "Funded 1,033 ✓" in page


def test_what_is_none_is_said(account: Account) -> None:
    page = why(account.wallets[Mode.LIVE], "reserved")
    assert "Reserved 0 ✓" in page
    assert "None." in page


@pytest.mark.unbooked
def test_a_wallet_that_says_more_than_its_entries_is_red_by_how_much(wallet: Wallet) -> None:
    tamper(f"UPDATE ledger_wallet SET available = available + 7 WHERE id = '{wallet.pk}'")
    page = why(wallet, "available")
    assert "Available 887 ✕" in page
    assert "It says 887, which is 7 credits more than the rows add up to, 880." in page
    assert "The wallet says 887; after its last entry, number 5, it was 880." in page


@pytest.mark.unbooked
def test_the_entry_at_which_the_books_break_is_named(wallet: Wallet) -> None:
    tamper(f"UPDATE credit_ledger SET amount = 80 WHERE wallet_id = '{wallet.pk}' AND kind = 'settle'")
    page = why(wallet, "settled")
    assert "It says 90, which is 10 credits more than the rows add up to, 80." in page
    assert "Entry 4: The balances after it do not follow from those before: reserved by 10 too few" in page
    assert "settled by 10 too many" in page
    entry = Entry.objects.get(wallet=wallet, kind=Entry.Kind.SETTLE)
    shown = words_of(staff("finance").get(f"/admin/ledger/entries/{entry.pk}"))
    assert "✕ Settled: the balance after it is 90, and 10 of that do not follow" in shown
    assert "✕ its fields make another: somebody has changed it" in shown


@pytest.mark.unbooked
def test_sums_of_days_that_are_not_the_entries_are_red(wallet: Wallet) -> None:
    roll_up()
    tamper("UPDATE ledger_walletday SET settled = 95")
    page = why(wallet, "settled")
    assert "Settled: It says 90, which is 5 credits fewer than its rows add up to, 95." in page


def test_another_customers_wallet_is_not_there_nor_a_figure_that_is_none(wallet: Wallet) -> None:
    own, other = member(wallet.organization), member(make_account(name="Other").organization)
    assert own.get(f"/admin/ledger/{wallet.organization_id}/why/available").status_code == 200
    assert other.get(f"/admin/ledger/{wallet.organization_id}/why/available").status_code == 404
    assert own.get(f"/admin/ledger/{wallet.organization_id}/why/secret").status_code == 404
    developer = member(wallet.organization, "customer developer")
    assert developer.get(f"/admin/ledger/{wallet.organization_id}/why/available").status_code == 403


# --- totals --------------------------------------------------------------------------------------------------------


def totals(figure: str, **asked: str) -> str:
    return words_of(staff("finance").get(f"/admin/ledger/why/{figure}", asked))


def test_a_total_is_the_sum_of_its_wallets_the_largest_first(wallet: Wallet) -> None:
    make_account(5_000, name="Globex")
    page = totals("available", mode="live")
    assert "Available 5,880 ✓" in page
    assert re.search(r"Globex 5,000 Acme 880 Together 5,880", page)
    assert "Globex" not in totals("available", mode="live", customer="acme")


def test_totals_beyond_those_listed_are_counted(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        make_account(10 + number, name=f"Small {number}")
    monkeypatch.setattr("ledger.why.ROWS_SHOWN", 2)
    monkeypatch.setattr("ledger.totals_pages.ROWS_SHOWN", 2)
    assert "and 2 more 21" in totals("available", mode="live")


def test_a_total_at_the_end_of_a_month_is_that_of_its_last_entries(wallet: Wallet) -> None:
    assert "Funded 0 ✓" in totals("funded", mode="live", month="2020-01")
    month = f"{Entry.objects.latest('created_at').created_at:%Y-%m}"
    assert "Funded 1,000 ✓" in totals("funded", mode="live", month=month)
    assert staff("finance").get("/admin/ledger/why/funded?month=soon").status_code == 404


def test_what_is_added_up_by_months_in_utc_leads_to_months_in_utc(wallet: Wallet) -> None:
    """The statement begins in the customer's zone, whose months hold other entries than those that were added up."""
    Organization.objects.filter(pk=wallet.organization_id).update(time_zone="Asia/Tokyo")
    finance, own = staff("finance"), f"/admin/ledger/{wallet.organization_id}"
    month = f"{Entry.objects.latest('created_at').created_at:%Y-%m}"
    for page in (f"{own}/why/settled?mode=live", f"/admin/ledger/why/funded?mode=live&month={month}"):
        leads = [link for link in links_of(finance.get(page)) if link.startswith(f"{own}?") and "month=" in link]
        assert leads
        assert all("tz=UTC" in link for link in leads)


@pytest.mark.unbooked
def test_the_wallet_that_breaks_a_total_comes_first(wallet: Wallet) -> None:
    make_account(5_000, name="Globex")
    tamper(f"UPDATE ledger_wallet SET reserved = reserved + 4 WHERE id = '{wallet.pk}'")
    page = totals("reserved", mode="live")
    assert "✕ Acme: It says 34; after its last entry it is 30." in page


# --- an entry ------------------------------------------------------------------------------------------------------


def test_an_entry_says_what_it_means_and_what_it_did(wallet: Wallet) -> None:
    entry = Entry.objects.get(wallet=wallet, kind=Entry.Kind.REFUND)
    response = staff("finance").get(f"/admin/ledger/entries/{entry.pk}")
    page = words_of(response)
    assert "Entry 5: refund 10" in page
    assert "what was held for the items that failed came back" in page
    assert "Available 870 +10 880 ✓ Reserved 40 −10 30 ✓ Settled 90 0 90 ✓" in page
    assert "✓ its fields make it" in page
    assert "that of entry 4" in page
    before = Entry.objects.get(wallet=wallet, seq=4)
    assert f'rel="prev" href="/admin/ledger/entries/{before.pk}"' in response.content.decode()


def test_the_first_entry_follows_nothing(wallet: Wallet) -> None:
    entry = Entry.objects.get(wallet=wallet, seq=1)
    page = words_of(staff("finance").get(f"/admin/ledger/entries/{entry.pk}"))
    assert "Available 0 +1,000 1,000 ✓" in page
    assert "the first of the wallet" in page


def test_an_id_of_an_entry_leads_to_its_page(wallet: Wallet) -> None:
    entry = Entry.objects.filter(wallet=wallet).latest("seq")
    answer = member(wallet.organization).get("/admin/find", {"q": entry.pk})
    assert answer.headers["Location"] == f"/admin/ledger/entries/{entry.pk}"


def test_another_customers_entry_is_not_there(wallet: Wallet) -> None:
    entry = Entry.objects.filter(wallet=wallet).latest("seq")
    stranger = member(make_account(name="Other").organization)
    assert stranger.get(f"/admin/ledger/entries/{entry.pk}").status_code == 404


@pytest.mark.unbooked
def test_an_entry_that_does_not_continue_the_one_before_is_red(wallet: Wallet, account: Any) -> None:
    tamper(f"UPDATE credit_ledger SET prev_hash = repeat('a', 64) WHERE wallet_id = '{wallet.pk}' AND seq = 3")
    entry = Entry.objects.get(wallet=wallet, seq=3)
    page = words_of(staff("finance").get(f"/admin/ledger/entries/{entry.pk}"))
    assert "✕ it does not continue the entry before" in page
