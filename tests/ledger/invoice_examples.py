"""Invoices with all that can stand on one: what their papers are tested, and pictured, with."""

from typing import Any

from pytest_django import Settings

from ledger.invoices.credit_notes import send_credit_note
from ledger.invoices.issuing import send_invoice
from ledger.models import BillingDetails, Invoice
from tests.as_role import as_owner
from tests.invoices import NOW, USAGE, Desk, make_desk

# Description, credits, price of a credit in millionths, amount in minor units.
Line = tuple[str, int, int, int]
PACKAGE: Line = ("Prepaid package of 102,000 credits", 102_000, 49_020, 500_000)
TAX_NOTE = "Reverse charge: the recipient owes the tax (Article 196 of Directive 2006/112/EC)."


def make_office(settings: Settings) -> Desk:
    """Make a customer whose billing details are all given, as ours are."""
    settings.SELLER_LEGAL_NAME = "Sora2 Enterprise Ltd"
    settings.SELLER_ADDRESS = "12 Harbour Road\\nDublin 2, D02 X285"
    settings.SELLER_COUNTRY, settings.SELLER_TAX_ID = "IE", "IE 6388047V"
    settings.SELLER_BANK = "Sora2 Enterprise Ltd\\nIBAN IE29 AIBK 9311 5212 3456 78\\nBIC AIBKIE2D"
    settings.SUPPORT_EMAIL = "billing@sora2.example"
    desk = make_desk()
    BillingDetails.objects.update(address="1 Roadrunner Way\nAlbuquerque, NM 87101", tax_id="85-1234567")
    return desk


def drafted(desk: Desk, *lines: Line, tax: int = 0, currency: str = "USD", **given: Any) -> Invoice:
    """Draft an invoice, of the prepaid package where no lines are given."""
    rows = lines or (PACKAGE,)
    subtotal = sum(amount for *_, amount in rows)
    fields = {
        "credits": sum(credits for _, credits, *_ in rows),
        "subtotal_cents": subtotal,
        "tax_cents": tax,
        "total_cents": subtotal + tax,
        "purchase_order": "PO-4711",
        **given,
    }
    invoice = desk.draft(lines=[(description, credits, cents) for description, credits, _, cents in rows], **fields)
    with as_owner():
        for position, (_, _, unit_micros, _) in enumerate(rows, start=1):
            invoice.lines.filter(position=position).update(unit_micros=unit_micros)
        Invoice.objects.filter(pk=invoice.pk).update(currency=currency)
    invoice.currency = currency
    return invoice


def sent(desk: Desk, *lines: Line, **given: Any) -> Invoice:
    """Draft and send an invoice."""
    return send_invoice(invoice=drafted(desk, *lines, **given), by=desk.ann, now=NOW)


def usage_invoice(desk: Desk) -> Invoice:
    """Send an invoice of what was used in a month: its last line takes off what was paid before."""
    used: tuple[Line, ...] = (
        ("Credits used, prepaid by INV-2026-0001 of 2026-09-12", 8_148, 49_020, 39_941),
        ("Credits used, promotional, of 2026-09-01: pilot", 500, 0, 0),
        ("Prepaid: taken off", 0, 0, -39_941),
    )
    note = "Credits used in October 2026 (UTC). They were paid before: nothing is due."
    return sent(desk, *used, **{**USAGE, "note": note, "terms_days": 0})


def credit_note(desk: Desk, corrected: Invoice, cents: int, *, credits: int = 0) -> Invoice:
    """Draft and send a credit note."""
    return send_credit_note(note=desk.note(corrected, cents, credits=credits), by=desk.cat, now=NOW)
