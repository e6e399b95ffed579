"""The billing of the world's customers: their details, and an invoice in each state, all by the real services."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from customers.models import Organization, User
from ledger.invoices.credit_notes import draft_credit_note, send_credit_note
from ledger.invoices.drafting import DraftLine, draft_invoice
from ledger.invoices.issuing import send_invoice, void_invoice
from ledger.invoices.payments import record_payment
from ledger.models import BillingDetails, Invoice, Payment
from ledger.packages import LIST_PRICE, PREPAID

ADDRESS = "1 Roadrunner Way\nAlbuquerque, NM 87101"
PACKAGE = DraftLine("Prepaid package: 102,000 credits", PREPAID.credits, PREPAID.micros, PREPAID.cents)
TOP_UP = DraftLine("Top-up: 100 credits", 100, LIST_PRICE.micros, LIST_PRICE.cents(100))


@dataclass(frozen=True)
class Earlier:
    """What was made in the month that is closed by now: paid top-ups of both customers, and one that is overdue."""

    details: BillingDetails
    paid: Invoice
    overdue: Invoice
    globex_paid: Invoice


@dataclass(frozen=True)
class Billing:
    """What was made, by state. The credit notes are on `partly`, and `payment` is its own."""

    details: BillingDetails
    draft: Invoice
    sent: Invoice
    partly: Invoice
    payment: Payment
    paid: Invoice
    overdue: Invoice
    void: Invoice
    note: Invoice
    note_draft: Invoice
    globex_paid: Invoice

    @property
    def invoices(self) -> dict[str, Invoice]:
        """Return the first customer's by state."""
        return {name: each for name, each in vars(self).items() if isinstance(each, Invoice) and name != "globex_paid"}


def make_earlier_billing(
    acme: Organization, globex: Organization, people: Mapping[str, User], now: datetime
) -> Earlier:
    """Make both customers' billing details, and what was invoiced long ago."""
    details = BillingDetails.objects.create(
        organization=acme,
        legal_name="Acme Corporation Inc.",
        address=ADDRESS,
        country="US",
        tax_id="85-1234567",
    )
    BillingDetails.objects.create(
        organization=globex, legal_name="Globex GmbH", address="Hauptstraße 1\n10115 Berlin", country="DE"
    )
    paid, overdue, globex_paid = (_sent(each, TOP_UP, "", people, now) for each in (acme, acme, globex))
    for invoice in (paid, globex_paid):
        _pay(invoice, invoice.total_cents, people, now)
    return Earlier(details, paid, overdue, globex_paid)


def make_billing(earlier: Earlier, people: Mapping[str, User], now: datetime) -> Billing:
    """Make the first customer's invoices of today."""
    acme = earlier.details.organization
    sales, finance, approver = people["sales ops"], people["finance"], people["finance approver"]
    draft = _draft(acme, PACKAGE, PREPAID.code, sales)
    sent, partly, void = (_sent(acme, PACKAGE, PREPAID.code, people, now) for _ in range(3))
    payment = _pay(partly, 200_000, people, now)
    void = void_invoice(invoice=void, by=sales, reason="Sent twice", now=now)
    note, note_draft = (
        draft_credit_note(invoice=partly, amount_cents=cents, credits=0, reason=reason, by=finance, now=now)
        for cents, reason in ((50_000, "Introductory discount"), (10_000, "Late delivery"))
    )
    note = send_credit_note(note=note, by=approver, now=now)
    return Billing(
        details=earlier.details,
        draft=draft,
        sent=sent,
        partly=partly,
        payment=payment,
        paid=_now(earlier.paid),
        overdue=earlier.overdue,
        void=void,
        note=note,
        note_draft=note_draft,
        globex_paid=_now(earlier.globex_paid),
    )


def _draft(organization: Organization, line: DraftLine, package: str, by: User) -> Invoice:
    return draft_invoice(organization=organization, lines=[line], package=package, by=by)


def _sent(
    organization: Organization, line: DraftLine, package: str, people: Mapping[str, User], now: datetime
) -> Invoice:
    draft = _draft(organization, line, package, people["sales ops"])
    return send_invoice(invoice=draft, by=people["sales ops"], now=now)


def _pay(invoice: Invoice, cents: int, people: Mapping[str, User], now: datetime) -> Payment:
    return record_payment(
        invoice=invoice,
        amount_cents=cents,
        received_on=now.date(),
        reference=f"transfer {invoice.number}",
        by=people["finance"],
        now=now,
    )


def _now(invoice: Invoice) -> Invoice:
    return Invoice.objects.get(pk=invoice.pk)
