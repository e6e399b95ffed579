"""The pages of revenue: months that add up, customers' lots, accounts, and who may see and change what."""

from typing import Any

import pytest
from django.db import connection

from customers.models import Mode
from ledger.intervals import month_of
from ledger.revenue.accounts import Purpose, accounts
from ledger.revenue.lots import used_in
from ledger.services import open_wallets
from tests.factories import fund
from tests.invoices import make_desk
from tests.ledger.test_journal import Books, books, two_months
from tests.markup import form_to, forms_of
from tests.people import member, staff, words_of

__all__ = ["books", "two_months"]
pytestmark = pytest.mark.django_db

ACCOUNTS = "/admin/revenue/accounts"


@pytest.fixture
def at_the_end(two_months: Books, time_machine: Any) -> Books:
    """The same books, seen at the end of February 2031."""
    time_machine.move_to(two_months.now, tick=False)
    return two_months


def test_the_months_stand_newest_first_and_add_up(at_the_end: Books) -> None:
    words = words_of(staff("auditor").get("/admin/revenue/"))
    assert "✓ Equals the ledger" in words
    assert "February 2031 $2,549.00 $9.00 $50.00 $75.00 $2,433.00 ✓" in words
    assert "January 2031 $0.00 $5,049.00 $2,500.00 $0.00 $2,549.00 ✓" in words
    assert "All $0.00 $5,058.00 $2,550.00 $75.00 $2,433.00" in words
    assert words.index("February 2031") < words.index("January 2031")
    assert "Credits that were paid for" in words
    assert "February 2031 52,000 100 1,020 1,530 49,550 ✓" in words
    assert "Promotional credits" not in words


def test_a_month_shows_customers_invoices_and_what_is_booked(at_the_end: Books) -> None:
    page = staff("finance").get("/admin/revenue/2031-02")
    words = words_of(page)
    assert "Acme $2,549.00 $9.00 $50.00 $75.00 $2,433.00" in words
    assert "Acme $10.00 $1.00 −$9.10 $9.90 $50.00 $55.00" in words
    assert "2100 Deferred revenue $125.00 $9.00" in words
    assert "still open" in words
    assert f"/admin/revenue/lots/{at_the_end.desk.organization.pk}" in page.content.decode()
    for ending, kind in (("csv", "text/csv"), ("beancount", "text/plain")):
        file = staff("finance").get(f"/admin/revenue/2031-02/journal.{ending}")
        assert file.headers["Content-Type"] == f"{kind}; charset=utf-8"
        assert file.headers["Content-Disposition"] == f'attachment; filename="journal-2031-02.{ending}"'


def test_a_customers_lots_show_their_prices_and_what_is_left(at_the_end: Books) -> None:
    words = words_of(staff("finance").get(f"/admin/revenue/lots/{at_the_end.desk.organization.pk}"))
    assert "✓ Equals the ledger: used 52,020 is what was settled; left 49,550" in words
    assert "Invoice INV-2031-0001 $0.04902 $5,000.00 $2,550.00 $75.00 $2,375.00" in words
    assert "Two people: crq_" in words
    assert "February 2031 Invoice INV-2031-0001 1,020 $50.00 1,530 $75.00" in words


def test_what_a_month_used_of_which_lot_is_what_a_usage_invoice_says(at_the_end: Books) -> None:
    (used,) = used_in(wallet=at_the_end.wallet, month=month_of("2031-02"))
    assert (used.lot.flow.number, used.part.credits, used.part.cents) == ("INV-2031-0001", 1_020, 5_000)


def test_promotional_credits_stand_apart_and_an_empty_company_is_told_so(db: None) -> None:
    client = staff("finance")
    assert "No revenue yet" in words_of(client.get("/admin/revenue/"))
    wallet = open_wallets(organization=make_desk().organization)[Mode.LIVE]
    assert "No lots yet" in words_of(client.get(f"/admin/revenue/lots/{wallet.organization_id}"))
    fund(wallet, 500)
    words = words_of(client.get("/admin/revenue/"))
    assert "Promotional credits" in words
    assert "Deferred revenue" not in words
    assert "Pilot, promotional" in words_of(client.get(f"/admin/revenue/lots/{wallet.organization_id}"))


@pytest.mark.unbooked
@pytest.mark.owner
def test_what_does_not_equal_the_ledger_is_told(at_the_end: Books) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        cursor.execute("ALTER TABLE credit_ledger DISABLE TRIGGER USER")
        cursor.execute("UPDATE credit_ledger SET amount = amount + 7 WHERE kind = 'grant'")
    words = words_of(staff("finance").get("/admin/revenue/2031-02"))
    assert "✕ These figures do not equal the ledger" in words
    assert "credits left, the ledger" in words


def test_accounts_are_changed_by_who_closes_months(db: None) -> None:
    approver = staff("finance approver")
    form = form_to(forms_of(approver.get(ACCOUNTS)), ACCOUNTS)
    assert form.fields["revenue_code"] == "4000"
    fields = {**form.fields, "revenue_code": " 8400 ", "revenue_name": "Erlöse"}
    assert "1 changed" in words_of(approver.post(ACCOUNTS, fields, follow=True))
    assert str(accounts()[Purpose.REVENUE]) == "8400 Erlöse"
    assert "Nothing was to be changed" in words_of(approver.post(ACCOUNTS, fields, follow=True))
    refused = approver.post(ACCOUNTS, {**fields, "cash_code": ""})
    assert refused.status_code == 422
    auditor = staff("auditor")
    assert "8400 Erlöse" in words_of(auditor.get(ACCOUNTS))
    assert not [form for form in forms_of(auditor.get(ACCOUNTS)) if form.action == ACCOUNTS]
    assert auditor.post(ACCOUNTS, fields).status_code == 403


@pytest.mark.parametrize("address", ["", "?until=soon", "2031-13", "soon", "2999-01", "2999-01/journal.csv"])
def test_no_customer_sees_revenue_and_there_is_none_of_no_month(address: str) -> None:
    assert member(make_desk().organization, "customer admin").get(f"/admin/revenue/{address}").status_code == 404
    if address:
        assert staff("finance").get(f"/admin/revenue/{address}").status_code == 404


def test_earlier_months_are_a_page_away(db: None, time_machine: Any) -> None:
    wallet = open_wallets(organization=make_desk().organization)[Mode.LIVE]
    fund(wallet, 500)
    (first,) = {f"{entry.created_at:%Y-%m}" for entry in wallet.entries.all()}
    time_machine.move_to("2028-03-10T12:00Z", tick=False)
    client = staff("finance")
    newest = words_of(client.get("/admin/revenue/"))
    assert "April 2027 500 0 0 0 500 ✓" in newest
    assert "Earlier months" in newest
    older = words_of(client.get("/admin/revenue/?until=2027-03"))
    assert f"{month_of(first).name} 0 500 0 0 500 ✓" in older
    assert "Later months" in older


def test_the_pages_take_as_many_queries_whatever_there_is(
    at_the_end: Books, django_assert_max_num_queries: Any
) -> None:
    client = staff("finance")
    for name in ("Globex", "Initech"):
        for address in ("", "2031-02", f"lots/{at_the_end.desk.organization.pk}"):
            with django_assert_max_num_queries(24):
                assert client.get(f"/admin/revenue/{address}").status_code == 200
        for number in range(3):
            fund(open_wallets(organization=make_desk(name=f"{name} {number}").organization)[Mode.LIVE], 100)
