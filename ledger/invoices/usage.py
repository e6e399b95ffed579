"""Usage invoices: what a customer used in a month, with nothing due, since it was paid before.

They are for customers whose own books want an invoice for each month. What was used is read lot by lot; the last line
takes off what all of it is worth.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from customers.models import User
from ledger.intervals import Month
from ledger.invoices.issuing import send_invoice
from ledger.invoices.models import BillingDetails, Invoice, InvoiceLine
from ledger.models import Wallet
from ledger.packages import LIST_PRICE
from ledger.revenue.wallet_lots import Used, used_in

DESCRIPTION_MAX = 300


def make_usage_invoices(*, wallet: Wallet, month: Month, by: User, now: datetime) -> list[Invoice]:
    """Make and send the usage invoices of a closed month where the customer wants them: one for each currency.

    None where no credit was used. To be called in the caller's transaction. Raises InvoiceError.
    """
    details = BillingDetails.objects.filter(organization=wallet.organization_id, usage_invoices=True).first()
    if details is None:
        return []
    used = _by_currency(used_in(wallet=wallet, month=month))
    return [
        send_invoice(invoice=_draft(details, month, currency, lots, by, now), by=by, now=now)
        for currency, lots in used.items()
    ]


def _by_currency(used: Sequence[Used]) -> Mapping[str, list[Used]]:
    """Return what was used by the currency that it was paid in. Promotional credits stand with the first that is."""
    currencies = [each.lot.currency for each in used if each.lot.paid]
    found: dict[str, list[Used]] = defaultdict(list)
    for each in used:
        found[each.lot.currency or next(iter(currencies), LIST_PRICE.currency)].append(each)
    return found


def _draft(
    details: BillingDetails, month: Month, currency: str, used: Sequence[Used], by: User, now: datetime
) -> Invoice:
    invoice = Invoice.objects.create(
        organization_id=details.organization_id,
        kind=Invoice.Kind.USAGE,
        currency=currency,
        month=month.month,
        purchase_order=details.purchase_order,
        note=f"Credits used in {month.name} (UTC), prepaid or promotional.",
        terms_days=0,
        created_by=by,
        created_at=now,
    )
    lines = [_line(each) for each in used]
    cents = sum(line.amount_cents for line in lines)
    if cents:
        lines.append(InvoiceLine(description="Prepaid: taken off", amount_cents=-cents))
    for position, line in enumerate(lines, start=1):
        line.invoice, line.position = invoice, position
    InvoiceLine.objects.bulk_create(lines)
    return invoice


def _line(used: Used) -> InvoiceLine:
    flow, part = used.lot.flow, used.part
    day = f"{flow.at.astimezone(UTC):%Y-%m-%d}"
    said = f"prepaid by {flow.number or flow.reference} of {day}"
    if not used.lot.paid:
        said = f"promotional, of {day}{f': {flow.reason}' if flow.reason else ''}"
    return InvoiceLine(
        description=f"Credits used, {said}"[:DESCRIPTION_MAX],
        credits=part.credits,
        unit_micros=flow.unit_micros,
        amount_cents=part.cents,
    )
