"""A customer that gets invoices, and three of our people who write, send and settle them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.db import transaction

from customers.models import Mode, Organization, User
from ledger.approvals import approve, request_credits
from ledger.invoices.credit_notes import draft_credit_note
from ledger.invoices.issuing import send_invoice, void_invoice
from ledger.invoices.payments import record_payment
from ledger.models import BillingDetails, Entry, Invoice, InvoiceLine, Payment, Wallet
from ledger.services import open_wallets

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
TODAY = date(2026, 11, 27)
PACKAGE = (("Prepaid package", 102_000, 500_000),)

# The columns of a usage invoice.
USAGE: Mapping[str, Any] = {
    "kind": "usage",
    "month": "2026-10",
    "package": "",
    "credits": 0,
    "subtotal_cents": 0,
    "total_cents": 0,
    "created_by": None,
}

Lines = Sequence[tuple[str, int, int]]


@dataclass(frozen=True)
class Desk:
    """Ann drafts and sends, Bea and Cat record; each verb is the real one with what does not matter filled in."""

    organization: Organization
    details: BillingDetails
    ann: User
    bea: User
    cat: User

    @property
    def wallet(self) -> Wallet:
        """Return the customer's live wallet as it is now."""
        return Wallet.objects.get(organization=self.organization, mode=Mode.LIVE)

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

    def sent(self, *, now: datetime = NOW, **columns: Any) -> Invoice:
        """Send a draft."""
        return send_invoice(invoice=self.draft(**columns), by=self.ann, now=now)

    def paid(self, **columns: Any) -> Invoice:
        """Send an invoice, and record all that it asks for."""
        invoice = self.sent(**columns)
        self.pay(invoice, invoice.total_cents, f"all of {invoice.number}")
        invoice.refresh_from_db()
        return invoice

    def void(self) -> Invoice:
        """Void an invoice that was sent."""
        return void_invoice(invoice=self.sent(), by=self.ann, reason="a wrong address", now=NOW)

    def pay(
        self, invoice: Invoice, cents: int, reference: str, *, by: User | None = None, now: datetime = NOW
    ) -> Payment:
        """Record a payment."""
        return record_payment(
            invoice=invoice,
            amount_cents=cents,
            received_on=now.date(),
            reference=reference,
            by=by or self.bea,
            now=now,
        )

    def note(self, invoice: Invoice, cents: int, *, credits: int = 0, pk: str = "", now: datetime = NOW) -> Invoice:
        """Draft a credit note."""
        return draft_credit_note(
            invoice=invoice, amount_cents=cents, credits=credits, reason="goodwill", by=self.ann, now=now, pk=pk
        )

    def by_two(self, kind: Entry.Kind, credits: int, *, paid_cents: int = 0, about: str = "") -> None:
        """Let credits come in or go out by two people."""
        request = request_credits(
            wallet=self.wallet,
            kind=kind,
            amount=credits,
            reason="said so",
            requested_by=self.ann,
            paid_cents=paid_cents,
            about=about,
        )
        approve(request=request, decided_by=self.bea)

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
