"""The journal of a month: what it books for each thing that happens, and files that check themselves."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from beancount import loader

from ledger.intervals import Month, month_of
from ledger.invoices.amounts import money
from ledger.invoices.credit_notes import send_credit_note
from ledger.invoices.issuing import void_invoice
from ledger.models import Entry, Invoice
from ledger.periods import close_period
from ledger.revenue.accounts import USES, Account, Purpose, accounts, map_accounts
from ledger.revenue.files import beancount_of, csv_of
from ledger.revenue.journal import Booking, faults_of, journal_of
from ledger.revenue.months import revenue_of
from ledger.services import Movement, reserve, settle
from tests.invoices import make_desk
from tests.ledger.clock import turn_to
from tests.ledger.test_exports import bean_check
from tests.programs import ROOT

pytestmark = pytest.mark.django_db

JANUARY, FEBRUARY = month_of("2031-01"), month_of("2031-02")


class Books:
    """The worked example of docs/explanation/revenue.md, step by step."""

    def __init__(self) -> None:
        self.desk = make_desk()
        self.desk.details.tax_basis_points, self.desk.details.tax_label = 1_000, "VAT"
        self.desk.details.save()
        self.wallet = self.desk.wallet
        self.now = datetime(2031, 1, 5, 12, tzinfo=UTC)

    def go(self, month: int, day: int) -> None:
        self.now = datetime(2031, month, day, 12, tzinfo=UTC)
        turn_to(self.now.isoformat())

    def sent(self, *, credits: int = 102_000, cents: int = 500_000, tax: int = 50_000) -> Invoice:
        return self.desk.sent(
            now=self.now,
            lines=[("Prepaid package", credits, cents)],
            credits=credits,
            subtotal_cents=cents,
            tax_label="VAT",
            tax_basis_points=1_000,
            tax_cents=tax,
            total_cents=cents + tax,
        )

    def pay(self, invoice: Invoice, cents: int) -> None:
        self.desk.pay(invoice, cents, f"=transfer of {cents}", now=self.now)

    def note(self, invoice: Invoice, cents: int, credits: int = 0) -> Invoice:
        invoice.refresh_from_db()
        note = self.desk.note(invoice, cents, credits=credits, now=self.now)
        return send_credit_note(note=note, by=self.desk.bea, now=self.now)

    def use(self, credits: int) -> None:
        movement = Movement(wallet_id=self.wallet.pk, reference=f"bat {self.now} {credits}", actor="system")
        reserve(movement=movement, amount=credits)
        settle(movement=movement, amount=credits)


@pytest.fixture
def books(db: None) -> Iterator[Books]:
    made = Books()
    made.go(1, 5)
    yield made
    for month in (JANUARY, FEBRUARY):
        assert faults_of(journal_of([month])) == []


@pytest.fixture
def two_months(books: Books) -> Books:
    """Everything that can happen, in two months."""
    package = books.sent()
    books.go(1, 8)
    void = books.sent(credits=10, cents=100, tax=10)
    void_invoice(invoice=void, by=books.desk.ann, reason="=sent twice", now=books.now)
    books.pay(package, 550_000)
    books.desk.by_two(Entry.Kind.GRANT, 1_000, paid_cents=4_900)
    books.use(51_000)
    books.go(2, 3)
    lowered = books.sent(credits=100, cents=1_000, tax=100)
    books.note(lowered, 110)
    books.pay(lowered, 990)
    note = books.note(package, 11_000, credits=1_020)
    books.pay(note, 5_500)
    books.desk.by_two(Entry.Kind.ADJUSTMENT_OUT, 510)
    books.use(1_020)
    return books


def booked(month: Month) -> list[tuple[str, dict[str, int]]]:
    return in_any_order(*(lines_of(booking) for booking in journal_of([month]).bookings))


def in_any_order(*lines: tuple[str, dict[str, int]]) -> list[tuple[str, dict[str, int]]]:
    return sorted(lines, key=str)


def lines_of(booking: Booking) -> tuple[str, dict[str, int]]:
    assert booking.difference == 0
    return booking.kind, {line.purpose.value: line.cents for line in booking.lines}


def test_each_thing_that_happens_is_booked_once_and_adds_up_to_nothing(two_months: Books) -> None:
    assert booked(JANUARY) == in_any_order(
        ("invoice", {"receivables": 550_000, "billed": -500_000, "tax": -50_000}),
        ("invoice", {"receivables": 110, "billed": -100, "tax": -10}),
        ("void", {"billed": 100, "tax": 10, "receivables": -110}),
        ("payment", {"cash": 550_000, "receivables": -550_000}),
        ("grant", {"billed": 500_000, "deferred": -500_000}),
        ("grant", {"paid_outside": 4_900, "deferred": -4_900}),
        ("use", {"deferred": 250_000, "revenue": -250_000}),
    )
    assert booked(FEBRUARY) == in_any_order(
        ("invoice", {"receivables": 1_100, "billed": -1_000, "tax": -100}),
        ("applied_credit_note", {"billed": 100, "tax": 10, "receivables": -110}),
        ("payment", {"cash": 990, "receivables": -990}),
        ("grant", {"billed": 900, "deferred": -900}),
        ("credit_note", {"allowances": 10_000, "tax": 1_000, "refunds": -11_000}),
        ("withdrawal", {"deferred": 5_000, "allowances": -5_000}),
        ("repayment", {"refunds": 5_500, "cash": -5_500}),
        ("withdrawal", {"deferred": 2_500, "withdrawn": -2_500}),
        ("use", {"deferred": 5_000, "revenue": -5_000}),
    )


def test_the_months_roll_forward_in_money_and_credits(two_months: Books) -> None:
    january, february = revenue_of([JANUARY, FEBRUARY]).months
    (roll,) = january.rolls.values()
    assert (roll.opening.cents, roll.granted.cents, roll.recognized.cents) == (0, 504_900, 250_000)
    assert (roll.closing.credits, roll.closing.cents) == (52_000, 254_900)
    (roll,) = february.rolls.values()
    assert (roll.opening.cents, roll.granted.cents) == (254_900, 900)
    assert (roll.withdrawn.credits, roll.withdrawn.cents) == (1_530, 7_500)
    assert (roll.recognized.cents, roll.closing.cents) == (5_000, 243_300)
    (billed,) = february.billed.values()
    assert (billed.sent, billed.lowered, billed.tax, billed.received) == (1_000, 100, -910, 990)
    assert (billed.allowed, billed.repaid) == (5_000, 5_500)


def test_the_documents_example_is_what_the_report_says(two_months: Books) -> None:
    text = (ROOT / "docs/explanation/revenue.md").read_text()
    for month in revenue_of([JANUARY, FEBRUARY]).months:
        (roll,) = month.rolls.values()
        parts = {
            "Deferred at the start": roll.opening,
            "+ granted": roll.granted,
            "− recognized": roll.recognized,
            "− withdrawn": roll.withdrawn,
            "= deferred at the end": roll.closing,
        }
        rows = [f"| {name} | {part.credits:,} | {money(part.cents, 'USD')} |\n" for name, part in parts.items()]
        assert f"| {month.month.name} | credits | money |\n|---|---:|---:|\n{''.join(rows)}" in text


def test_the_documents_accounts_are_those_of_the_code() -> None:
    text = (ROOT / "docs/howto/revenue.md").read_text()
    rows = [f"| {use.meaning} | {use.usual.code} | {use.usual.name} |\n" for use in USES.values()]
    assert "".join(rows) in text


def test_the_csv_has_a_row_for_each_line_and_no_text_that_a_spreadsheet_runs(two_months: Books) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_of(journal_of([JANUARY]), accounts()).decode(), newline="")))
    assert len(rows) == 17
    assert {row["currency"] for row in rows} == {"USD"}
    assert sum(float(row["debit"] or 0) - float(row["credit"] or 0) for row in rows) == 0
    assert rows[0]["entry"] == "2031-01-00001"
    assert (rows[0]["date"], rows[0]["account_code"], rows[0]["debit"]) == ("2031-01-05", "1200", "5500.00")
    assert (rows[0]["customer_id"], rows[0]["memo"]) == (
        two_months.desk.organization.pk,
        "Invoice INV-2031-0001 to Acme Corporation Inc.",
    )
    use = [row for row in rows if row["kind"] == "use"]
    assert [(row["date"], row["account_name"]) for row in use] == [
        ("2031-01-31", "Deferred revenue"),
        ("2031-01-31", "Revenue"),
    ]
    map_accounts(wanted={Purpose.CASH: Account("=1+1", "@cash")}, by=two_months.desk.ann)
    text = csv_of(journal_of([JANUARY]), accounts()).decode()
    assert ",'=1+1,'@cash," in text


def test_bean_check_passes_and_fails_without_any_one_entry(two_months: Books, tmp_path: Path) -> None:
    for month in (JANUARY, FEBRUARY):
        text = beancount_of(journal_of([month]), accounts())
        run = bean_check(text, tmp_path)
        assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
        entries = re.findall(r'^\d{4}-\d{2}-\d{2} \* "[^"]*"\n  entry: .*?\n\n', text.decode(), re.M | re.S)
        assert len(entries) == len(journal_of([month]).bookings)
        for entry in entries:
            _, errors, _ = loader.load_string(text.decode().replace(entry, "", 1))
            assert errors, entry


def test_the_files_of_a_closed_month_are_the_same_bytes_whatever_comes_later(two_months: Books) -> None:
    def files() -> list[bytes]:
        return [made(journal_of([JANUARY]), accounts()) for made in (csv_of, beancount_of)]

    close_period(month="2031-01", closed_by=two_months.desk.ann, now=two_months.now)
    closed = files()
    two_months.go(1, 20)  # A clock that is wrong: nothing is dated into the month by it.
    two_months.use(100)
    two_months.go(2, 20)
    two_months.note(Invoice.objects.get(number="INV-2031-0001"), 1_100, credits=5)
    assert files() == closed


def test_what_is_done_in_a_closed_month_by_a_wrong_clock_is_dated_past_it(books: Books) -> None:
    paid, void, lowered = books.sent(), books.sent(), books.sent()
    books.go(2, 3)
    close_period(month="2031-01", closed_by=books.desk.ann, now=books.now)
    closed = [booked(JANUARY), revenue_of([JANUARY])]
    books.go(1, 20)
    books.pay(paid, 550_000)
    void_invoice(invoice=void, by=books.desk.ann, reason="sent twice", now=books.now)
    note, sent = books.note(lowered, 550_000), books.sent()
    for each in (paid, void, lowered, note):
        each.refresh_from_db()
    days = [paid.paid_at, paid.payments.get().recorded_at, void.voided_at, lowered.voided_at, note.paid_at]
    assert {day.date() for day in days if day} == {date(2031, 2, 1)}
    assert {day.date() for day in (note.issued_at, sent.issued_at) if day} == {date(2031, 2, 1)}
    assert [booked(JANUARY), revenue_of([JANUARY])] == closed
    # Nor before it was sent.
    books.now = datetime(2030, 12, 31, tzinfo=UTC)
    books.pay(sent, 1)
    assert sent.payments.get().recorded_at == sent.issued_at


def test_an_entry_that_is_missing_is_a_fault(two_months: Books) -> None:
    journal = journal_of([FEBRUARY])
    for place in range(len(journal.bookings)):
        rest = journal.bookings[:place] + journal.bookings[place + 1 :]
        broken = type(journal)(journal.months, rest, journal.opening, journal.closing, journal.wallets)
        assert faults_of(broken), journal.bookings[place]
