"""Sending an invoice, which numbers and fixes it, and voiding one that nobody paid."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import transaction

from customers.models import User
from ledger.invoices.acts import audit_act, locked, refusals_audited
from ledger.invoices.drafting import draft_of
from ledger.invoices.faults import NoBillingDetails, WrongState
from ledger.invoices.mails import queue_mail, queue_void
from ledger.invoices.models import BillingDetails, Invoice
from ledger.invoices.payments import open_cents
from ledger.invoices.seller import seller
from ledger.services import InvalidText, refuse_unfit
from sora2.seen import check_seen, seen_name

Kind, State = Invoice.Kind, Invoice.State


def seen_of(draft: Invoice) -> str:
    """Return a name for what a draft asks for: once anything of that changes, it has another."""
    return seen_name(_asked(draft))


def send_invoice(*, invoice: Invoice, by: User | None, now: datetime, seen: str | None = None) -> Invoice:
    """Send a draft: the database numbers and dates it, and its mail is queued. Sent twice, it is sent once.

    A usage invoice, where nothing is due, is paid at once; only that may be sent by nobody, which is the system. A
    credit note is sent by send_credit_note. With `seen`, nothing is sent that asks for something else than was seen by
    whoever answers for it. Raises WrongState, LinesDiffer, NoSeller, NoBillingDetails, ChangedMeanwhile.
    """
    with refusals_audited(invoice, by, "invoice.send"), transaction.atomic():
        draft = locked(invoice)
        if draft.kind == Kind.CREDIT_NOTE:
            raise WrongState("A credit note is sent by a second person, on its own page.")
        if draft.number and draft.state != State.VOID:
            return draft
        if seen is not None:
            check_seen(_asked(draft), seen)
        sent = issue(draft=draft, by=by, now=now, buyer=_buyer(draft), seller=seller().as_json())
        if sent.kind == Kind.USAGE:
            Invoice.objects.filter(pk=sent.pk).update(state=State.PAID, paid_at=now, paid_by=by)
            sent.refresh_from_db()
        audit_act(sent, by, "invoice.send", total_cents=sent.total_cents, currency=sent.currency, credits=sent.credits)
    return sent


def issue(*, draft: Invoice, by: User | None, now: datetime, **columns: Any) -> Invoice:
    """Give a draft, whose row is locked, its number and its mail, in the caller's transaction. Raises WrongState."""
    if draft.state != State.DRAFT:
        raise WrongState(f"{draft} is {draft.state}: only a draft can be sent.")
    Invoice.objects.filter(pk=draft.pk).update(state=State.SENT, issued_by=by, **columns)
    draft.refresh_from_db()
    queue_mail(invoice=draft, now=now)
    return draft


def void_invoice(*, invoice: Invoice, by: User, reason: str, now: datetime) -> Invoice:
    """Void a draft, or what was sent and nobody paid: the number stays. Voided twice, it is void once.

    Raises WrongState, InvalidText.
    """
    with refusals_audited(invoice, by, "invoice.void"), transaction.atomic():
        refuse_unfit(Invoice, void_reason=reason)
        if not reason.strip():
            raise InvalidText("reason: say why; it stays with the invoice for good")
        current = locked(invoice)
        if current.state == State.VOID:
            return current
        _refuse_void(current)
        end_void(current, by=by, reason=reason, now=now)
        if current.number:
            queue_void(invoice=current, now=now)
        audit_act(current, by, "invoice.void", reason=reason)
    return current


def end_void(invoice: Invoice, *, by: User, reason: str, now: datetime) -> None:
    """Make an invoice, whose row is locked, void."""
    Invoice.objects.filter(pk=invoice.pk).update(state=State.VOID, voided_by=by, voided_at=now, void_reason=reason)
    invoice.refresh_from_db()


def _asked(draft: Invoice) -> dict[str, Any]:
    """Return what a person looks at before they send it: the lines, the terms, and the sum with its tax."""
    sums = {name: getattr(draft, name) for name in ("credits", "tax_label", "tax_note", "total_cents")}
    return {**asdict(draft_of(draft)), **sums}


def _buyer(draft: Invoice) -> dict[str, str]:
    """Return whom it is made out to, as an invoice keeps it."""
    details = BillingDetails.objects.filter(organization=draft.organization_id).first()
    if details is None:
        raise NoBillingDetails("Say first whom this customer's invoices are made out to: its billing details.")
    return {name: getattr(details, name) for name in ("legal_name", "address", "country", "tax_id")}


def _refuse_void(invoice: Invoice) -> None:
    if invoice.state == State.DRAFT:
        return
    if invoice.kind != Kind.CREDITS or invoice.state == State.PAID:
        raise WrongState(f"{invoice} was settled: what it asked for is given back by a credit note.")
    if open_cents(invoice) != invoice.total_cents:
        raise WrongState(
            f"{invoice} was paid or credited in part: reverse its payments, or credit the rest by a credit note."
        )
