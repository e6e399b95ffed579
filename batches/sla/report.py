"""What was promised to a customer under contract, and what was kept: availability, and refunds, month by month (UTC).

A pilot is promised no such thing, and has no report: here is the only place that asks for a contract.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.http import Http404
from django.shortcuts import get_object_or_404

from batches.sla.availability import (
    Availability,
    Downtime,
    Window,
    allowed_down,
    availability_of,
    downtimes_of,
    judged_until,
    measured_since,
    percent_of,
)
from batches.sla.models import MINUTE, minute_of
from customers.access import Access
from customers.models import Organization
from customers.plans import enterprises
from ledger.intervals import Month, month_after, month_at, month_before, month_of
from sora2.pages import Rows, rows_after

MONTHS_BEFORE = 12
CUSTOMERS_SHOWN = 50

# Of each customer and window: its live batches that ended there. Served by batches_batch_by_end; what failed and was
# not refunded by batches_item_unrefunded, which holds next to nothing.
SERVED = """
    WITH unrefunded AS (
        SELECT b.organization_id, b.finished_at, count(*) AS items
        FROM batches_item i JOIN batches_batch b ON b.id = i.batch_id
        WHERE i.status = 'failed' AND b.mode = 'live' AND b.finished_at IS NOT NULL
          AND b.organization_id = ANY(%(customers)s)
        GROUP BY b.organization_id, b.finished_at
    )
    SELECT ended.batches, ended.items, ended.succeeded, ended.failed, ended.refunded,
           (SELECT coalesce(sum(u.items), 0)::bigint FROM unrefunded u
            WHERE u.organization_id = w.customer AND u.finished_at >= w.starts_at AND u.finished_at < w.ends_at)
    FROM unnest(%(customers)s::text[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
         WITH ORDINALITY w (customer, starts_at, ends_at, number)
    CROSS JOIN LATERAL (
        SELECT count(*) AS batches, coalesce(sum(b.total), 0)::bigint AS items,
               coalesce(sum(b.succeeded), 0)::bigint AS succeeded, coalesce(sum(b.failed), 0)::bigint AS failed,
               coalesce(sum(b.refunded), 0)::bigint AS refunded
        FROM batches_batch b
        WHERE b.organization_id = w.customer AND b.mode = 'live' AND b.finished_at IS NOT NULL
          AND b.finished_at >= w.starts_at AND b.finished_at < w.ends_at
    ) ended
    ORDER BY w.number
"""


@dataclass(frozen=True)
class Served:
    """A customer's live batches that ended in a stretch of time; those that are open are not among them."""

    batches: int
    items: int
    succeeded: int
    failed: int
    credits: int
    unrefunded: int

    @property
    def refunded(self) -> int:
        """Return how many of the failed items were refunded."""
        return self.failed - self.unrefunded

    @property
    def coverage(self) -> str:
        """Return how many percent that is, rounded down; a dash where nothing failed."""
        return percent_of(self.refunded, self.failed)

    @property
    def is_met(self) -> bool:
        """Say whether everything that failed was refunded."""
        return not self.unrefunded


@dataclass(frozen=True)
class Report:
    """A customer's month. It is counted from `counted_from` on, and may be down for `allowed` minutes of the whole.

    `is_over` says that every minute of it is judged: then nothing of it changes any more.
    """

    organization: Organization
    month: Month
    counted_from: datetime
    is_over: bool
    measured: Availability
    downtimes: list[Downtime]
    allowed: int
    served: Served
    earlier: Month | None
    later: Month | None


@dataclass(frozen=True)
class MonthOfService:
    """A month of the whole service."""

    month: Month
    measured: Availability


@dataclass(frozen=True)
class MonthOfCustomer:
    """A customer's current month."""

    organization: Organization
    measured: Availability
    served: Served


@dataclass(frozen=True)
class Overview:
    """The service by month, newest first, and some customers under contract with their current month."""

    since: datetime | None
    month: Month
    months: list[MonthOfService]
    customers: list[MonthOfCustomer]
    page: Rows[Organization]


def report(access: Access, *, organization_id: str, month: str, now: datetime) -> Report:
    """Return the report of a month such as 2026-10, else of the current one, for a customer under contract.

    Raises Http404 for a customer that somebody does not reach or that has no contract, and for a month in which it had
    none; NotAnInterval for what is no month.
    """
    organization = get_object_or_404(enterprises(access), pk=organization_id)
    current = month_at(now)
    wanted = month_of(month) if month else current
    began = _first_minute(organization)
    if not month_at(began).starts_at <= wanted.starts_at <= current.starts_at:
        raise Http404
    since = measured_since()
    counted = _counted(wanted, began, since, now)
    [measured] = availability_of([counted])
    [served] = _served([organization], [Window(max(wanted.starts_at, began), wanted.ends_at)])
    return Report(
        organization=organization,
        month=wanted,
        counted_from=counted.starts_at,
        is_over=judged_until(now) >= wanted.ends_at,
        measured=measured,
        downtimes=downtimes_of(measured),
        allowed=allowed_down(Window(counted.starts_at, wanted.ends_at).minutes),
        served=served,
        earlier=month_before(wanted) if began < wanted.starts_at else None,
        later=month_after(wanted) if wanted.starts_at < current.starts_at else None,
    )


def overview(access: Access, *, cursor: str, now: datetime) -> Overview:
    """Return the service by month, and the current month of each customer under contract that somebody reaches."""
    since, current = measured_since(), month_at(now)
    page = rows_after(enterprises(access), key="-id", cursor=cursor, size=CUSTOMERS_SHOWN)
    months = _months(current, since)
    of_months = [_counted(month, month.starts_at, since, now) for month in months]
    began = [_first_minute(each) for each in page.rows]
    of_customers = [_counted(current, each, since, now) for each in began]
    # Most of them were under contract before the month began: what is the same is measured once.
    distinct = list(dict.fromkeys([*of_months, *of_customers]))
    measured = dict(zip(distinct, availability_of(distinct), strict=True))
    served = _served(page.rows, [Window(max(current.starts_at, each), current.ends_at) for each in began])
    return Overview(
        since=since,
        month=current,
        months=[MonthOfService(month, measured[window]) for month, window in zip(months, of_months, strict=True)],
        customers=[
            MonthOfCustomer(organization, measured[window], each)
            for organization, window, each in zip(page.rows, of_customers, served, strict=True)
        ],
        page=page,
    )


def _first_minute(organization: Organization) -> datetime:
    """Return the first whole minute of a customer's contract."""
    began: datetime = organization.under_contract_since  # type: ignore[attr-defined]
    minute = minute_of(began)
    return minute if minute == began else minute + MINUTE


def _counted(month: Month, began: datetime, since: datetime | None, now: datetime) -> Window:
    """Return the minutes of a month that count for who was promised something from `began` on."""
    first = min(max(month.starts_at, began, since or month.ends_at), month.ends_at)
    return Window(first, max(first, min(month.ends_at, judged_until(now))))


def _months(current: Month, since: datetime | None) -> list[Month]:
    """Return the current month and those before it in which something was measured, newest first."""
    months: list[Month] = []
    month: Month | None = current
    while month is not None and len(months) <= MONTHS_BEFORE:
        months.append(month)
        month = month_before(month) if since and since < month.starts_at else None
    return months


def _served(organizations: Sequence[Organization], windows: Sequence[Window]) -> list[Served]:
    """Return what of each customer ended in its window, with one query."""
    if not organizations:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            SERVED,
            {
                "customers": [each.pk for each in organizations],
                "starts": [window.starts_at for window in windows],
                "ends": [window.ends_at for window in windows],
            },
        )
        return [Served(*row) for row in cursor.fetchall()]
