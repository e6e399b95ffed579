"""Invoices sent row by row, with any texts and amounts: what their papers and mails are tested with."""

from typing import Any

from customers.models import Organization, User
from customers.services import create_staff
from ledger.models import Invoice, InvoiceLine
from sora2.ids import new_id

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
PACKAGE: Line = ("Prepaid package of 102,000 credits", 102_000, 49_020, 500_000)


def somebody(role: str = "finance") -> User:
    """Return one of our people whom nobody has seen before."""
    return create_staff(username=new_id("usr"), role=role)[0]


def draft(organization: Organization, *lines: Line, tax: int = 0, **given: Any) -> Invoice:
    """Draft an invoice, of the prepaid package where no lines are given."""
    rows = lines or (PACKAGE,)
    subtotal = sum(amount for *_, amount in rows)
    fields: dict[str, Any] = {
        "kind": Invoice.Kind.CREDITS,
        "currency": "USD",
        "credits": sum(credits for _, credits, *_ in rows),
        "purchase_order": "PO-4711",
        "created_by": somebody(),
        **given,
    }
    invoice = Invoice.objects.create(
        organization=organization, subtotal_cents=subtotal, tax_cents=tax, total_cents=subtotal + tax, **fields
    )
    InvoiceLine.objects.bulk_create(
        InvoiceLine(
            invoice=invoice,
            position=position,
            description=description,
            credits=credits,
            unit_micros=unit_micros,
            amount_cents=amount,
        )
        for position, (description, credits, unit_micros, amount) in enumerate(rows, 1)
    )
    return invoice


def send(invoice: Invoice, **given: Any) -> Invoice:
    """Send a draft: the database numbers it."""
    columns = {"issued_by": somebody("finance approver"), "buyer": BUYER, "seller": SELLER, **given}
    Invoice.objects.filter(pk=invoice.pk).update(state=Invoice.State.SENT, **columns)
    return reread(invoice)


def sent_invoice(organization: Organization, *lines: Line, **given: Any) -> Invoice:
    """Draft and send an invoice."""
    return send(draft(organization, *lines, **given))


def usage_invoice(organization: Organization) -> Invoice:
    """Send an invoice of what was used in a month: its last line takes off what was paid before."""
    used: tuple[Line, ...] = (
        ("Credits used, prepaid by INV-2026-0001 of 2026-09-12", 8_148, 49_020, 39_941),
        ("Credits used, promotional, of 2026-09-01: pilot", 500, 0, 0),
        ("Prepaid: taken off", 0, 0, -39_941),
    )
    note = "Credits used in October 2026 (UTC). They were paid before: nothing is due."
    return sent_invoice(
        organization, *used, kind=Invoice.Kind.USAGE, month="2026-10", credits=0, note=note, terms_days=0
    )


def credit_note(corrected: Invoice) -> Invoice:
    """Send a credit note on an invoice that nobody has paid yet."""
    line: Line = (f"Credit on {corrected.number}", 0, 0, 10_000)
    reason = "Agreed discount for the late start of the project"
    fields = {"kind": Invoice.Kind.CREDIT_NOTE, "corrects": corrected, "note": reason, "terms_days": 0}
    return send(draft(corrected.organization, line, **fields), applied=True)


def void(invoice: Invoice, reason: str) -> Invoice:
    """Void an invoice that nobody has paid, or a draft."""
    at = invoice.issued_at or invoice.created_at
    Invoice.objects.filter(pk=invoice.pk).update(
        state=Invoice.State.VOID, voided_by=somebody(), voided_at=at, void_reason=reason
    )
    return reread(invoice)


def reread(invoice: Invoice) -> Invoice:
    """Return an invoice as it is now."""
    return Invoice.objects.get(pk=invoice.pk)
