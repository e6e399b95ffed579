"""What the pages of revenue show: the months, and one month by customer."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.urls import reverse

from customers.models import Organization
from ledger.intervals import Month, month_after, month_at, month_before, month_of, months_between
from ledger.periods import is_closed
from ledger.revenue.accounts import Account, accounts
from ledger.revenue.billing import Key
from ledger.revenue.journal import Sum, trial_balance
from ledger.revenue.months import Billed, MonthRevenue, Revenue, Roll, revenue_of

MONTHS_SHOWN = 12
# Customers past these are one row of a month's tables; the journal has all of them.
CUSTOMERS_SHOWN = 200

# The first live entry there is, or the first invoice: nothing came before. Served by credit_ledger_seq_once.
FIRST = """
    SELECT least(
        (SELECT min(e.created_at) FROM ledger_wallet w
         JOIN credit_ledger e ON e.wallet_id = w.id AND e.seq = 1 WHERE w.mode = 'live'),
        (SELECT min(issued_at) FROM ledger_invoice)
    )
"""


@dataclass(frozen=True)
class Row:
    """A line of a table: what it is of, where that leads, its figures, and whether they equal the ledger."""

    label: str
    address: str
    roll: Roll
    faults: int = 0


@dataclass(frozen=True)
class Table:
    """Rows and their sum: money of one currency, or credits where that is empty.

    `opening` and `closing` say where the sum's first and last figure stand, if they are no sums of the rows.
    """

    title: str
    currency: str
    rows: tuple[Row, ...]
    total: Roll
    opening: str = ""
    closing: str = ""


@dataclass(frozen=True)
class MonthList:
    """Some months, newest first, and which months lead to those before and after."""

    months: tuple[Month, ...]
    tables: tuple[Table, ...]
    faults: tuple[str, ...]
    earlier: Month | None
    later: Month | None


@dataclass(frozen=True)
class BilledRow:
    """What happened to a customer's invoices in a month."""

    label: str
    address: str
    currency: str
    billed: Billed


@dataclass(frozen=True)
class JournalRow:
    """What a month's journal books on an account."""

    account: Account
    sum: Sum


@dataclass(frozen=True)
class MonthPage:
    """One month: what it did to each customer's lots, its invoices, and what the journal books."""

    month: Month
    is_closed: bool
    tables: tuple[Table, ...]
    billed: tuple[BilledRow, ...]
    accounts: tuple[JournalRow, ...]
    faults: tuple[str, ...]
    earlier: Month | None
    later: Month | None

    @property
    def sides(self) -> list[Sum]:
        """Return all debits and all credits, by currency."""
        found: dict[str, tuple[int, int]] = {}
        for row in self.accounts:
            debits, credits = found.get(row.sum.currency, (0, 0))
            found[row.sum.currency] = debits + row.sum.debits, credits + row.sum.credits
        return [Sum(self.accounts[0].sum.purpose, currency, *sides) for currency, sides in found.items()]


def month_list(*, until: str, now: datetime) -> MonthList:
    """Return some months up to one (empty: up to now), with their figures. Raises NotAnInterval."""
    last, first = month_at(now), month_at(_first() or now)
    newest = min(month_of(until), last, key=lambda month: month.ends_at) if until else last
    months = months_between(min(first.starts_at, newest.starts_at), newest.starts_at)[-MONTHS_SHOWN:]
    found = revenue_of(months)
    before = month_before(months[0])
    return MonthList(
        months=tuple(reversed(months)),
        tables=tuple(_by_month(found)),
        faults=(*found.faults, *(fault for each in found.months for fault in each.faults)),
        earlier=before if before and first.starts_at < months[0].starts_at else None,
        later=_steps_after(newest, last) if newest != last else None,
    )


def month_page(*, month: Month, now: datetime) -> MonthPage:
    """Return what a page of one month shows."""
    found = revenue_of([month])
    (of_month,) = found.months
    names = Organization.objects.in_bulk({key.organization_id for key in (*of_month.rolls, *of_month.billed)})
    known, after = accounts(), month_after(month)
    return MonthPage(
        month=month,
        is_closed=is_closed(month=month),
        tables=tuple(_by_customer(of_month, names)),
        billed=tuple(_billed_rows(of_month.billed, names)),
        accounts=tuple(JournalRow(known[each.purpose], each) for each in trial_balance(found.journal)),
        faults=(*found.faults, *of_month.faults),
        earlier=month_before(month),
        later=after if after and after.starts_at <= now else None,
    )


def lots_address(organization_id: str) -> str:
    """Return where a customer's lots are shown."""
    return reverse("admin:revenue_lots", args=[organization_id])


def month_address(month: Month) -> str:
    """Return where a month's revenue is shown."""
    return reverse("admin:revenue_month", args=[month.month])


def _first() -> datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(FIRST)
        first: datetime | None = cursor.fetchone()[0]
    return first


def _steps_after(month: Month, last: Month) -> Month:
    found = month
    for _ in range(MONTHS_SHOWN):
        found = month_after(found) or found
    return min(found, last, key=lambda each: each.ends_at)


def _titles(rolls: Iterable[Mapping[Key, Roll]]) -> list[tuple[str, str, bool]]:
    """Return which tables there are: one of money for each currency, and one for each kind of credits."""
    currencies = sorted({key.currency for each in rolls for key in each})
    money = [(f"Deferred revenue, {currency}", currency, True) for currency in currencies if currency]
    paid = [("Credits that were paid for", "", True)] if money else []
    return [*money, *paid, *([("Promotional credits", "", False)] if "" in currencies else [])]


def _chosen(rolls: Mapping[Key, Roll], currency: str, paid: bool) -> Iterable[tuple[Key, Roll]]:
    """Return what belongs into a table: paid credits are those of all currencies."""
    return (
        (key, roll)
        for key, roll in rolls.items()
        if (key.currency == currency if currency else bool(key.currency) == paid)
    )


def _by_month(found: Revenue) -> Iterable[Table]:
    months = list(reversed(found.months))
    for title, currency, paid in _titles(each.rolls for each in months):
        rows = [
            Row(
                each.month.name,
                month_address(each.month),
                _sum(roll for _, roll in _chosen(each.rolls, currency, paid)),
                faults=len(each.faults),
            )
            for each in months
        ]
        moved = _sum(row.roll for row in rows)
        total = Roll(rows[-1].roll.opening, moved.granted, moved.recognized, moved.withdrawn, rows[0].roll.closing)
        yield Table(title, currency, tuple(rows), total, opening=rows[-1].address, closing=rows[0].address)


def _by_customer(of_month: MonthRevenue, names: Mapping[str, Organization]) -> Iterable[Table]:
    for title, currency, paid in _titles([of_month.rolls]):
        by_customer: dict[str, Roll] = defaultdict(Roll)
        for key, roll in _chosen(of_month.rolls, currency, paid):
            by_customer[key.organization_id] += roll
        rows = sorted(
            (Row(str(names[pk]), lots_address(pk), roll) for pk, roll in by_customer.items()),
            key=lambda row: row.label.lower(),
        )
        shown, rest = rows[:CUSTOMERS_SHOWN], rows[CUSTOMERS_SHOWN:]
        if rest:
            journal = reverse("admin:revenue_journal_csv", args=[of_month.month.month])
            shown.append(Row(f"{len(rest):,} more: in the journal", journal, _sum(row.roll for row in rest)))
        yield Table(title, currency, tuple(shown), _sum(row.roll for row in rows))


def _billed_rows(billed: Mapping[Key, Billed], names: Mapping[str, Organization]) -> list[BilledRow]:
    rows = [
        BilledRow(str(names[key.organization_id]), lots_address(key.organization_id), key.currency, each)
        for key, each in billed.items()
    ]
    return sorted(rows, key=lambda row: (row.currency, row.label.lower()))[:CUSTOMERS_SHOWN]


def _sum(rolls: Iterable[Roll]) -> Roll:
    return sum(rolls, Roll())
