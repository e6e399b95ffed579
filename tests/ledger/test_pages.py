"""The ledger's pages: wallets with their totals, and a customer's statement with the entries behind its figures."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from typing import Any
from urllib.parse import unquote

import pytest
import time_machine
from django.db import connection

from batches.failures import FailureType
from batches.models import Batch
from customers.models import Mode, Organization
from customers.services import create_staff
from ledger import statement_pages
from ledger.approvals import request_credits
from ledger.intervals import month_of
from ledger.models import CreditRequest, Entry, Period
from tests.factories import Account, end_batch, fund, make_account, make_batch
from tests.ledger.clock import turn_to
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
    monkeypatch.setattr(statement_pages, "ENTRIES_SHOWN", 3)
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
    for page, queries in (("/admin/ledger/", 6), (address, 12)):
        with django_assert_num_queries(queries):
            client.get(page)
        for number in range(5):
            make_account(name=f"Customer {number} {page}")
            give(account, 1, f"{page} {number}")
        with django_assert_num_queries(queries):
            client.get(page)


# --- statements ----------------------------------------------------------------------------------------------------


@pytest.fixture
def acme() -> Iterator[Account]:
    """A customer with entries in October and November 2026, on 20 November; a batch is open since October."""
    account = make_account(0)
    wallet = account.wallets[Mode.LIVE]
    turn_to("2026-10-05T12:00Z")
    fund(wallet, 1000, reference="pilot 1")
    end_batch(make_batch(account.api, 10), failed={7: FailureType.CONTENT_REFUSED})
    turn_to("2026-10-31T23:30Z")
    make_batch(account.api, 3, request_id="late")
    turn_to("2026-11-20T12:00Z")
    end_batch(make_batch(account.api, 2, request_id="november"))
    with time_machine.travel(datetime(2026, 11, 20, 12, 1, tzinfo=UTC), tick=False):
        yield account


def address_of(account: Account) -> str:
    return f"/admin/ledger/{account.organization.pk}"


def links_of(response: Any) -> dict[str, str]:
    """Return where a page's links lead, by their words; the last one of the same words counts."""
    found = re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', response.content.decode(), re.DOTALL)
    return {re.sub(r"<[^>]*>", "", words).strip(): unescape(target).partition("#")[0] for target, words in found}


def test_a_statement_is_one_of_the_current_month_if_no_other_is_asked_for(acme: Account) -> None:
    response = staff().get(address_of(acme))
    text = words_of(response)
    assert "November 2026 UTC ○ still open" in text
    assert numbers(response) == [7, 6]
    rows = [
        "Opening 880 30 90 1,000",
        "grant 0 0",
        "reserve 1 20 −20 +20",
        "settle 1 20 −20 +20",
        "refund 0 0",
        "Closing 860 30 110 1,000",
    ]
    assert [row for row in rows if row in text] == rows
    assert "✓ Opening + movements = closing. 2 entries, numbers 6 to 7 without a gap." in text


def test_months_lead_to_their_neighbours(acme: Account) -> None:
    client = staff()
    november = client.get(address_of(acme))
    assert "December 2026 ›" not in links_of(november)
    october = client.get(address_of(acme) + links_of(november)["‹ October 2026"])
    assert "Opening 0 0 0 0" in words_of(october)
    assert "Closing 880 30 90 1,000" in words_of(october)
    assert "‹ September 2026" not in links_of(october)
    assert numbers(client.get(address_of(acme) + links_of(october)["November 2026 ›"])) == [7, 6]


def test_the_months_to_choose_from_are_those_with_entries_and_the_current_one(acme: Account) -> None:
    client = staff()
    offered = r'<option value="(2[-0-9]+)"( selected)?>'
    found = client.get(address_of(acme), {"month": "2025-07"}).content.decode()
    assert re.findall(offered, found) == [("2026-11", ""), ("2026-10", ""), ("2025-07", " selected")]
    test = client.get(address_of(acme), {"mode": "test"}).content.decode()
    assert re.findall(offered, test) == [("2026-11", " selected")]


@pytest.mark.parametrize(
    "query", [{"month": "2026-10"}, {"from": "2026-10-02", "until": "2026-11-20"}, {"month": "all"}]
)
def test_each_figure_leads_to_the_entries_that_make_it(acme: Account, query: dict[str, str]) -> None:
    client = staff()
    response = client.get(address_of(acme), query)
    seen = 0
    for moved, row in zip(response.context["found"].statement.moved, response.context["found"].moved, strict=True):
        if not moved.count:
            assert row.query == ""
            continue
        page = client.get(address_of(acme) + row.query)
        assert {line.entry.kind for line in page.context["found"].lines} == {moved.kind}
        assert f"All {moved.count} of this kind {moved.credits:,}" in words_of(page)
        assert page.context["found"].statement.interval == response.context["found"].statement.interval
        seen += moved.count
    assert seen == len(numbers(response))


def test_opening_and_closing_lead_to_all_that_came_before(acme: Account) -> None:
    client = staff()
    response = client.get(address_of(acme), {"month": "2026-11"})
    opening = client.get(address_of(acme) + links_of(response)["Opening"])
    assert numbers(opening) == [5, 4, 3, 2, 1]
    assert "Until before 2026-11-01 UTC" in words_of(opening)
    assert "Closing 880 30 90 1,000" in words_of(opening)
    assert numbers(client.get(address_of(acme) + links_of(response)["Closing"])) == [7, 6, 5, 4, 3, 2, 1]
    assert "Opening" not in links_of(opening)


def test_an_entry_leads_to_its_batch_and_the_batch_to_its_items(acme: Account) -> None:
    client = staff()
    batch = Batch.objects.get(request_id="november")
    page = client.get(links_of(client.get(address_of(acme)))["november"], follow=True)
    assert page.redirect_chain[-1][0] == f"/admin/batches/{batch.pk}"
    assert f"/admin/batches/{batch.pk}/items/{batch.items.get(index=0).pk}" in page.content.decode()


def test_open_reserves_are_listed_with_what_they_hold(acme: Account) -> None:
    client = staff()
    october = client.get(address_of(acme), {"month": "2026-10"})
    batch = Batch.objects.get(request_id="late")
    assert "late 2026-10-31 23:30:00 30 Reserved 30" in words_of(october)
    page = client.get(links_of(october)["late"], follow=True)
    assert page.redirect_chain[-1][0] == f"/admin/batches/{batch.pk}"
    assert "Held since" not in words_of(client.get(address_of(acme), {"until": "2026-10-31"}))


def test_a_zone_bounds_the_month_and_times_are_told_in_it(acme: Account) -> None:
    response = staff().get(address_of(acme), {"month": "2026-10", "tz": "Europe/Berlin"})
    assert numbers(response) == [4, 3, 2, 1]
    text = words_of(response)
    assert "October 2026 Europe/Berlin" in text
    assert "Time (Europe/Berlin)" in text
    assert "2026-10-05 14:00:00" in text
    assert 'title="2026-10-05 12:00:00.000000 UTC"' in response.content.decode()
    november = staff().get(address_of(acme) + links_of(response)["November 2026 ›"])
    assert numbers(november) == [7, 6, 5]
    assert "2026-11-01 00:30:00" in words_of(november)


def in_zone(account: Account, zone: str) -> None:
    Organization.objects.filter(pk=account.organization.pk).update(time_zone=zone)


def test_a_statement_begins_with_the_zone_of_its_organization_whoever_looks(acme: Account) -> None:
    in_zone(acme, "Europe/Berlin")
    for client in (staff(), member(acme.organization)):
        response = client.get(address_of(acme))
        assert "November 2026 Europe/Berlin" in words_of(response)
        assert numbers(response) == [7, 6, 5]
        october = client.get(address_of(acme) + links_of(response)["‹ October 2026"])
        assert numbers(october) == [4, 3, 2, 1]
    assert numbers(staff().get(address_of(acme), {"tz": "UTC"})) == [7, 6]
    assert acme.api.get("/statements/2026-10").json()["tz"] == "UTC"


@pytest.mark.parametrize(
    ("zone", "month", "starts_at", "ends_at"),
    [
        ("Europe/Berlin", "2026-03", "2026-02-28T23:00", "2026-03-31T22:00"),
        ("Europe/Berlin", "2026-10", "2026-09-30T22:00", "2026-10-31T23:00"),
        ("America/New_York", "2026-11", "2026-11-01T04:00", "2026-12-01T05:00"),
    ],
)
def test_a_month_in_which_clocks_change_is_as_long_as_it_is_there(
    acme: Account, zone: str, month: str, starts_at: str, ends_at: str
) -> None:
    in_zone(acme, zone)
    links = links_of(staff().get(address_of(acme), {"month": month}))
    for name in ("CSV", "XLSX", "Beancount"):
        assert f"created_after={starts_at}:00.000000Z" in unquote(links[name])
        assert f"created_before={ends_at}:00.000000Z" in unquote(links[name])
    assert f"tz={zone}" in unquote(links["PDF"])


def test_what_is_of_a_month_in_utc_leads_to_that_month_in_utc(acme: Account) -> None:
    in_zone(acme, "Asia/Tokyo")
    client, late = staff(), Batch.objects.get(request_id="late")
    of_batch = links_of(client.get(f"/admin/batches/{late.pk}/billing"))["See all its entries"]
    assert of_batch.endswith(f"month={late.created_at:%Y-%m}&tz=UTC")
    assert links_of(client.get("/admin/ledger/periods/2026-10"))["Acme"].endswith("month=2026-10&tz=UTC")


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"month": "2026-13"}, "'2026-13' is no month: write it like 2026-10."),
        ({"tz": "Mars/Base"}, "'Mars/Base' is no time zone: write it like Europe/Berlin, or UTC."),
        ({"from": "soon"}, "'soon' is no day or time"),
        ({"from": "2026-10-02", "until": "2026-10-01"}, "2026-10-01 does not come after 2026-10-02"),
    ],
)
def test_no_other_interval_is_shown_than_was_asked_for(acme: Account, query: dict[str, str], sentence: str) -> None:
    response = staff().get(address_of(acme), query)
    assert response.status_code == 400
    assert sentence in words_of(response)
    assert "Closing" not in words_of(response)


def test_an_entrys_page_leads_to_it_among_those_of_its_own_month(acme: Account) -> None:
    entry = Entry.objects.get(wallet=acme.wallets[Mode.LIVE], seq=2)
    client = staff()
    found = client.get("/admin/find", {"q": entry.pk}, follow=True)
    page = client.get(links_of(found)[acme.organization.name])
    assert "October 2026 UTC" in words_of(page)
    assert numbers(page) == [2, 1]
    assert f'<tr id="{entry.pk}">' in page.content.decode()


def test_filters_and_interval_are_kept_together(acme: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement_pages, "ENTRIES_SHOWN", 1)
    client = staff()
    first = client.get(address_of(acme), {"month": "2026-10", "kind": "reserve"})
    assert numbers(first) == [5]
    assert "Kind reserve" in words_of(first)
    assert numbers(client.get(address_of(acme) + links_of(first)["Next ›"])) == [2]
    form = first.content.decode().partition('id="entries"')[2].partition("</form>")[0]
    assert re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form) == [
        ("mode", "live"),
        ("month", "2026-10"),
        ("tz", "UTC"),
    ]


def test_files_hold_exactly_what_is_listed(acme: Account) -> None:
    client = staff()
    for query in (
        {"month": "2026-10"},
        {"month": "2026-10", "kind": "reserve"},
        {"from": "2026-10-31", "tz": "Asia/Tokyo"},
    ):
        response = client.get(address_of(acme), query)
        text = client.get(links_of(response)["CSV"]).getvalue().decode()
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert [int(row["seq"]) for row in rows] == numbers(response)[::-1] != []
        for name in ("XLSX", "Beancount"):
            assert client.get(links_of(response)[name]).status_code == 200


def test_a_closed_month_says_that_it_cannot_change(acme: Account) -> None:
    turn_to("2026-11-20T12:00Z")
    october = month_of("2026-10")
    Period.objects.create(month="2026-10", starts_at=october.starts_at, ends_at=october.ends_at)
    client = staff()
    assert "✓ closed, cannot change any more" in words_of(client.get(address_of(acme), {"month": "2026-10"}))
    assert "○ still open" in words_of(client.get(address_of(acme)))


def test_what_came_in_leads_our_staff_to_its_request(acme: Account) -> None:
    request = CreditRequest.objects.get(reference="pilot 1")
    query = {"month": "2026-10"}
    assert links_of(staff().get(address_of(acme), query))["pilot 1"] == f"/admin/find?q={request.pk}"
    theirs = member(acme.organization).get(address_of(acme), query)
    assert "grant +1,000" in words_of(theirs)
    assert request.pk not in theirs.content.decode()


def test_an_interval_without_entries_says_so(acme: Account) -> None:
    client = staff()
    response = client.get(address_of(acme), {"month": "2025-07"})
    assert "No entries in this interval" in words_of(response)
    assert numbers(client.get(address_of(acme) + links_of(response)["See all entries"])) == [7, 6, 5, 4, 3, 2, 1]
    assert "No entries yet" in words_of(client.get(address_of(acme), {"mode": "test"}))


@pytest.mark.unbooked
def test_wrong_books_are_not_called_right(acme: Account) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE credit_ledger DISABLE TRIGGER USER")
        cursor.execute("DELETE FROM credit_ledger WHERE reference = 'pilot 1'")
        cursor.execute("UPDATE credit_ledger SET reserved_after = 29 WHERE seq = 7")
    text = words_of(staff().get(address_of(acme), {"month": "all"}))
    assert "✕ Opening and movements differ from the closing available credits by 1,000." in text
    assert "✕ Opening and movements differ from the closing reserved credits by 1." in text
    assert "✕ 1 of the entries' numbers have no entry." in text
    assert "✕ 1 reserved credits differ from the open reserves." in text
    assert "✓ Opening + movements" not in text


def test_a_customers_finance_sees_the_statement_of_its_own(acme: Account) -> None:
    make_account(500, name="Globex")
    client = member(acme.organization)
    assert "Closing 860 30 110 1,000" in words_of(client.get(address_of(acme)))
    assert "Globex" not in words_of(client.get(address_of(acme)))
    stranger = member(make_account(0, name="Initech").organization)
    assert stranger.get(address_of(acme)).status_code == 404


def test_our_staff_read_who_made_an_entry_by_name_and_customers_the_opaque_id_alone(account: Account) -> None:
    make_batch(account.api)
    key = account.keys[Mode.LIVE]
    address = f"/admin/ledger/{account.organization.pk}"
    assert f"order-1 {key.name} {key.pk[:8]}…{key.pk[-4:]}" in words_of(staff().get(address))
    theirs = words_of(member(account.organization).get(address))
    assert f"order-1 {key.pk[:8]}…{key.pk[-4:]}" in theirs


def test_the_wallets_say_how_many_requests_wait_to_our_staff(account: Account) -> None:
    asks, _ = create_staff(username="ada", role="finance")
    request_credits(
        wallet=account.wallets[Mode.LIVE],
        kind=Entry.Kind.GRANT,
        amount=5,
        reference="INV-1",
        reason="Invoice 1",
        requested_by=asks,
    )
    assert "Credit requests ◑ 1 waiting" in words_of(staff().get("/admin/ledger/"))
    assert "waiting" not in words_of(staff().get("/admin/ledger/?mode=test"))
    assert "waiting" not in words_of(member(account.organization).get("/admin/ledger/"))
