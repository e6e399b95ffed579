"""The lines of the checklist that closes a month: each what has to be so, how it stands, and where to look.

`missing` of a line says what is to be done next about it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Sum
from django.urls import reverse

from ledger.checklists import Line, Row, Standing, counted
from ledger.closing import check_fault
from ledger.intervals import Month
from ledger.models import CreditRequest, Period, ReconciliationRun
from ledger.month_run import Progress
from ledger.periods import HeldReserve
from ledger.reconciliation import is_overdue

CHECKED = "The books are checked"
# More faults than these are counted, not listed.
FAULTS_LISTED = 20
# The wallets with an entry up to a month's end, and those of them that a seal over that entry or a later one is over.
# Two look-ups for each: credit_ledger_seq_once and ledger_sealleaf_once.
SEALED = """
    SELECT count(*), count(*) FILTER (WHERE l.seq >= b.through), max(l.seal_id)
    FROM ledger_wallet w
    CROSS JOIN LATERAL (SELECT ledger_seq_before(w.id, %s) AS through OFFSET 0) b
    LEFT JOIN LATERAL (
        SELECT seq, seal_id FROM ledger_sealleaf WHERE wallet_id = w.id ORDER BY seal_id DESC LIMIT 1
    ) l ON true
    WHERE b.through > 0
"""


@dataclass(frozen=True)
class Sealed:
    """How many wallets have an entry up to a month's end, and over how many of these entries there is a seal."""

    wallets: int
    sealed: int
    last: int | None


def of_over(month: Month, now: datetime) -> Line:
    """Return whether the month is over."""
    ends = f"{month.ends_at:%Y-%m-%d %H:%M} UTC"
    if now >= month.ends_at:
        return Line("The month is over", Standing.DONE, f"It ended at {ends}.")
    missing = f"wait until {ends}: then {month.name} can be closed"
    return Line("The month is over", Standing.WAITING, f"It ends at {ends}.", missing=missing)


def of_check(month: Month, run: ReconciliationRun | None, *, closed: bool, now: datetime) -> Line:
    """Return whether the last check over all books ran after the month's end and found nothing."""
    name = CHECKED
    address = reverse("admin:check_detail", args=[run.pk]) if run else reverse("admin:index")
    fault = check_fault(run, month=month)
    if run is None or fault:
        if run and not run.explained:
            missing = "look into what the last check of the books found: each row says what to do"
            return Line(name, Standing.WRONG, fault, address, missing)
        return Line(name, Standing.WAITING, fault, address, "check the books, by Check now on the home page")
    says = f"Checked {run.started_at:%Y-%m-%d %H:%M} UTC, after the month's end: nothing unexplained."
    if not closed and is_overdue(run, now=now):
        missing = "check the books again, by Check now on the home page"
        return Line(name, Standing.PARTLY, f"{says} The next check is overdue.", address, missing)
    return Line(name, Standing.DONE, says, address)


def of_requests(month: Month) -> Line:
    """Return whether a request for credits of the month still waits: to be known before it is closed."""
    name, address = "No request for credits waits", reverse("admin:credit_requests")
    # Served by ledger_creditrequest_open.
    waiting = CreditRequest.objects.filter(state=CreditRequest.State.REQUESTED, requested_at__lt=month.ends_at)
    found = waiting.aggregate(credits=Sum("amount", default=0))
    count = waiting.count()
    if not count:
        return Line(name, Standing.DONE, "All of the month are decided.", address)
    says = (
        f"{counted(count, 'request')} from before its end, of {int(found['credits']):,} credits: what is approved "
        "from now on is an entry of a later month."
    )
    return Line(name, Standing.PARTLY, says, address)


def of_reserves(month: Month, reserves: Sequence[HeldReserve], now: datetime) -> Line:
    """Return what was held at the month's end: it is settled or refunded in a later month."""
    name = "Open reserves are listed"
    credits = sum(each.reserve.credits for each in reserves)
    when = "at its end" if now >= month.ends_at else "so far"
    says = f"{counted(len(reserves), 'batch')} with {credits:,} credits {when}." if reserves else f"None {when}."
    return Line(name, Standing.DONE if now >= month.ends_at else Standing.WAITING, says, "#reserves")


def of_revenue(month: Month, faults: Sequence[str]) -> Line:
    """Return whether lots, deferred and recognized revenue of the month agree with the ledger and the invoices."""
    name, address = "Revenue adds up", reverse("admin:revenue_month", args=[month.month])
    if not faults:
        return Line(name, Standing.DONE, "Its lots come to what the ledger and the invoices say.", address)
    rows = [Row("", "", fault) for fault in faults[:FAULTS_LISTED]]
    says = f"{counted(len(faults), 'difference')} from the ledger and the invoices."
    missing = "look into the revenue, which does not agree with the ledger"
    return Line(name, Standing.WRONG, says, address, missing, rows, len(faults) - len(rows))


def of_closing(month: Month, period: Period | None, *, is_due: bool) -> Line:
    """Return whether the month is closed."""
    name = "The month is closed"
    if period is not None:
        who = f" by {period.closed_by}" if period.closed_by else ""
        says = f"Closed {period.closed_at:%Y-%m-%d %H:%M} UTC{who}: no entry is dated into it any more."
        return Line(name, Standing.DONE, says, "#totals")
    missing = f"close {month.name}" if is_due else "close the months before it first: they close in order"
    return Line(name, Standing.WAITING, "Not yet.", "#close" if is_due else reverse("admin:period_list"), missing)


def of_files(month: Month, progress: Progress) -> Line:
    """Return of how many customers statement and CSV are made, with their hashes kept."""
    name = "Exports are fixed"
    says = f"Statement and ledger CSV of {progress.made:,} of {counted(progress.customers, 'customer')}, hashes kept."
    return _of_run(name, progress.made, progress.customers, says, month, progress)


def of_usage_invoices(month: Month, progress: Progress) -> Line:
    """Return how many usage invoices are made of those that are wanted."""
    name = "Usage invoices are made where wanted"
    says = f"{progress.invoices:,} of {progress.wanted:,}." if progress.wanted else "None is wanted."
    return _of_run(name, progress.invoices, progress.wanted, says, month, progress)


def of_seal(sealed: Sealed) -> Line:
    """Return whether a seal is over every wallet's last entry of the month."""
    name, address = "Every wallet's last entry is sealed", reverse("admin:seal_list")
    says = f"{sealed.sealed:,} of {counted(sealed.wallets, 'wallet')}"
    if sealed.sealed == sealed.wallets:
        by = f", the last by seal {sealed.last:,}" if sealed.last else ""
        return Line(name, Standing.DONE, f"{says}{by}.", address)
    missing = "wait for the seal, which is made every hour, or run manage.py seal_ledger"
    return Line(name, _begun(sealed.sealed), f"{says}.", address, missing)


def sealed_by(month: Month) -> Sealed:
    """Return how many wallets' last entries of a month are sealed."""
    with connection.cursor() as cursor:
        cursor.execute(SEALED, [month.ends_at])
        return Sealed(*cursor.fetchone())


def _of_run(name: str, made: int, wanted: int, says: str, month: Month, progress: Progress) -> Line:
    if made == wanted:
        return Line(name, Standing.DONE, says, reverse("admin:period_files", args=[month.month]))
    missing = "wait for the run, which is under way" if progress.asked else "make the files"
    return Line(name, _begun(made), says, "#run", missing)


def _begun(count: int) -> Standing:
    return Standing.PARTLY if count else Standing.WAITING
