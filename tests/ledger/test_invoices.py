"""The life of invoices: sent, paid, credited, voided; each act once, by the right people, and in the audit log."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import pytest
from django.db import transaction

from customers.models import AuditEvent
from ledger.approvals import SamePerson
from ledger.intervals import month_at, month_before
from ledger.invoices.credit_notes import creditable, draft_credit_note, send_credit_note
from ledger.invoices.faults import (
    InvalidLines,
    InvalidMoney,
    InvoiceError,
    MoreThanOpen,
    NoBillingDetails,
    NoSeller,
    NotReversible,
    ReferenceUsed,
    WrongState,
)
from ledger.invoices.issuing import send_invoice, void_invoice
from ledger.invoices.payments import open_cents, reverse_payment
from ledger.invoices.seller import seller
from ledger.models import CreditRequest, Entry, Invoice, InvoiceNumber, Payment, Period
from ledger.periods import close_period
from ledger.services import InsufficientCredits, InvalidText, LedgerError, Movement, reserve
from tests.connections import at_once, until_one_waits
from tests.invoices import USAGE, Desk, make_desk

TODAY = date(2026, 11, 27)
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture
def desk(db: Any) -> Desk:
    return make_desk()


def audited(invoice: Invoice) -> list[tuple[str, str, str]]:
    events = AuditEvent.objects.filter(subject=invoice.pk).order_by("pk")
    return [(event.action, event.outcome, event.actor) for event in events]


@pytest.mark.django_db
def test_sending_numbers_dates_and_fixes_an_invoice(desk: Desk) -> None:
    first, second = desk.sent(), desk.sent()
    year = datetime.now(UTC).year
    assert [first.number, second.number] == [f"INV-{year}-0001", f"INV-{year}-0002"]
    assert first.issued_at is not None
    assert first.due_on is not None
    assert (first.due_on - first.issued_at.date()).days == 30
    assert first.buyer["legal_name"] == "Acme Corporation Inc."
    assert first.seller == seller().as_json()
    assert (first.state, open_cents(first)) == ("sent", 500_000)
    again = send_invoice(invoice=first, by=desk.bea, now=NOW)
    assert (again.number, again.issued_by) == (first.number, desk.ann)
    assert audited(first) == [("invoice.send", "done", desk.ann.pk)]


@pytest.mark.owner
@pytest.mark.django_db
def test_an_invoice_that_cannot_be_sent_takes_no_number(desk: Desk, settings: Any) -> None:
    draft = desk.draft()
    settings.SELLER_BANK = ""
    with pytest.raises(NoSeller):
        send_invoice(invoice=draft, by=desk.ann, now=NOW)
    settings.SELLER_BANK = "IBAN"
    desk.details.delete()
    with pytest.raises(NoBillingDetails):
        send_invoice(invoice=draft, by=desk.ann, now=NOW)
    assert not InvoiceNumber.objects.exists()
    assert [outcome for _, outcome, _ in audited(draft)] == ["no_seller", "no_billing_details"]


@pytest.mark.django_db
def test_the_payment_that_leaves_nothing_open_grants_the_credits_once(desk: Desk) -> None:
    invoice = desk.sent()
    first = desk.pay(invoice, 100_000, "DE-1")
    assert (desk.state(invoice), open_cents(invoice), desk.wallet.available) == ("sent", 400_000, 0)
    last = desk.pay(invoice, 400_000, "DE-2")
    invoice.refresh_from_db()
    assert (invoice.state, invoice.paid_by, open_cents(invoice)) == ("paid", desk.bea, 0)
    assert desk.wallet.available == 102_000
    entry = Entry.objects.get(reference=invoice.pk)
    assert (entry.kind, entry.amount, entry.actor) == ("grant", 102_000, desk.bea.pk)
    assert entry.reason == f"{invoice.number} paid: package prepaid-5000"
    request = CreditRequest.objects.get(reference=invoice.pk)
    assert (request.basis, request.requested_by, request.decided_by) == ("invoice", desk.ann, desk.bea)
    # The same again is the same.
    assert desk.pay(invoice, 100_000, "DE-1") == first
    assert desk.pay(invoice, 400_000, "DE-2") == last
    assert desk.wallet.available == 102_000
    done = [(action, outcome) for action, outcome, _ in audited(invoice)]
    assert done == [("invoice.send", "done"), ("payment.record", "done"), ("payment.record", "done")]


@pytest.mark.django_db
def test_who_sent_an_invoice_does_not_say_that_it_was_paid(desk: Desk) -> None:
    invoice = desk.sent()
    with pytest.raises(SamePerson):
        desk.pay(invoice, 500_000, "DE-1", by=desk.ann)
    assert desk.state(invoice) == "sent"
    assert audited(invoice)[-1] == ("payment.record", "same_person", desk.ann.pk)


@pytest.mark.django_db
def test_a_payment_fits_what_is_open(desk: Desk) -> None:
    invoice = desk.sent()
    desk.pay(invoice, 100_000, "DE-1")
    refused: list[tuple[int, str, type[LedgerError]]] = [
        (400_001, "DE-2", MoreThanOpen),
        (0, "DE-2", InvalidMoney),
        (1, " ", InvalidText),
        (99_999, "DE-1", ReferenceUsed),
    ]
    for cents, reference, error in refused:
        with pytest.raises(error):
            desk.pay(invoice, cents, reference)
    for other in (desk.draft(), desk.void()):
        with pytest.raises(WrongState):
            desk.pay(other, 1, "DE-3")
    assert open_cents(invoice) == 400_000


@pytest.mark.django_db
def test_a_payment_that_was_recorded_by_mistake_is_reversed_once(desk: Desk) -> None:
    invoice = desk.sent()
    payment = desk.pay(invoice, 100_000, "DE-1")
    reversal = reverse_payment(payment=payment, reason="another customer's", by=desk.bea, now=NOW)
    assert (reversal.amount_cents, open_cents(invoice)) == (-100_000, 500_000)
    assert reverse_payment(payment=payment, reason="again", by=desk.bea, now=NOW) == reversal
    with pytest.raises(NotReversible):
        reverse_payment(payment=reversal, reason="what", by=desk.bea, now=NOW)
    with pytest.raises(ReferenceUsed):
        desk.pay(invoice, 100_000, "DE-1")
    last = desk.pay(invoice, 500_000, "DE-2")
    with pytest.raises(NotReversible):
        reverse_payment(payment=last, reason="too late", by=desk.bea, now=NOW)
    assert audited(invoice)[-1][:2] == ("payment.reverse", "not_reversible")


@pytest.mark.django_db
def test_only_what_nobody_paid_is_voided_and_its_number_stays(desk: Desk) -> None:
    draft, sent, partly, paid = desk.draft(), desk.sent(), desk.sent(), desk.paid()
    desk.pay(partly, 1, "DE-1")
    for invoice in (draft, sent):
        void_invoice(invoice=invoice, by=desk.ann, reason="a wrong address", now=NOW)
        void_invoice(invoice=invoice, by=desk.ann, reason="twice", now=NOW)
        invoice.refresh_from_db()
        assert (invoice.state, invoice.void_reason) == ("void", "a wrong address")
    assert (draft.number, bool(sent.number)) == (None, True)
    for invoice in (partly, paid):
        with pytest.raises(WrongState):
            void_invoice(invoice=invoice, by=desk.ann, reason="a wrong address", now=NOW)
    with pytest.raises(InvalidText):
        void_invoice(invoice=desk.sent(), by=desk.ann, reason=" ", now=NOW)
    with pytest.raises(WrongState):
        send_invoice(invoice=draft, by=desk.ann, now=NOW)
    reverse_payment(payment=Payment.objects.get(invoice=partly), reason="not ours", by=desk.bea, now=NOW)
    void_invoice(invoice=partly, by=desk.ann, reason="they left", now=NOW)


@pytest.mark.django_db
def test_a_credit_note_lowers_what_is_owed_and_the_rest_pays_for_the_credits(desk: Desk) -> None:
    invoice = desk.sent()
    note = desk.note(invoice, 100_000)
    with pytest.raises(SamePerson):
        send_credit_note(note=note, by=desk.ann, now=NOW)
    sent = send_credit_note(note=note, by=desk.bea, now=NOW)
    assert (sent.state, sent.applied, sent.number, sent.buyer) == (
        "paid",
        True,
        f"CN-{datetime.now(UTC).year}-0001",
        invoice.buyer,
    )
    assert open_cents(invoice) == 400_000
    with pytest.raises(WrongState):
        void_invoice(invoice=invoice, by=desk.ann, reason="no", now=NOW)
    desk.pay(invoice, 400_000, "DE-1")
    assert (desk.state(invoice), desk.wallet.available) == ("paid", 102_000)
    assert send_credit_note(note=note, by=desk.bea, now=NOW).number == sent.number


@pytest.mark.django_db
def test_an_invoice_that_is_credited_in_full_is_void_or_paid_if_money_came(desk: Desk) -> None:
    unpaid, partly = desk.sent(), desk.sent()
    desk.pay(partly, 200_000, "DE-1")
    note = send_credit_note(note=desk.note(unpaid, 500_000), by=desk.bea, now=NOW)
    unpaid.refresh_from_db()
    assert (unpaid.state, unpaid.void_reason) == ("void", f"Credited in full by {note.number}")
    rest = draft_credit_note(invoice=partly, amount_cents=300_000, credits=0, reason="goodwill", by=desk.bea, now=NOW)
    # Who sent the invoice would say alone that it is settled.
    with pytest.raises(SamePerson):
        send_credit_note(note=rest, by=desk.ann, now=NOW)
    send_credit_note(note=rest, by=desk.cat, now=NOW)
    assert (desk.state(partly), desk.wallet.available) == ("paid", 102_000)


@pytest.mark.django_db
def test_a_credit_note_on_a_paid_invoice_takes_credits_back_and_waits_for_the_money(desk: Desk) -> None:
    invoice = desk.paid()
    note = desk.note(invoice, 250_000, credits=51_000)
    sent = send_credit_note(note=note, by=desk.bea, now=NOW)
    assert (sent.state, sent.applied, open_cents(sent)) == ("sent", False, 250_000)
    assert desk.wallet.available == 51_000
    request = CreditRequest.objects.get(reference=note.pk)
    assert (request.kind, request.about, request.basis) == ("adjustment_out", invoice.pk, "invoice")
    assert (request.requested_by, request.decided_by) == (desk.ann, desk.bea)
    assert (creditable(invoice).cents, creditable(invoice).credits) == (250_000, 51_000)
    desk.pay(sent, 250_000, "OUT-1")
    assert (desk.state(sent), desk.state(invoice)) == ("paid", "paid")
    # No more than was paid, and no credits that are not there.
    with pytest.raises(MoreThanOpen):
        desk.note(invoice, 250_001)
    with pytest.raises(InvalidLines):
        desk.note(invoice, 1, credits=51_001)
    wallet = desk.wallet
    reserve(movement=Movement(wallet_id=wallet.pk, reference="bat_1", actor="system"), amount=1)
    last = desk.note(invoice, 250_000, credits=51_000)
    with pytest.raises(InsufficientCredits):
        send_credit_note(note=last, by=desk.bea, now=NOW)
    last.refresh_from_db()
    assert (last.state, last.number) == ("draft", None)
    assert audited(last)[-1][:2] == ("credit_note.send", "insufficient_credits")
    assert InvoiceNumber.objects.get(series="CN").last == 1


@pytest.mark.django_db
def test_a_credit_note_takes_the_tax_out_of_its_amount(desk: Desk) -> None:
    taxed = desk.draft(tax_label="VAT", tax_basis_points=1_900, tax_cents=95_000, total_cents=595_000)
    send_invoice(invoice=taxed, by=desk.ann, now=NOW)
    with pytest.raises(InvalidLines):
        desk.note(taxed, 1, credits=1)
    note = desk.note(taxed, 595_000)
    assert (note.subtotal_cents, note.tax_cents) == (500_000, 95_000)
    note = desk.note(taxed, 100)
    assert (note.subtotal_cents, note.tax_cents) == (84, 16)


@pytest.mark.django_db
def test_a_form_that_is_sent_twice_drafts_one_credit_note(desk: Desk) -> None:
    invoice = desk.sent()
    one = desk.note(invoice, 1, pk="inv_01kadf7q2m3n4p5r6s7t8v9w0x")
    assert desk.note(invoice, 2, pk=one.pk) == one
    with pytest.raises(WrongState):
        send_invoice(invoice=one, by=desk.bea, now=NOW)


@pytest.mark.django_db
def test_a_usage_invoice_is_paid_when_it_is_sent_and_owes_nothing(desk: Desk) -> None:
    usage = desk.draft(lines=(("used", 1_000, 6_127),), **USAGE)
    sent = send_invoice(invoice=usage, by=None, now=NOW)
    assert (sent.state, sent.paid_by, open_cents(sent)) == ("paid", None, 0)
    assert not Entry.objects.filter(reference=sent.pk).exists()


def once(results: list[object]) -> list[str]:
    """Return the kinds of what came of acts at the same moment."""
    return sorted(type(result).__name__ for result in results)


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_once_grant_once() -> None:
    desk = make_desk()
    invoice = desk.sent()
    results = at_once(*[lambda: desk.pay(invoice, 500_000, "DE-1")] * 2)
    assert once(results) == ["Payment", "Payment"]
    assert len({getattr(result, "pk", "") for result in results}) == 1
    # Two payments of all of it: one is too much.
    other = desk.sent()
    results = at_once(*(lambda n=n: desk.pay(other, 500_000, f"DE-{n}") for n in range(2)))
    assert once(results) == ["Payment", "WrongState"]
    assert desk.wallet.available == 204_000
    assert Entry.objects.filter(kind="grant").count() == 2


@pytest.mark.django_db(transaction=True)
def test_many_senders_at_once_leave_no_gap() -> None:
    desk = make_desk()
    drafts = [desk.draft() for _ in range(6)]
    results = at_once(*(lambda each=each: send_invoice(invoice=each, by=desk.ann, now=NOW) for each in drafts))
    assert once(results) == ["Invoice"] * 6
    numbers = Invoice.objects.order_by("issued_at").values_list("number", flat=True)
    assert list(numbers) == [f"INV-{datetime.now(UTC).year}-{n:04}" for n in range(1, 7)]


@pytest.mark.owner  # The role does not see what other sessions do.
@pytest.mark.django_db(transaction=True)
def test_a_month_is_closed_after_what_is_under_way() -> None:
    desk = make_desk()
    invoice, last = desk.sent(), month_before(month_at(datetime.now(UTC)))
    assert last is not None
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            desk.pay(invoice, 1, "DE-1")
            close = partial(close_period, month=last.month, closed_by=desk.bea, now=NOW)
            closed = pool.submit(at_once, close)
            until_one_waits()
            assert not Period.objects.exists()
        assert [type(each).__name__ for each in closed.result()] == ["Period"]
    assert Payment.objects.get().recorded_at >= last.ends_at


@pytest.mark.django_db(transaction=True)
def test_a_payment_and_a_credit_note_at_once_never_take_an_invoice_over() -> None:
    desk = make_desk()
    invoice = desk.sent()
    note = desk.note(invoice, 500_000)
    acts: list[Callable[[], object]] = [
        lambda: desk.pay(invoice, 500_000, "DE-1"),
        lambda: send_credit_note(note=note, by=desk.bea, now=NOW),
        lambda: void_invoice(invoice=invoice, by=desk.ann, reason="a race", now=NOW),
    ]
    results = at_once(*acts)
    # If the payment was first, the credit note gives it back; all other ways, one of them was done.
    refused = [result for result in results if isinstance(result, Exception)]
    assert all(isinstance(result, InvoiceError) for result in refused), refused
    invoice.refresh_from_db()
    assert invoice.state in ("paid", "void")
    assert Entry.objects.filter(reference=invoice.pk).exists() == (invoice.state == "paid")
