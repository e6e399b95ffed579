"""Recording what came for an invoice, or went back on a credit note. What makes it paid grants its credits, once."""

from datetime import date, datetime

from django.db import transaction

from customers.models import User
from ledger.approvals import SamePerson
from ledger.invoices.acts import audit_act, locked, refusals_audited
from ledger.invoices.amounts import money
from ledger.invoices.credits import grant_credits
from ledger.invoices.faults import InvalidMoney, MoreThanOpen, NotReversible, ReferenceUsed, WrongState
from ledger.invoices.mails import queue_receipt
from ledger.invoices.models import Invoice, Payment
from ledger.services import InvalidText, refuse_unfit

Kind, State = Invoice.Kind, Invoice.State


def open_cents(invoice: Invoice) -> int:
    """Return what is still to be paid: the total without what was paid and what credit notes took off."""
    return Invoice.objects.with_open().get(pk=invoice.pk).open_cents


def record_payment(
    *, invoice: Invoice, amount_cents: int, received_on: date, reference: str, by: User, now: datetime
) -> Payment:
    """Record money that came for an invoice; what leaves nothing open makes it paid and grants its credits.

    On a credit note it is money that went back. The same reference again is the same payment: the first is returned.
    Raises SamePerson (who sent the invoice), MoreThanOpen, WrongState, ReferenceUsed, InvalidMoney, InvalidText.
    """
    with refusals_audited(invoice, by, "payment.record"), transaction.atomic():
        refuse_unfit(Payment, reference=reference)
        if not reference.strip():
            raise InvalidText("reference: write what the bank's statement says, so that it is recorded once")
        current = locked(invoice)
        if before := current.payments.filter(reference=reference, reverses=None).first():
            return _the_same(before, amount_cents)
        _refuse_payment(current, amount_cents, by)
        payment = Payment.objects.create(
            invoice=current,
            amount_cents=amount_cents,
            received_on=received_on,
            reference=reference,
            recorded_by=by,
            recorded_at=now,
        )
        close_if_paid(current, by=by, now=now)
        _audit(payment, current, by, "payment.record")
    return payment


def reverse_payment(*, payment: Payment, reason: str, by: User, now: datetime) -> Payment:
    """Take back a payment that was recorded by mistake, as long as its invoice is not paid, and say why.

    Reversed twice, it is reversed once. Raises NotReversible, InvalidText.
    """
    invoice = payment.invoice
    with refusals_audited(invoice, by, "payment.reverse"), transaction.atomic():
        refuse_unfit(Payment, reason=reason)
        if not reason.strip():
            raise InvalidText("reason: say what was wrong; it stays with the payment for good")
        current = locked(invoice)
        if before := Payment.objects.filter(reverses=payment).first():
            return before
        _refuse_reversal(current, payment, by)
        reversal = Payment.objects.create(
            invoice=current,
            amount_cents=-payment.amount_cents,
            received_on=payment.received_on,
            reference=payment.reference,
            reverses=payment,
            reason=reason,
            recorded_by=by,
            recorded_at=now,
        )
        _audit(reversal, current, by, "payment.reverse")
    return reversal


def close_if_paid(invoice: Invoice, *, by: User, now: datetime) -> bool:
    """Make an invoice, whose row is locked, paid once nothing is open, with its credits; say whether it is."""
    if open_cents(invoice):
        return False
    Invoice.objects.filter(pk=invoice.pk).update(state=State.PAID, paid_by=by, paid_at=now)
    invoice.refresh_from_db()
    if invoice.kind == Kind.CREDITS:
        if invoice.credits:
            grant_credits(invoice=invoice, by=by, now=now)
        queue_receipt(invoice=invoice, now=now)
    return True


def refuse_sender(invoice: Invoice, by: User) -> None:
    """Refuse that somebody says that what they asked for has come. Raises SamePerson."""
    if invoice.kind == Kind.CREDITS and invoice.issued_by_id == by.pk:
        raise SamePerson("You sent this invoice: somebody else has to record what came for it.")


def _the_same(before: Payment, amount_cents: int) -> Payment:
    """Return a payment that was recorded before, if this is it."""
    if before.amount_cents != amount_cents:
        said = money(before.amount_cents, before.invoice.currency)
        raise ReferenceUsed(f"{before.reference} was recorded already, with {said}.")
    if Payment.objects.filter(reverses=before).exists():
        raise ReferenceUsed(f"{before.reference} was recorded and reversed: add something to it, such as “again”.")
    return before


def _refuse_payment(invoice: Invoice, amount_cents: int, by: User) -> None:
    if invoice.state != State.SENT or invoice.kind == Kind.USAGE:
        raise WrongState(f"{invoice} is {invoice.state}: nothing is to be paid on it.")
    refuse_sender(invoice, by)
    if amount_cents <= 0:
        raise InvalidMoney("An amount is more than nothing.")
    if amount_cents > (most := open_cents(invoice)):
        said, left = money(amount_cents, invoice.currency), money(most, invoice.currency)
        raise MoreThanOpen(f"{said} is more than the {left} that are open.")


def _refuse_reversal(invoice: Invoice, payment: Payment, by: User) -> None:
    if invoice.state != State.SENT:
        raise NotReversible(f"{invoice} is {invoice.state}: give money back by a credit note.")
    if payment.reverses_id is not None:
        raise NotReversible("This is a reversal itself: record the payment anew.")
    refuse_sender(invoice, by)


def _audit(payment: Payment, invoice: Invoice, by: User, action: str) -> None:
    audit_act(
        invoice,
        by,
        action,
        payment=payment.pk,
        amount_cents=payment.amount_cents,
        currency=invoice.currency,
        reference=payment.reference,
        received_on=payment.received_on.isoformat(),
        state=invoice.state,
        **({"reason": payment.reason} if payment.reason else {}),
    )
