"""Finance's home: what is wrong in a sentence, credits per day with their entries, ages, and what it costs to read."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches.failures import FailureType
from batches.models import Batch, Item
from batches.reconciliation import reconcile
from customers.models import Membership, Mode, User
from ledger import day_pages
from ledger.days import roll_up
from tests.batches.faults import batch_of, busy_wallet, tamper
from tests.factories import Account, end_batch, make_account, make_batch
from tests.people import member, staff, words_of

pytestmark = pytest.mark.django_db
unbooked = pytest.mark.unbooked
REFUSED = FailureType.CONTENT_REFUSED


def links_of(response: Any, words: str) -> list[str]:
    """Return the addresses of the links with exactly these words."""
    found = re.findall(r'<a [^>]*href="([^"]*)"[^>]*>(.*?)</a>', response.content.decode(), re.DOTALL)
    return [unescape(address) for address, text in found if re.sub(r"<[^>]*>", "", text).strip() == words]


def today() -> str:
    return datetime.now(UTC).date().isoformat()


# --- what is wrong -------------------------------------------------------------------------------------------------


@unbooked
def test_a_seeded_discrepancy_is_on_home_after_one_check_with_its_row_and_a_sentence(account: Account) -> None:
    wallet, stranger = busy_wallet(account), make_account(name="Globex")
    batch = batch_of("partial")
    tamper("UPDATE credit_ledger SET amount = 80 WHERE reference = %s AND kind = 'settle'", batch.pk)
    client = staff()
    client.post("/admin/check")
    response = client.get("/admin/")
    home = words_of(response)
    assert "✕ 5 discrepancies: credits are unexplained" in home
    assert (
        "Acme A batch's entries are its reserve, and once final reserved = settled + refunded. The partial batch must "
        "have reserved 100, settled 90 and refunded 10; the ledger has reserved 100, settled 80 and refunded 10: "
        "10 credits unexplained. Compare the batch's entries, items and proof. Once it is clear who is owed what, ask "
        "for an adjustment naming it."
    ) in home
    assert links_of(response, f"{batch.pk[:8]}…{batch.pk[-4:]}") == [f"/admin/batches/{batch.pk}"]
    assert links_of(response, f"{wallet.pk[:8]}…{wallet.pk[-4:]}") == [
        f"/admin/ledger/{account.organization.pk}?mode=live"
    ]
    assert client.get(f"/admin/batches/{batch.pk}").status_code == 200
    # A customer reads how, and of their own only; what to do is ours.
    theirs = words_of(member(account.organization).get("/admin/"))
    assert "10 credits unexplained" in theirs
    assert "adjustment naming it" not in theirs
    assert "unexplained" not in words_of(member(stranger.organization).get("/admin/"))


@unbooked
def test_figures_of_days_that_are_wrong_are_on_home_after_one_check(account: Account) -> None:
    end_batch(make_batch(account.api, 10))
    roll_up()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_walletday SET settled = settled - 7 WHERE settled > 0")
    reconcile(now=timezone.now())
    home = words_of(staff().get("/admin/"))
    assert "The figures of a day are the sums of its entries." in home
    assert "7 credits too few settled. No credit is touched, but home's days are not to be trusted." in home


@unbooked
def test_a_failed_item_that_was_not_refunded_is_named_with_what_is_owed(account: Account) -> None:
    right = end_batch(make_batch(account.api, 10), failed={7: REFUSED})
    wrong = end_batch(make_batch(account.api, 3, request_id="wrong"), failed={0: REFUSED, 1: REFUSED})
    assert "Refund coverage 100 % 3 of 3 failed items" in words_of(staff().get("/admin/"))
    tamper("UPDATE batches_item SET status = 'failed', refunded_at = NULL WHERE batch_id = %s AND index = 1", wrong.pk)
    response = staff().get("/admin/")
    home = words_of(response)
    assert "Refund coverage 66 % ✕ 2 of 3 failed items which were not refunded" in home
    sentence = "Batch wrong is final, and 1 failed item was not refunded: the customer is owed 10 credits."
    assert links_of(response, sentence) == [f"/admin/batches/{wrong.pk}?show=failed"]
    assert right.request_id not in home


# --- open batches by age -------------------------------------------------------------------------------------------


@pytest.mark.owner
def test_open_batches_are_counted_by_age_and_each_count_leads_to_them(account: Account) -> None:
    for name, age in (("young", 0), ("older", 2), ("oldest", 30)):
        batch = make_batch(account.api, request_id=name)
        Batch.objects.filter(pk=batch.pk).update(created_at=timezone.now() - timedelta(hours=age))
    make_batch(account.test_api, request_id="test")
    response = staff().get("/admin/")
    assert "Open batches 3 oldest 1 d 6 h · 1 in test 1 under 1 h · 1 of 1–24 h · 1 older" in words_of(response)
    (address,) = links_of(response, "1 older")
    assert re.fullmatch(r"/admin/batches/\?state=open&mode=live&until=\d{4}-.*Z", address)


# --- credits per day -----------------------------------------------------------------------------------------------


def test_days_are_drawn_and_tabled_of_live_credits_only(account: Account) -> None:
    end_batch(make_batch(account.api, 10), failed={7: REFUSED})
    end_batch(make_batch(account.test_api, 5))
    for _ in range(2):
        response = staff().get("/admin/")
        assert "Credits per day 30 days in UTC, live Reserved 100 Settled 90 Refunded 10" in words_of(response)
        assert f"{today()} 100 90 10" in words_of(response)
        assert f"<title>{today()}: 100 reserved, 90 settled, 10 refunded</title>" in response.content.decode()
        roll_up()


def test_a_figure_of_a_day_leads_staff_to_the_customers_and_on_to_the_entries(account: Account) -> None:
    end_batch(make_batch(account.api, 10), failed={7: REFUSED})
    end_batch(make_batch(make_account(name="Globex").api, 2))
    client = staff()
    (address,) = (each for each in links_of(client.get("/admin/"), "110") if "/days/" in each)
    assert address == f"/admin/ledger/days/{today()}?mode=live"
    page = client.get(address)
    assert "Acme 100 90 10" in words_of(page)
    assert "Globex 20 20 0" in words_of(page)
    assert "All 2 customers 120 110 10" in words_of(page)
    (address,) = links_of(page, "90")
    assert "All 1 of this kind 90" in words_of(client.get(address))


def test_a_day_lists_the_largest_and_adds_up_the_others(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day_pages, "CUSTOMERS_SHOWN", 1)
    end_batch(make_batch(account.api, 10), failed={7: REFUSED})
    for name, clips in (("Globex", 2), ("Initech", 1)):
        end_batch(make_batch(make_account(name=name).api, clips))
    page = words_of(staff().get(f"/admin/ledger/days/{today()}"))
    assert "Acme 100 90 10 the others, each of whom moved less; all wallets 30 30 0 All 3 customers 130 120 10" in page
    assert "Globex" not in page


def test_a_figure_of_a_day_leads_a_customer_straight_to_the_entries(account: Account) -> None:
    end_batch(make_batch(account.api, 10), failed={7: REFUSED})
    client = member(account.organization)
    (address,) = (each for each in links_of(client.get("/admin/"), "90") if "from=" in each)
    assert address.startswith(f"/admin/ledger/{account.organization.pk}?mode=live&from={today()}&until=")
    assert address.endswith("&kind=settle")
    assert client.get(address).status_code == 200


def test_who_belongs_to_two_customers_sees_both_behind_a_day_and_nobody_elses(account: Account) -> None:
    second, third = make_account(name="Globex"), make_account(name="Initech")
    for each in (account, second, third):
        end_batch(make_batch(each.api, 1))
    client = member(account.organization)
    user = User.objects.get(memberships__organization=account.organization)
    Membership.objects.create(user=user, organization=second.organization, role="customer finance")
    for each in (account, second):
        response = client.get("/admin/", {"organization": each.organization.pk})
        assert links_of(response, today())[0].startswith(
            f"/admin/ledger/{each.organization.pk}?mode=live&from={today()}"
        )
    page = words_of(client.get(f"/admin/ledger/days/{today()}"))
    assert "All 2 customers 20 20 0" in page
    assert "Initech" not in page


def test_a_day_on_which_nothing_moved_says_so_and_one_that_is_none_is_not_found(account: Account) -> None:
    client = staff()
    assert "No batch moved credits on that day" in words_of(client.get("/admin/ledger/days/2026-01-24"))
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
    for text in ("2026-02-30", "20260124", "0001-01-01", "today", tomorrow.isoformat()):
        assert client.get(f"/admin/ledger/days/{text}").status_code == 404


def test_support_sees_no_credits_of_days(account: Account) -> None:
    end_batch(make_batch(account.api, 10))
    client = staff("support")
    assert "Credits per day" not in words_of(client.get("/admin/"))
    assert client.get(f"/admin/ledger/days/{today()}").status_code == 403


def test_before_anything_moved_home_says_what_will_be_drawn() -> None:
    home = words_of(staff().get("/admin/"))
    assert "No batch has moved credits in the last 30 days." in home
    assert "As table" not in home


# --- what it costs -------------------------------------------------------------------------------------------------


def queries_of(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


@pytest.mark.owner
@pytest.mark.parametrize("who", ["staff", "customer"])
def test_home_takes_as_many_queries_whatever_there_is(account: Account, who: str) -> None:
    client = staff() if who == "staff" else member(account.organization)

    def something_of_all(number: int) -> None:
        end_batch(make_batch(account.api, 3, request_id=f"ended {number}"), failed={1: REFUSED})
        stuck = make_batch(account.api, 2, request_id=f"stuck {number}")
        Batch.objects.filter(pk=stuck.pk).update(created_at=timezone.now() - timedelta(hours=3))

    something_of_all(0)
    reconcile(now=timezone.now())
    few = queries_of(client, "/admin/")
    for number in range(1, 6):
        something_of_all(number)
        end_batch(make_batch(make_account(name=f"Customer {number}").api, 2))
    reconcile(now=timezone.now())
    assert queries_of(client, "/admin/") == few
    roll_up()
    assert queries_of(client, "/admin/") == few


def test_a_day_takes_as_many_queries_however_many_customers_moved(account: Account) -> None:
    client, address = staff(), f"/admin/ledger/days/{today()}"
    end_batch(make_batch(account.api, 2))
    few = queries_of(client, address)
    for number in range(4):
        end_batch(make_batch(make_account(name=f"Customer {number}").api, 2))
    assert queries_of(client, address) == few


def test_coverage_counts_what_batches_say_of_themselves(account: Account) -> None:
    end_batch(make_batch(account.api, 4), failed={0: REFUSED, 1: REFUSED})
    make_batch(account.api, 2, request_id="open")
    assert Item.objects.filter(batch__mode=Mode.LIVE, status="refunded").count() == 2
    assert "Refund coverage 100 % 2 of 2 failed items" in words_of(staff().get("/admin/"))
