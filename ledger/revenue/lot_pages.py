"""What the page of a customer's lots shows: each lot with what was used of it and what is left, and that by month."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.shortcuts import get_object_or_404
from django.urls import reverse

from customers.access import Access
from customers.models import Mode, Organization
from ledger.intervals import Month, month_at, months_between
from ledger.invoices.amounts import unit_price
from ledger.models import CreditRequest, Entry
from ledger.revenue.lots import NOTHING, Flow, Lot, Mark, Part
from ledger.revenue.months import faults_at
from ledger.revenue.wallet_lots import WalletLots, lots_of
from sora2.ids import is_id

# How many months are told apart; what came before is one.
MONTHS_SHOWN = 12
Basis = CreditRequest.Basis


@dataclass(frozen=True)
class LotRow:
    """A lot: where it came from and where that leads, what a credit of it cost, and what became of it."""

    label: str
    address: str
    lot: Lot
    unit: str
    used: Part
    withdrawn: Part


@dataclass(frozen=True)
class LotSum:
    """All lots, or those that were paid in one currency, together."""

    currency: str
    came: Part
    used: Part
    withdrawn: Part
    left: Part


@dataclass(frozen=True)
class MonthRow:
    """What a month took of a lot."""

    month: str
    row: LotRow
    used: Part
    withdrawn: Part


@dataclass(frozen=True)
class LotsPage:
    """The lots of a customer's live wallet, in the order in which they are used, and what the ledger says it holds."""

    organization: Organization
    rows: tuple[LotRow, ...]
    total: LotSum
    paid: tuple[LotRow, ...]
    sums: tuple[LotSum, ...]
    months: tuple[MonthRow, ...]
    mark: Mark | None
    faults: tuple[str, ...]


def lots_page(access: Access, *, organization_id: str, now: datetime) -> LotsPage:
    """Return what the page shows of a customer, as of now. Raises Http404 for one that somebody does not reach."""
    organization = get_object_or_404(Organization.objects.within(access), pk=organization_id)
    months = _months_until(month_at(now))
    found = lots_of(months=months, wallets=organization.wallets.filter(mode=Mode.LIVE))
    wallet = found[0] if found else WalletLots("", organization.pk, (), (), 0)
    rows = tuple(_row(lot) for lot in wallet.lots)
    currencies = sorted({lot.currency for lot in wallet.lots if lot.paid})
    return LotsPage(
        organization=organization,
        rows=rows,
        total=_sum(rows, ""),
        paid=tuple(row for row in rows if row.lot.paid),
        sums=tuple(_sum([row for row in rows if row.lot.currency == each], each) for each in currencies),
        months=tuple(_by_month(months, rows)),
        mark=wallet.marks[-1] if wallet.marks else None,
        faults=tuple(faults_at(wallet, months[-1].month)),
    )


def _months_until(last: Month) -> list[Month]:
    year, month = divmod(last.starts_at.year * 12 + last.starts_at.month - MONTHS_SHOWN, 12)
    return months_between(last.starts_at.replace(year=year, month=month + 1), last.starts_at)


def _row(lot: Lot) -> LotRow:
    flow = lot.flow
    invoice = flow.reference if flow.number else ""
    address = reverse("admin:invoice", args=[invoice]) if invoice else reverse("admin:entry", args=[flow.entry_id])
    unit = unit_price(flow.unit_micros, flow.currency) if lot.paid else ""
    return LotRow(_label(flow), address, lot, unit, lot.used(), lot.withdrawn())


def _label(flow: Flow) -> str:
    if flow.number:
        return f"Invoice {flow.number}"
    if flow.basis == Basis.PILOT:
        return "Pilot, promotional"
    if flow.kind == Entry.Kind.ADJUSTMENT_IN:
        return "Adjustment of two people"
    if not flow.cents:
        return "Two people, promotional"
    # Without a reference of its own a grant has that of its request.
    return "Two people, paid" if is_id(flow.reference, "crq") else f"Two people: {flow.reference}"


def _sum(rows: Iterable[LotRow], currency: str) -> LotSum:
    came = used = withdrawn = left = NOTHING
    for row in rows:
        came += Part(row.lot.flow.credits, row.lot.flow.cents)
        used, withdrawn, left = used + row.used, withdrawn + row.withdrawn, left + row.lot.remaining
    return LotSum(currency, came, used, withdrawn, left)


def _by_month(months: list[Month], rows: Iterable[LotRow]) -> Iterable[MonthRow]:
    """Yield what each month took of which lot, newest first; what came before them is the last."""
    rows = list(rows)
    names = [*((month.month, month.name) for month in reversed(months)), ("", f"Before {months[0].name}")]
    for month, name in names:
        for row in rows:
            used, withdrawn = row.lot.used(month), row.lot.withdrawn(month)
            if used.credits or withdrawn.credits:
                yield MonthRow(name, row, used, withdrawn)
