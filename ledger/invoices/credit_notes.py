"""Credit notes: one person drafts them, another sends them. They lower what is owed, or give back what was paid."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Sum

from customers.models import User
from ledger.approvals import SamePerson
from ledger.invoices.acts import audit_act, locked, refusals_audited
from ledger.invoices.amounts import BASIS_POINTS, money
from ledger.invoices.credits import take_credits_back
from ledger.invoices.faults import InvalidLines, InvalidMoney, MoreThanOpen, WrongState
from ledger.invoices.issuing import end_void, issue
from ledger.invoices.models import Invoice, InvoiceLine, new_invoice_id
from ledger.invoices.payments import close_if_paid, open_cents, refuse_sender
from ledger.services import InvalidText, refuse_unfit
from sora2.seen import check_seen, seen_name

Kind, State = Invoice.Kind, Invoice.State


@dataclass(frozen=True)
class Creditable:
    """What a credit note on an invoice may come to, with tax, and the credits that it may take back."""

    cents: int
    credits: int


def creditable(invoice: Invoice) -> Creditable:
    """Return how much may still be credited: what is open of a sent invoice; what was paid, of a paid one."""
    if invoice.kind != Kind.CREDITS or invoice.state not in (State.SENT, State.PAID):
        return Creditable(0, 0)
    if invoice.state == State.SENT:
        return Creditable(open_cents(invoice), 0)
    notes = invoice.credit_notes.filter(state__in=[State.SENT, State.PAID])
    given = notes.aggregate(cents=Sum("total_cents", default=0), credits=Sum("credits", default=0))
    return Creditable(invoice.total_cents - given["cents"], invoice.credits - given["credits"])


def draft_credit_note(
    *, invoice: Invoice, amount_cents: int, credits: int, reason: str, by: User, now: datetime, pk: str = ""
) -> Invoice:
    """Draft a credit note of an amount with tax, and of credits to be taken back; somebody else sends it.

    Who gives its `pk` may ask twice, and gets the first. Raises WrongState, MoreThanOpen, InvalidMoney, InvalidLines,
    InvalidText.
    """
    with refusals_audited(invoice, by, "credit_note.draft"), transaction.atomic():
        corrected = locked(invoice)
        if pk and (before := Invoice.objects.filter(pk=pk, corrects=corrected, created_by=by).first()):
            return before
        refuse_unfit(Invoice, note=reason)
        if not reason.strip():
            raise InvalidText("reason: say why; it stands on the credit note")
        _refuse_amounts(corrected, amount_cents, credits)
        note = _draft(corrected, amount_cents, credits, reason, by, now, pk or new_invoice_id())
        audit_act(
            note,
            by,
            "credit_note.draft",
            corrects=corrected.number,
            total_cents=amount_cents,
            currency=note.currency,
            credits=credits,
            reason=reason,
        )
    return note


def effect_seen(corrected: Invoice) -> str:
    """Return a name for what a credit note on this invoice does: lower what is owed, or give back what was paid."""
    return seen_name([corrected.state, open_cents(corrected)])


def send_credit_note(*, note: Invoice, by: User, now: datetime, seen: str | None = None) -> Invoice:
    """Send a draft of a credit note: it is taken off a sent invoice, or stays open until the money went back.

    What then has nothing open is paid if anything came for it, and its credits are granted; else it is void. From a
    paid invoice's credits it takes its own back. Sent twice, it is sent once. With `seen`, nothing is sent that does
    something else than it did when somebody looked. Raises SamePerson, WrongState, MoreThanOpen, InsufficientCredits,
    ChangedMeanwhile.
    """
    with refusals_audited(note, by, "credit_note.send"), transaction.atomic():
        if note.corrects is None:
            raise WrongState(f"{note} is no credit note.")
        corrected, draft = locked(note.corrects), locked(note)
        if draft.number:
            return draft
        if draft.created_by_id == by.pk:
            raise SamePerson("You wrote this credit note: somebody else has to send it.")
        if seen is not None:
            check_seen([corrected.state, open_cents(corrected)], seen)
        applied = corrected.state != State.PAID
        _refuse_amounts(corrected, draft.total_cents, draft.credits)
        sent = issue(draft=draft, by=by, now=now, applied=applied, buyer=corrected.buyer, seller=corrected.seller)
        if applied:
            Invoice.objects.filter(pk=sent.pk).update(state=State.PAID, paid_by=by, paid_at=now)
            sent.refresh_from_db()
            _close(corrected, sent, by=by, now=now)
        elif sent.credits:
            take_credits_back(note=sent, corrected=corrected, by=by, now=now)
        audit_act(
            sent,
            by,
            "credit_note.send",
            corrects=corrected.number,
            total_cents=sent.total_cents,
            currency=sent.currency,
            credits=sent.credits,
            state=corrected.state,
        )
    return sent


def _close(corrected: Invoice, note: Invoice, *, by: User, now: datetime) -> None:
    """End an invoice of which nothing is open any more: paid if money came for it, void if none did."""
    if open_cents(corrected):
        return
    if corrected.payments.aggregate(cents=Sum("amount_cents", default=0))["cents"]:
        refuse_sender(corrected, by)
        close_if_paid(corrected, by=by, now=now)
    else:
        end_void(corrected, by=by, reason=f"Credited in full by {note.number}", now=now)


def _refuse_amounts(corrected: Invoice, amount_cents: int, credits: int) -> None:
    if corrected.kind != Kind.CREDITS or corrected.state not in (State.SENT, State.PAID):
        raise WrongState(f"{corrected} is {corrected.state}: only what was sent or paid is corrected by a credit note.")
    most = creditable(corrected)
    if amount_cents <= 0:
        raise InvalidMoney("An amount is more than nothing.")
    if amount_cents > most.cents:
        said, left = money(amount_cents, corrected.currency), money(most.cents, corrected.currency)
        raise MoreThanOpen(f"{said} is more than the {left} that can be credited on {corrected}.")
    if credits and corrected.state == State.SENT:
        raise InvalidLines("Nothing was granted yet for this invoice: there are no credits to take back.")
    if not 0 <= credits <= most.credits:
        raise InvalidLines(f"At most {most.credits:,} credits of {corrected} can be taken back.")


def _draft(
    corrected: Invoice, amount_cents: int, credits: int, reason: str, by: User, now: datetime, pk: str
) -> Invoice:
    # The amount is what is owed less or given back, so the tax is in it.
    rate = BASIS_POINTS + corrected.tax_basis_points
    subtotal = (2 * amount_cents * BASIS_POINTS + rate) // (2 * rate)
    note = Invoice.objects.create(
        pk=pk,
        organization=corrected.organization,
        kind=Kind.CREDIT_NOTE,
        corrects=corrected,
        currency=corrected.currency,
        credits=credits,
        subtotal_cents=subtotal,
        tax_label=corrected.tax_label,
        tax_basis_points=corrected.tax_basis_points,
        tax_note=corrected.tax_note,
        tax_cents=amount_cents - subtotal,
        total_cents=amount_cents,
        purchase_order=corrected.purchase_order,
        note=reason,
        terms_days=0,
        created_by=by,
        created_at=now,
    )
    InvoiceLine.objects.create(
        invoice=note, position=1, description=f"Credit on {corrected.number}", credits=credits, amount_cents=subtotal
    )
    return note
