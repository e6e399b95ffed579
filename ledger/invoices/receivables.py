"""What customers owe: open invoices by how long they are overdue, per customer and in total, per currency."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from io import StringIO
from typing import Any, cast

from django.db.models import Count, Q, Sum

from ledger.exports.csv_copy import guarded_text
from ledger.invoices.amounts import decimal_text
from ledger.invoices.models import Invoice, InvoiceQuerySet

# The columns: what each is called, and from how many days past due it starts.
AGES = (("Not due", None), ("1–30 days", 1), ("31–60 days", 31), ("61–90 days", 61), ("Over 90 days", 91))
COLUMNS = (
    *("organization_id", "organization", "currency", "invoices"),
    *("not_due", "days_1_30", "days_31_60", "days_61_90", "days_over_90", "total"),
)


@dataclass(frozen=True)
class Owed:
    """What one customer owes in one currency, or all of them do: by age as in AGES, and together."""

    organization_id: str
    name: str
    currency: str
    invoices: int
    by_age: tuple[int, ...]

    @property
    def total_cents(self) -> int:
        """Return all that is open."""
        return sum(self.by_age)


@dataclass(frozen=True)
class Receivables:
    """Who owes what, the customers by name; and the sums, a line for each currency."""

    rows: list[Owed]
    totals: list[Owed]


def receivables(invoices: InvoiceQuerySet, *, today: date) -> Receivables:
    """Return what is open of these invoices on a day, by one query."""
    sums = {f"age_{place}": Sum("open_cents", filter=_within(place, today), default=0) for place in range(len(AGES))}
    grouped = (
        invoices.filter(kind=Invoice.Kind.CREDITS, state=Invoice.State.SENT)
        .with_open()
        .order_by()
        .values("organization_id", "organization__name", "currency")
        .annotate(invoices=Count("pk"), **sums)
        .order_by("organization__name", "organization_id", "currency")
    )
    rows = [
        Owed(
            organization_id=row["organization_id"],
            name=row["organization__name"],
            currency=row["currency"],
            invoices=row["invoices"],
            by_age=tuple(int(row[name]) for name in sums),
        )
        for row in cast(Iterable[dict[str, Any]], grouped)
    ]
    return Receivables(rows, _totals(rows))


def csv_of(found: Receivables) -> bytes:
    """Return the customers' lines as CSV, amounts with a point and no thousands."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in found.rows:
        amounts = [decimal_text(cents, row.currency) for cents in (*row.by_age, row.total_cents)]
        writer.writerow([row.organization_id, guarded_text(row.name), row.currency, row.invoices, *amounts])
    return text.getvalue().encode()


def _within(place: int, today: date) -> Q:
    """Return what selects the invoices of a column of AGES."""
    since, until = AGES[place][1], AGES[place + 1][1] if place + 1 < len(AGES) else None
    chosen = Q() if since is None else Q(due_on__lte=today - timedelta(days=since))
    return chosen if until is None else chosen & Q(due_on__gt=today - timedelta(days=until))


def _totals(rows: Iterable[Owed]) -> list[Owed]:
    by_currency: dict[str, list[Owed]] = {}
    for row in rows:
        by_currency.setdefault(row.currency, []).append(row)
    return [
        Owed(
            organization_id="",
            name="All customers",
            currency=currency,
            invoices=sum(row.invoices for row in found),
            by_age=tuple(sum(ages) for ages in zip(*(row.by_age for row in found), strict=True)),
        )
        for currency, found in sorted(by_currency.items())
    ]
