"""A customer that gets invoices, and three of our people who write, send and settle them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from django.db import transaction

from customers.models import Organization, User
from ledger.invoices.credit_notes import draft_credit_note
from ledger.invoices.issuing import send_invoice, void_invoice
from ledger.invoices.payments import record_payment
from ledger.models import BillingDetails, Invoice, InvoiceLine, Payment
from ledger.services import open_wallets

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
TODAY = date(2026, 11, 27)
PACKAGE = (("Prepaid package", 102_000, 500_000),)

Lines = Sequence[tuple[str, int, int]]


@dataclass(frozen=True)
class Desk:
    """Ann drafts and sends, Bea and Cat record; each verb is the real one with what does not matter filled in."""

    organization: Organization
    details: BillingDetails
    ann: User
    bea: User
    cat: User
    usage: dict[str, Any] = field(
        default_factory=lambda: {
            "kind": "usage",
            "month": "2026-10",
            "package": "",
            "credits": 0,
            "subtotal_cents": 0,
            "total_cents": 0,
            "created_by": None,
        }
    )

    def draft(self, *, lines: Lines = PACKAGE, **columns: Any) -> Invoice:
        """Write a draft, by default of the package."""
        given = {"kind": "credits", "package": "prepaid-5000", "credits": 102_000, "subtotal_cents": 500_000}
        columns = {**given, "total_cents": 500_000, "created_by": self.ann, **columns}
        with transaction.atomic():
            draft = Invoice.objects.create(organization=self.organization, currency="USD", **columns)
            for position, (description, credits, cents) in enumerate(lines, start=1):
                InvoiceLine.objects.create(
                    invoice=draft, position=position, description=description, credits=credits, amount_cents=cents
                )
        return draft

    def sent(self, **columns: Any) -> Invoice:
        """Send a draft."""
        return send_invoice(invoice=self.draft(**columns), by=self.ann, now=NOW)

    def paid(self, **columns: Any) -> Invoice:
        """Send an invoice, and record all that it asks for."""
        invoice = self.sent(**columns)
        self.pay(invoice, invoice.total_cents, f"all of {invoice.number}")
        invoice.refresh_from_db()
        return invoice

    def void(self) -> Invoice:
        """Void an invoice that was sent."""
        return void_invoice(invoice=self.sent(), by=self.ann, reason="a wrong address", now=NOW)

    def pay(self, invoice: Invoice, cents: int, reference: str, *, by: User | None = None) -> Payment:
        """Record a payment."""
        return record_payment(
            invoice=invoice, amount_cents=cents, received_on=TODAY, reference=reference, by=by or self.bea, now=NOW
        )

    def note(self, invoice: Invoice, cents: int, *, credits: int = 0, pk: str = "") -> Invoice:
        """Draft a credit note."""
        return draft_credit_note(
            invoice=invoice, amount_cents=cents, credits=credits, reason="goodwill", by=self.ann, now=NOW, pk=pk
        )

    def state(self, invoice: Invoice) -> str:
        """Return the state that an invoice has now."""
        return Invoice.objects.get(pk=invoice.pk).state


def make_desk(organization: Organization | None = None, *, name: str = "Acme") -> Desk:
    """Make a customer, or take one, with its billing details and wallets, and our people."""
    organization = organization or Organization.objects.create(name=name)
    open_wallets(organization=organization)
    details = BillingDetails.objects.create(
        organization=organization, legal_name=f"{name} Corporation Inc.", address="1 Roadrunner Way", country="US"
    )
    ann, bea, cat = (
        User.objects.create_user(username=f"{each}@{name.lower()}.example") for each in ("ann", "bea", "cat")
    )
    return Desk(organization, details, ann, bea, cat)
