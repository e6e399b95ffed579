"""What the pages of a month show to our finance: its checklist, what is to be done next, and what its run fixed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from customers.naming import names_for_staff
from ledger import closing_lines as lines
from ledger import periods
from ledger.checklists import Line, Standing
from ledger.intervals import Month, month_of
from ledger.models import MonthFile, Period
from ledger.month_run import Progress, progress
from ledger.pages import Part
from ledger.periods import Effect
from ledger.reconciliation import last_run
from ledger.revenue import months as revenue
from ledger.statement_pages import Asked, exported
from sora2.pages import Rows, rows_after

FILES_SHOWN = 100


@dataclass(frozen=True)
class Run:
    """How far the run of a month is, and who asked for the one that is under way or ended last."""

    progress: Progress
    who: str

    @property
    def parts(self) -> list[Part]:
        """Return the parts of its bar."""
        return [Part("made", self.progress.made, "accent")]


@dataclass(frozen=True)
class MonthPage:
    """A month: its checklist, its figures, and the run once it is closed.

    `earlier` says that it lies before the first month that was closed by itself, and so was closed with that one.
    """

    month: Month
    effect: Effect
    lines: list[Line]
    run: Run | None
    is_closed: bool
    is_due: bool
    earlier: bool

    @property
    def check(self) -> Line:
        """Return the line of the check of the books."""
        return next(line for line in self.lines if line.name == lines.CHECKED)

    @property
    def may_be_closed(self) -> bool:
        """Say whether its turn has come, and the books were checked."""
        return self.is_due and self.check.standing in (Standing.DONE, Standing.PARTLY)

    @property
    def next(self) -> Line | None:
        """Return the first line about which something is to be done; None when the month is complete."""
        return next((line for line in self.lines if line.missing), None)

    @property
    def is_wrong(self) -> bool:
        """Say whether something has to be looked into."""
        return any(line.standing == Standing.WRONG for line in self.lines)


@dataclass(frozen=True)
class FilesPage:
    """The files that a month's run has fixed, some at a time, and how far it is."""

    month: Month
    run: Run | None
    page: Rows[MonthFile]

    @property
    def exported(self) -> str:
        """Return the query for the month's entries as a file."""
        return exported(Asked(), self.month)


def month_page(*, month: str, now: datetime) -> MonthPage:
    """Return a month with its checklist. Raises NotAnInterval."""
    wanted = month_of(month)
    effect = periods.effect(month=wanted)
    period = Period.objects.select_related("closed_by").filter(month=month).first()
    is_closed = period is not None or periods.is_closed(month=wanted)
    is_due = not is_closed and wanted == periods.due(now=now)
    run = run_of(month, now=now) if period else None
    found = list(_lines(effect, period, run, is_due=is_due, now=now))
    return MonthPage(
        month=wanted,
        effect=effect,
        lines=[] if is_closed and not period else found,
        run=run,
        is_closed=is_closed,
        is_due=is_due,
        earlier=is_closed and not period,
    )


def files_page(*, month: str, cursor: str, now: datetime) -> FilesPage:
    """Return the files that a month's run has fixed, in the order in which it did. Raises NotAnInterval."""
    wanted = month_of(month)
    files = MonthFile.objects.filter(period=month).select_related("wallet__organization", "usage_invoice")
    closed = Period.objects.filter(month=month).exists()
    run = run_of(month, now=now) if closed else None
    return FilesPage(wanted, run, rows_after(files, key="id", cursor=cursor, size=FILES_SHOWN))


def run_of(month: str, *, now: datetime) -> Run:
    """Return how far the run of a closed month is."""
    found = progress(month=month, now=now)
    event = found.asked or found.ended
    names = names_for_staff([event.actor]) if event else {}
    return Run(found, names.get(event.actor, event.actor) if event else "")


def _lines(effect: Effect, period: Period | None, run: Run | None, *, is_due: bool, now: datetime) -> Iterator[Line]:
    month = effect.month
    yield lines.of_over(month, now)
    yield lines.of_check(month, last_run(), closed=period is not None, now=now)
    yield lines.of_requests(month)
    yield lines.of_reserves(month, effect.reserves, now)
    yield lines.of_revenue(month, revenue.faults_of(month))
    yield lines.of_closing(month, period, is_due=is_due)
    if run:
        yield lines.of_files(month, run.progress)
        yield lines.of_usage_invoices(month, run.progress)
    yield lines.of_seal(lines.sealed_by(month))
