"""Invoices as they are when they were sent, made row by row: what their papers and mails are tested with."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from customers.models import Organization
from ledger.models import Invoice, InvoiceLine

SENT_AT = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)
SELLER = {
    "legal_name": "Sora2 Enterprise Ltd",
    "address": "12 Harbour Road\nDublin 2, D02 X285",
    "country": "IE",
    "tax_id": "IE 6388047V",
    "email": "billing@sora2.example",
    "bank": "Sora2 Enterprise Ltd\nIBAN IE29 AIBK 9311 5212 3456 78\nBIC AIBKIE2D",
}
BUYER = {
    "legal_name": "Acme Corporation Inc.",
    "address": "1 Roadrunner Way\nAlbuquerque, NM 87101",
    "country": "US",
    "tax_id": "85-1234567",
}
# Description, credits, price of a credit in millionths, amount in minor units.
Line = tuple[str, int, int, int]
PACKAGE: Line = ("Prepaid package: 102,000 credits", 102_000, 49_020, 500_000)


def an_invoice(organization: Organization, *lines: Line, tax: int = 0, **given: Any) -> Invoice:
    """Make an invoice that was sent, of the prepaid package where no lines are given."""
    rows: Sequence[Line] = lines or (PACKAGE,)
    subtotal = given.pop("subtotal_cents", sum(amount for *_, amount in rows))
    fields: dict[str, Any] = {
        "kind": Invoice.Kind.CREDITS,
        "state": Invoice.State.SENT,
        "number": "INV-2026-0001",
        "currency": "USD",
        "credits": sum(credits for _, credits, *_ in rows),
        "purchase_order": "PO-4711",
        "due_on": date(2026, 12, 27),
        "issued_at": SENT_AT,
        "buyer": BUYER,
        "seller": SELLER,
        **given,
    }
    invoice = Invoice.objects.create(
        organization=organization,
        subtotal_cents=subtotal,
        tax_cents=tax,
        total_cents=subtotal + tax,
        **fields,
    )
    for position, (description, credits, unit_micros, amount) in enumerate(rows, 1):
        InvoiceLine.objects.create(
            invoice=invoice,
            position=position,
            description=description,
            credits=credits,
            unit_micros=unit_micros,
            amount_cents=amount,
        )
    return invoice


def a_taxed_invoice(organization: Organization, **given: Any) -> Invoice:
    """Make an invoice with a tax line that says why no tax is due."""
    note = "Reverse charge: the recipient owes the tax (Article 196 of Directive 2006/112/EC)."
    return an_invoice(organization, **{"tax_label": "VAT", "tax_basis_points": 0, "tax_note": note, **given})


def a_usage_invoice(organization: Organization, **given: Any) -> Invoice:
    """Make an invoice of what was used in a month: it was paid before."""
    lines: Sequence[Line] = (
        ("Videos made in October 2026, from the credits of INV-2026-0001", 8_148, 49_020, 39_941),
        ("Videos made in October 2026, from promotional credits", 500, 0, 0),
    )
    fields: dict[str, Any] = {
        "kind": Invoice.Kind.USAGE,
        "state": Invoice.State.PAID,
        "number": "INV-2026-0002",
        "month": "2026-10",
        "credits": 0,
        "subtotal_cents": 0,
        "paid_at": SENT_AT,
    }
    return an_invoice(organization, *lines, **fields | given)


def a_credit_note(invoice: Invoice, **given: Any) -> Invoice:
    """Make a credit note that gives back a part of what was paid for an invoice."""
    fields: dict[str, Any] = {
        "kind": Invoice.Kind.CREDIT_NOTE,
        "number": "CN-2026-0001",
        "corrects": invoice,
    }
    line: Line = (f"Credits of {invoice.number} taken back", 2_040, 49_020, 10_000)
    return an_invoice(invoice.organization, line, **fields | given)
