"""What the pages of invoices show: the list with what is open of it, and one invoice with all that belongs to it."""

from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Count, F, Q, Sum
from django.shortcuts import get_object_or_404
from django.urls import reverse

from customers.access import Access, Permission
from customers.models import AuditEvent
from customers.naming import names_for_staff
from ledger.invoices.credit_notes import creditable
from ledger.invoices.models import InvoiceQuerySet
from ledger.models import Entry, Invoice, InvoiceLine, InvoiceMail, Payment
from sora2.pages import Rows, rows_after

INVOICES_SHOWN = 50
Kind, State = Invoice.Kind, Invoice.State
# What a list can be narrowed to. "open" is all that is not paid, also in part and overdue.
STATES = ("draft", "open", "partly paid", "overdue", "paid", "void")
KINDS = {Kind.CREDITS: "invoice", Kind.USAGE: "usage invoice", Kind.CREDIT_NOTE: "credit note"}


@dataclass(frozen=True)
class Wanted:
    """Which invoices to list; the empty text is no restriction. `customer` is part of a name, or an id."""

    state: str = ""
    kind: str = ""
    customer: str = ""


@dataclass(frozen=True)
class Total:
    """All invoices of the list in one currency: how many, and what is open; credit notes' own are what we owe."""

    currency: str
    count: int
    open_cents: int
    owed_cents: int


@dataclass(frozen=True)
class InvoiceList:
    """Some invoices, newest first, and the totals of all that were asked for."""

    page: Rows[Invoice]
    totals: list[Total]


@dataclass(frozen=True)
class Paid:
    """A payment, and why the reader cannot reverse it if it can be reversed at all: empty if they can."""

    payment: Payment
    is_reversed: bool
    why_not: str


@dataclass(frozen=True)
class Act:
    """What can be done with an invoice: where, or why not by this person."""

    label: str
    address: str
    why_not: str
    # It corrects what was right to be done first: not the next step.
    is_correction: bool = False


@dataclass(frozen=True)
class Step:
    """A line of an invoice's history: who tried what, and what came of it."""

    event: AuditEvent
    who: str


@dataclass(frozen=True)
class Detail:
    """One invoice, with what stands on it, what came for it, what was granted for it, and what can be done."""

    invoice: Invoice
    state: str
    open_cents: int
    kind: str
    lines: list[InvoiceLine]
    payments: list[Paid]
    notes: list[Invoice]
    entry: Entry | None
    mails: list[InvoiceMail]
    acts: list[Act]
    history: list[Step]
    is_due: bool


def reached(access: Access, *, invoice_id: str) -> Invoice:
    """Return an invoice that somebody reaches, with what is open; a customer's people reach what was sent.

    Raises Http404.
    """
    related = ("organization", "corrects", "created_by", "issued_by", "paid_by", "voided_by")
    found: Invoice = get_object_or_404(_visible(access).with_open().select_related(*related), pk=invoice_id)
    return found


def invoice_list(access: Access, *, wanted: Wanted, cursor: str, today: date) -> InvoiceList:
    """Return the invoices that somebody reaches and wants, newest first."""
    chosen = _chosen(access, wanted, today)
    page = rows_after(chosen.select_related("organization", "corrects"), key="-id", cursor=cursor, size=INVOICES_SHOWN)
    return InvoiceList(page, _totals(chosen))


def state_of(invoice: Invoice, *, today: date) -> str:
    """Return the state of an invoice that was read with_open() as it is shown: one of STATES."""
    if invoice.state != State.SENT:
        return str(invoice.state)
    if invoice.kind == Kind.CREDITS and invoice.due_on is not None and invoice.due_on < today:
        return "overdue"
    return "partly paid" if invoice.open_cents < invoice.total_cents else "open"


def line_of(invoice: Invoice, *, today: date) -> tuple[Invoice, str, str]:
    """Return an invoice as the list shows it, with its state and its kind in words."""
    return invoice, state_of(invoice, today=today), KINDS[Kind(invoice.kind)]


def detail(access: Access, *, invoice_id: str, today: date) -> Detail:
    """Return what an invoice's page shows. Raises Http404 for what somebody does not reach."""
    invoice = reached(access, invoice_id=invoice_id)
    staff = access.organization_ids is None
    notes = Invoice.objects.filter(corrects=invoice).order_by("id")
    return Detail(
        invoice=invoice,
        state=state_of(invoice, today=today),
        open_cents=invoice.open_cents,
        kind=KINDS[Kind(invoice.kind)],
        lines=list(invoice.lines.order_by("position")),
        payments=_payments(access, invoice),
        notes=list(notes if staff else notes.issued()),
        entry=Entry.objects.filter(reference=invoice.pk).first(),
        mails=list(invoice.mails.order_by("pk")) if staff else [],
        acts=acts(access, invoice) if staff else [],
        history=_history(invoice) if staff else [],
        is_due=invoice.kind == Kind.CREDITS and invoice.state == State.SENT,
    )


def acts(access: Access, invoice: Invoice) -> list[Act]:
    """Return what can be done with an invoice now, by this person or by whom."""
    if invoice.state == State.DRAFT:
        send = _send_note(access, invoice) if invoice.kind == Kind.CREDIT_NOTE else _act(access, invoice, "send")
        change = [_act(access, invoice, "change")] if invoice.kind == Kind.CREDITS else []
        return [send, *change, _act(access, invoice, "void")]
    found = []
    if invoice.state == State.SENT:
        found.append(_payment(access, invoice))
    if invoice.kind == Kind.CREDITS and creditable(invoice).cents:
        found.append(_credit(access, invoice))
    if invoice.kind == Kind.CREDITS and invoice.state == State.SENT:
        untouched = invoice.open_cents == invoice.total_cents
        reason = "Something was paid or credited on it: reverse the payment, or credit the rest."
        found.append(_act(access, invoice, "void") if untouched else Act("Void", "", reason))
    return found


def payment_refusal(access: Access, invoice: Invoice) -> str:
    """Return why somebody cannot record or reverse what came for an invoice that was sent; empty if they can."""
    if not access.may(Permission.PAYMENTS_RECORD):
        return "Your role does not record payments; somebody of finance does."
    if invoice.kind == Kind.CREDITS and invoice.issued_by_id == access.actor:
        return "You sent this invoice: somebody else has to record what came for it."
    return ""


def note_refusal(access: Access, note: Invoice) -> str:
    """Return why somebody cannot send the draft of a credit note; empty if they can."""
    if not access.may(Permission.PAYMENTS_RECORD):
        return "Your role does not send credit notes; somebody of finance does."
    if note.created_by_id == access.actor:
        return "You wrote this credit note: somebody else has to send it."
    return ""


def _visible(access: Access) -> InvoiceQuerySet:
    rows = Invoice.objects.within(access)
    return rows if access.organization_ids is None else rows.issued()


def _chosen(access: Access, wanted: Wanted, today: date) -> InvoiceQuerySet:
    rows = _visible(access).with_open()
    if wanted.customer:
        by_name = Q(organization__name__icontains=wanted.customer)
        rows = rows.filter(Q(organization_id=wanted.customer) | by_name)
    if wanted.kind:
        rows = rows.filter(kind=wanted.kind)
    narrowed = {
        "open": Q(state=State.SENT),
        "partly paid": Q(state=State.SENT, open_cents__lt=F("total_cents")),
        "overdue": Q(state=State.SENT, kind=Kind.CREDITS, due_on__lt=today),
    }
    return rows.filter(narrowed.get(wanted.state, Q(state=wanted.state))) if wanted.state else rows


def _totals(chosen: InvoiceQuerySet) -> list[Total]:
    is_note = Q(kind=Kind.CREDIT_NOTE)
    grouped = chosen.order_by().values("currency").annotate(
        count=Count("pk"),
        asked=Sum("open_cents", filter=~is_note, default=0),
        owed=Sum("open_cents", filter=is_note, default=0),
    )  # fmt: skip
    found = grouped.order_by("currency").values_list("currency", "count", "asked", "owed")
    return [Total(currency, count, int(asked), int(owed)) for currency, count, asked, owed in found]


def _payments(access: Access, invoice: Invoice) -> list[Paid]:
    rows = list(invoice.payments.select_related("recorded_by").order_by("id"))
    reversed_ids = {payment.reverses_id for payment in rows}
    refusal = payment_refusal(access, invoice) if invoice.state == State.SENT else "by a credit note"
    return [Paid(payment, payment.pk in reversed_ids, refusal) for payment in rows]


WORDS = {"send": "Send", "change": "Change", "void": "Void"}


def _act(access: Access, invoice: Invoice, verb: str) -> Act:
    may = access.may(Permission.INVOICES_WRITE)
    why_not = "" if may else "Your role does not write invoices; sales and finance do."
    return Act(WORDS[verb], reverse(f"admin:invoice_{verb}", args=[invoice.pk]) if may else "", why_not)


def _send_note(access: Access, note: Invoice) -> Act:
    why_not = note_refusal(access, note)
    return Act("Send", "" if why_not else reverse("admin:credit_note_send", args=[note.pk]), why_not)


def _payment(access: Access, invoice: Invoice) -> Act:
    label = "Record that money went back" if invoice.kind == Kind.CREDIT_NOTE else "Record a payment"
    why_not = payment_refusal(access, invoice)
    return Act(label, "" if why_not else reverse("admin:invoice_payment", args=[invoice.pk]), why_not)


def _credit(access: Access, invoice: Invoice) -> Act:
    may = access.may(Permission.INVOICES_WRITE)
    why_not = "" if may else "Your role does not write credit notes; sales and finance do."
    address = reverse("admin:credit_note_new", args=[invoice.pk]) if may else ""
    return Act("Write a credit note", address, why_not, is_correction=True)


def _history(invoice: Invoice) -> list[Step]:
    # Served by customers_audit_by_org: from the moment in which it was drafted.
    since: datetime = invoice.created_at
    events = AuditEvent.objects.filter(organization=invoice.organization_id, at__gte=since, subject=invoice.pk)
    found = list(events.order_by("at", "pk"))
    names = names_for_staff(event.actor for event in found)
    return [Step(event, names.get(event.actor, event.actor)) for event in found]
