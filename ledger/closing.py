"""Closing a month as people do it: only over books that were checked after its end and found right.

ledger.periods closes without asking; pages and commands call this.
"""

from datetime import UTC, datetime

from customers.access import Permission
from customers.models import User
from customers.services import audit
from ledger import periods
from ledger.checklists import counted
from ledger.intervals import Month, month_of
from ledger.models import Period, ReconciliationRun
from ledger.periods import NotClosed
from ledger.reconciliation import last_run


class NotReconciled(NotClosed):
    """The books were not checked after the month's end, or the last check has found something."""

    code = "not_reconciled"


def close_month(*, month: str, closed_by: User, now: datetime) -> Period:
    """Close a month such as 2026-10: no entry is dated into it any more.

    Raises NotReconciled, and what close_period raises; the audit log keeps each refusal.
    """
    wanted = month_of(month)
    if wanted.ends_at <= now and not periods.is_closed(month=wanted):
        fault = check_fault(last_run(), month=wanted)
        if fault:
            audit(actor=closed_by.pk, action="period.close", subject=month, outcome=NotReconciled.code)
            raise NotReconciled(f"{fault} {CHECK}")
    return periods.close_period(month=month, closed_by=closed_by, now=now)


def closer_named(username: str) -> User | None:
    """Return somebody who may close months, by their login."""
    user = User.objects.filter(username=username, is_active=True).first()
    return user if user and user.access().may(Permission.PERIODS_CLOSE) else None


NO_CLOSER = "{!r} is no member of our finance: a role that may close months is needed."
# What to do about a check that is missing or found something.
CHECK = "Check them on the home page or with manage.py reconcile; when nothing is unexplained, close the month."


def check_fault(run: ReconciliationRun | None, *, month: Month) -> str:
    """Say why a month must not be closed after this check of the books; the empty text when it may be."""
    if run is None:
        return "The books have not been checked yet."
    at = f"{run.started_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if not run.explained:
        found = sum(run.counts.values()) or len(run.discrepancies)
        return f"The last check of the books, of {at}, found {counted(found, 'discrepancy', 'discrepancies')}."
    if run.started_at < month.ends_at:
        return f"The last check of the books is of {at}, from before the end of {month.name}."
    return ""
