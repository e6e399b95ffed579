"""What customers owe, by age: the edges of each column, and that all of it is the sum of what is open."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ledger.invoices.receivables import receivables
from ledger.models import Invoice
from tests.invoices import TODAY, Desk, make_desk
from tests.people import member, staff, words_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(db: Any) -> Desk:
    return make_desk()


@pytest.mark.parametrize(
    ("days", "column"), [(-1, 0), (0, 0), (1, 1), (30, 1), (31, 2), (60, 2), (61, 3), (90, 3), (91, 4), (900, 4)]
)
def test_an_invoice_stands_in_the_column_of_its_days_past_due(desk: Desk, days: int, column: int) -> None:
    desk.sent(due_on=TODAY - timedelta(days=days))
    [owed] = receivables(Invoice.objects.all(), today=TODAY).rows
    assert owed.by_age == tuple(500_000 if place == column else 0 for place in range(5))


def test_what_is_open_is_owed_and_nothing_else_by_one_query(desk: Desk) -> None:
    other = make_desk(name="Globex")
    desk.pay(desk.sent(), 100_000, "DE-1")
    desk.sent(due_on=TODAY - timedelta(days=40))
    other.sent()
    desk.draft(), desk.void(), desk.paid()
    with CaptureQueriesContext(connection) as captured:
        found = receivables(Invoice.objects.all(), today=TODAY)
    assert len(captured) == 1
    assert [(row.name, row.invoices, row.total_cents, sum(row.by_age[1:])) for row in found.rows] == [
        ("Acme", 2, 900_000, 500_000),
        ("Globex", 1, 500_000, 0),
    ]
    [total] = found.totals
    assert (total.currency, total.invoices, total.total_cents) == ("USD", 3, 1_400_000)
    assert total.total_cents == sum(invoice.open_cents for invoice in Invoice.objects.with_open())


def test_finance_reads_it_as_a_page_and_as_a_file_and_customers_do_not(desk: Desk) -> None:
    desk.sent(due_on=timezone.now().date() - timedelta(days=40))
    client = staff("auditor")
    assert "$5,000.00" in words_of(client.get("/admin/invoices/receivables"))
    header, line, _ = client.get("/admin/invoices/receivables.csv").content.decode().split("\r\n")
    assert header.startswith("organization_id,organization,currency,invoices,not_due,days_1_30")
    assert line == f"{desk.organization.pk},Acme,USD,1,0.00,0.00,5000.00,0.00,0.00,5000.00"
    for page in ("receivables", "receivables.csv"):
        assert member(desk.organization).get(f"/admin/invoices/{page}").status_code == 404
