"""Whatever is sold, used, given back or withdrawn: lots and revenue equal the ledger and the invoices.

A model goes through every entry and gives each single credit a price of its own. It knows no lots and no marks.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.models import Mode
from ledger.approvals import approve, request_credits
from ledger.intervals import Month, months_between
from ledger.invoices.credit_notes import creditable, draft_credit_note, send_credit_note
from ledger.invoices.drafting import DraftLine, draft_invoice
from ledger.invoices.issuing import send_invoice, void_invoice
from ledger.invoices.payments import open_cents, record_payment, reverse_payment
from ledger.invoices.receivables import receivables
from ledger.models import CreditRequest, Entry, Invoice, Payment, Wallet
from ledger.revenue.accounts import Purpose, accounts
from ledger.revenue.files import beancount_of, csv_of
from ledger.revenue.journal import journal_of
from ledger.revenue.months import Revenue, faults_of, revenue_of
from ledger.services import LedgerError, Movement, grant_on_basis, open_wallets, refund, reserve, settle
from sora2.ids import new_id
from tests.invoices import Desk, make_desk
from tests.ledger.clock import turn_to

Kind, State = Invoice.Kind, Invoice.State
LAST_MONTH = 4
TAXES = {"Acme": 0, "Globex": 1_900}


class Step(NamedTuple):
    """Something that somebody does, or tries: for which customer, with which numbers."""

    act: str
    name: str
    credits: int
    cents: int


class Key(NamedTuple):
    """Whose credits, and whether something was paid for them."""

    organization_id: str
    paid: bool


@dataclass
class Figures:
    """Credits and what was paid for them, by what became of them."""

    credits: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    cents: dict[str, int] = field(default_factory=lambda: defaultdict(int))


# What happens often stands here more than once.
OFTEN = ("invoice", "pay", "note", "use", "use", "month")
STEPS = st.builds(
    Step,
    st.deferred(lambda: st.sampled_from([*ACTS, "month", *OFTEN])),
    st.sampled_from(sorted(TAXES)),
    st.integers(1, 60),
    st.integers(1, 2_000),
)


class Company:
    """Two customers, our people, and a calendar that starts in January 2031."""

    def __init__(self, desks: Mapping[str, Desk]) -> None:
        self.desks = desks
        self.wallets = {name: open_wallets(organization=desk.organization)[Mode.LIVE] for name, desk in desks.items()}
        self.month, self.minute = 1, 0
        self.files: dict[str, tuple[bytes, bytes]] = {}

    @property
    def now(self) -> datetime:
        return datetime(2031, self.month, 10, self.minute // 60, self.minute % 60, tzinfo=UTC)

    @property
    def months(self) -> list[Month]:
        return months_between(datetime(2031, 1, 1, tzinfo=UTC), self.now)

    def do(self, step: Step) -> None:
        """Do a step; what the books refuse, changes nothing."""
        if step.act == "month":
            self.next_month()
            return
        self.minute += 1
        self.tell_the_clock()
        with suppress(LedgerError), transaction.atomic():
            ACTS[step.act](self, step)

    def next_month(self) -> None:
        """Take the files of the month that ends, and go on."""
        if self.month < LAST_MONTH:
            month = self.months[-1]
            self.month, self.minute = self.month + 1, 0
            self.files[month.month] = files_of(month)

    def tell_the_clock(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('tests.now', %s, true)", [self.now.isoformat()])

    def first(self, step: Step, *states: str, kind: str = Kind.CREDITS) -> Invoice:
        """Return an invoice of this customer to do something with. Raises LedgerError when there is none."""
        rows = Invoice.objects.filter(organization=self.desks[step.name].organization, kind=kind, state__in=states)
        found = list(rows.order_by("pk"))
        if not found:
            raise LedgerError("none")
        return found[step.cents % len(found)]


def files_of(month: Month) -> tuple[bytes, bytes]:
    journal, known = journal_of([month]), accounts()
    return csv_of(journal, known), beancount_of(journal, known)


# --- what people do ------------------------------------------------------------------------------------------------


def _invoice(company: Company, step: Step) -> None:
    desk = company.desks[step.name]
    line = DraftLine("Credits", step.credits, 0, step.cents)
    draft = draft_invoice(organization=desk.organization, lines=[line], package="", by=desk.ann)
    send_invoice(invoice=draft, by=desk.ann, now=company.now)


def _record(company: Company, step: Step, invoice: Invoice, cents: int) -> None:
    record_payment(
        invoice=invoice,
        amount_cents=cents,
        received_on=company.now.date(),
        reference=new_id("ref"),
        by=company.desks[step.name].bea,
        now=company.now,
    )


def _pay(company: Company, step: Step) -> None:
    invoice = company.first(step, State.SENT)
    _record(company, step, invoice, open_cents(invoice))


def _part(company: Company, step: Step) -> None:
    invoice = company.first(step, State.SENT)
    _record(company, step, invoice, 1 + step.cents % open_cents(invoice))


def _reverse(company: Company, step: Step) -> None:
    invoice = company.first(step, State.SENT)
    payment = Payment.objects.filter(invoice=invoice, reverses=None, reversal=None).first()
    if payment:
        desk = company.desks[step.name]
        reverse_payment(payment=payment, reason="a mistake", by=desk.bea, now=company.now)


def _void(company: Company, step: Step) -> None:
    invoice = company.first(step, State.SENT)
    void_invoice(invoice=invoice, by=company.desks[step.name].ann, reason="not wanted", now=company.now)


def _note(company: Company, step: Step) -> None:
    desk, invoice = company.desks[step.name], company.first(step, State.SENT, State.PAID)
    most = creditable(invoice)
    if not most.cents:
        return
    note = draft_credit_note(
        invoice=invoice,
        # All of it, now and then.
        amount_cents=most.cents if step.credits % 3 == 0 else 1 + step.cents % most.cents,
        credits=min(most.credits, step.credits // 2),
        reason="goodwill",
        by=desk.ann,
        now=company.now,
    )
    send_credit_note(note=note, by=desk.bea, now=company.now)


def _repay(company: Company, step: Step) -> None:
    note = company.first(step, State.SENT, kind=Kind.CREDIT_NOTE)
    _record(company, step, note, 1 + step.cents % open_cents(note))


def _by_two_people(company: Company, step: Step, kind: Entry.Kind, *, about: str = "", paid_cents: int = 0) -> None:
    desk = company.desks[step.name]
    request = request_credits(
        wallet=company.wallets[step.name],
        kind=kind,
        amount=step.credits,
        reason="said so",
        requested_by=desk.ann,
        about=about,
        paid_cents=paid_cents,
    )
    approve(request=request, decided_by=desk.bea)


def _hand(company: Company, step: Step) -> None:
    _by_two_people(company, step, Entry.Kind.GRANT, paid_cents=step.cents if step.cents % 4 else 0)


def _out(company: Company, step: Step) -> None:
    _by_two_people(company, step, Entry.Kind.ADJUSTMENT_OUT)


def _about(company: Company, step: Step) -> None:
    lot = Entry.objects.filter(wallet=company.wallets[step.name], kind=Entry.Kind.GRANT).order_by("-seq").first()
    if lot:
        _by_two_people(company, step, Entry.Kind.ADJUSTMENT_OUT, about=lot.reference)


def _in(company: Company, step: Step) -> None:
    _by_two_people(company, step, Entry.Kind.ADJUSTMENT_IN)


def _pilot(company: Company, step: Step) -> None:
    movement = Movement(wallet_id=company.wallets[step.name].pk, reference=new_id("plt"), actor="system")
    grant_on_basis(movement=movement, amount=step.credits, basis=CreditRequest.Basis.PILOT)


def _use(company: Company, step: Step) -> None:
    movement = Movement(wallet_id=company.wallets[step.name].pk, reference=new_id("bat"), actor="system")
    reserve(movement=movement, amount=step.credits)
    charged = step.credits * (step.cents % 5) // 4
    if charged:
        settle(movement=movement, amount=charged)
    if charged < step.credits:
        refund(movement=movement, amount=step.credits - charged)


def _hold(company: Company, step: Step) -> None:
    movement = Movement(wallet_id=company.wallets[step.name].pk, reference=new_id("bat"), actor="system")
    reserve(movement=movement, amount=step.credits)


ACTS: Mapping[str, Callable[[Company, Step], None]] = {
    "invoice": _invoice,
    "pay": _pay,
    "part": _part,
    "reverse": _reverse,
    "void": _void,
    "note": _note,
    "repay": _repay,
    "hand": _hand,
    "pilot": _pilot,
    "use": _use,
    "hold": _hold,
    "in": _in,
    "out": _out,
    "about": _about,
}


# --- the model -----------------------------------------------------------------------------------------------------


def modelled(wallet: Wallet) -> dict[tuple[str, Key], Figures]:
    """Go through every entry with each credit in hand, and return what became of them in each month."""
    found: dict[tuple[str, Key], Figures] = defaultdict(Figures)
    lots: list[tuple[str, Key, list[int]]] = []
    for entry in Entry.objects.filter(wallet=wallet).order_by("seq"):
        month = f"{entry.created_at:%Y-%m}"
        request = CreditRequest.objects.filter(reference=entry.reference, state="approved").first()
        if entry.kind in (Entry.Kind.GRANT, Entry.Kind.ADJUSTMENT_IN):
            assert request is not None
            price = price_of(request)
            key = Key(wallet.organization_id, price != 0)
            lots.append((entry.reference, key, prices_of(price, entry.amount)))
            count(found[month, key], "granted", lots[-1][2])
        elif entry.kind == Entry.Kind.SETTLE:
            take(found, month, "recognized", lots, entry.amount)
        elif entry.kind == Entry.Kind.ADJUSTMENT_OUT:
            assert request is not None
            own = [lot for lot in lots if request.about and lot[0] == request.about]
            take(found, month, "withdrawn", [*own, *lots], entry.amount)
    return found


def price_of(request: CreditRequest) -> int:
    """Return what a credit request's credits cost: net of tax, less what credit notes took off before it was paid."""
    if request.basis != CreditRequest.Basis.INVOICE:
        return request.paid_cents
    invoice = Invoice.objects.get(pk=request.reference)
    return invoice.subtotal_cents - sum(note.subtotal_cents for note in invoice.credit_notes.filter(applied=True))


def prices_of(price: int, credits: int) -> list[int]:
    """Return the price of each credit, first in first."""
    until = [(2 * place * price + credits) // (2 * credits) for place in range(credits + 1)]
    return [after - before for before, after in itertools.pairwise(until)]


def take(
    found: dict[tuple[str, Key], Figures], month: str, what: str, lots: list[tuple[str, Key, list[int]]], credits: int
) -> None:
    for _, key, left in lots:
        taken = left[:credits]
        del left[: len(taken)]
        count(found[month, key], what, taken)
        credits -= len(taken)
    assert credits == 0


def count(figures: Figures, what: str, prices: list[int]) -> None:
    figures.credits[what] += len(prices)
    figures.cents[what] += sum(prices)


# --- what must be true ---------------------------------------------------------------------------------------------


@contextmanager
def example(desks: Mapping[str, Desk]) -> Iterator[Company]:
    """Start anew, and take it all back at the end."""
    with transaction.atomic():
        yield Company(desks)
        transaction.set_rollback(True)


def check(company: Company) -> None:
    found = revenue_of(company.months)
    assert found.faults == ()
    for each in found.months:
        assert each.faults == ()
        assert faults_of(each.month) == []
    _equals_the_model(company, found)
    _equals_the_invoices(company, found)
    assert {month: files_of(company.months[int(month[-2:]) - 1]) for month in company.files} == company.files


def _equals_the_model(company: Company, found: Revenue) -> None:
    wanted: dict[tuple[str, Key], Figures] = {}
    for wallet in company.wallets.values():
        wanted |= modelled(wallet)
    left: dict[Key, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for each in found.months:
        rolls = {Key(key.organization_id, bool(key.currency)): roll for key, roll in each.rolls.items()}
        for key in {Key(wallet.organization_id, paid) for wallet in company.wallets.values() for paid in (True, False)}:
            figures, roll = wanted.get((each.month.month, key), Figures()), rolls.get(key)
            for what in ("granted", "recognized", "withdrawn"):
                part = getattr(roll, what) if roll else None
                got = (part.credits, part.cents) if part else (0, 0)
                assert got == (figures.credits[what], figures.cents[what]), (each.month.month, key, what)
                sign = 1 if what == "granted" else -1
                left[key] = (left[key][0] + sign * got[0], left[key][1] + sign * got[1])
            closing = (roll.closing.credits, roll.closing.cents) if roll else (0, 0)
            assert closing == left[key], (each.month.month, key)


def _equals_the_invoices(company: Company, found: Revenue) -> None:
    invoices = Invoice.objects.all()
    bookings = found.journal.bookings
    booked = {purpose: sum(booking.on(purpose) for booking in bookings) for purpose in Purpose}
    owed = sum(row.total_cents for row in receivables(invoices, today=company.now.date()).totals)
    assert booked[Purpose.RECEIVABLES] == owed
    moved = {note: Payment.objects.filter(invoice__corrects__isnull=not note) for note in (False, True)}
    money = {note: sum(payment.amount_cents for payment in rows) for note, rows in moved.items()}
    assert booked[Purpose.CASH] == money[False] - money[True]
    sent = invoices.filter(kind=Kind.CREDITS).issued().exclude(state=State.VOID)
    notes = invoices.filter(kind=Kind.CREDIT_NOTE).issued().exclude(corrects__state=State.VOID)
    tax = sum(each.tax_cents for each in sent) - sum(each.tax_cents for each in notes)
    assert booked[Purpose.TAX] == -tax
    prices = sum(lot.flow.cents for wallet in found.journal.wallets for lot in wallet.lots if lot.flow.number)
    applied = sum(each.subtotal_cents for each in notes.filter(applied=True, corrects__state=State.PAID))
    assert prices == sum(each.subtotal_cents for each in sent.filter(state=State.PAID)) - applied
    for wallet in Wallet.objects.filter(pk__in=[each.pk for each in company.wallets.values()]):
        lots = next((each.lots for each in found.journal.wallets if each.wallet_id == wallet.pk), ())
        assert sum(lot.used().credits for lot in lots) == wallet.settled
        assert sum(lot.remaining.credits for lot in lots) == wallet.available + wallet.reserved
        assert sum(lot.flow.credits - lot.withdrawn().credits for lot in lots) == wallet.funded


def run(examples: int, steps: int) -> None:
    desks = {name: make_desk(name=name) for name in TAXES}
    for name, basis_points in TAXES.items():
        desks[name].details.tax_basis_points = basis_points
        desks[name].details.tax_label = "VAT" if basis_points else ""
        desks[name].details.save()
    turn_to("2031-01-10T00:00Z")

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(STEPS, min_size=steps // 2, max_size=steps))
    def holds(done: list[Step]) -> None:
        with example(desks) as company:
            for step in done:
                company.do(step)
            check(company)

    holds()


@pytest.mark.django_db
def test_revenue_equals_ledger_and_invoices_whatever_happens() -> None:
    run(examples=12, steps=40)


@pytest.mark.long
@pytest.mark.django_db
def test_revenue_equals_ledger_and_invoices_whatever_happens_for_long() -> None:
    run(examples=400, steps=80)
