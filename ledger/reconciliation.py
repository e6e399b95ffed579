"""Reconciliation: every invariant is one SQL view that must return no row. Here they are read, and a run is kept.

Runs are kept for ever: each is a record of what was true at a moment, and a year of clean ones, every five minutes,
takes some 25 MB.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from customers.models import Mode
from ledger.models import Entry, ReconciliationRun, Wallet

# More rows than this of one invariant are counted, not listed.
LISTED = 100
# No view takes as long; a query that outlives its client ends here, and its lock with it.
STATEMENT_MINUTES = 30
# One check may be late, and the next may take its turn; after that nobody checks.
OVERDUE_TURNS = 3

# The view is planned and read once, as a whole: with LIMIT alone, it would be planned for its first rows.
BROKEN = """
    WITH broken AS MATERIALIZED (SELECT subject, detail FROM {view})
    SELECT subject, detail, (SELECT count(*) FROM broken) FROM broken ORDER BY subject, detail LIMIT %s
"""


class UnderWay(Exception):
    """Another check is reading the books; two at once would only slow each other."""


@dataclass(frozen=True)
class Invariant:
    """A promise, and the view that returns the rows that break it."""

    view: str
    promise: str


@dataclass(frozen=True)
class Discrepancy:
    """One row that breaks a promise: its id, and a sentence that says how."""

    invariant: str
    promise: str
    subject: str
    detail: str


@dataclass(frozen=True)
class Findings:
    """The rows that break promises: by the view's name how many, and of each at most 100, the oldest."""

    counts: Mapping[str, int]
    listed: list[Discrepancy]


@dataclass(frozen=True)
class Extent:
    """How much was checked: numbers of rows, and the credits of the live wallets."""

    batches: int
    items: int
    entries: int
    figures: Mapping[str, int]


INVARIANTS = (
    Invariant("invariant_wallet_equals_entries", "A wallet's figures are the sum of its entries."),
    Invariant("invariant_wallet_equals_last_entry", "A wallet's figures are those after its last entry."),
    Invariant("invariant_chain_intact", "Entries are numbered without gaps, dated in order, and chained."),
    Invariant("invariant_entry_fits_hash", "An entry is what its hash was made of."),
    Invariant("invariant_entries_add_up", "The balances after an entry follow from those before it."),
    Invariant(
        "invariant_entry_has_request",
        "Each grant and adjustment has its approved request, and each of those its entry.",
    ),
    Invariant("invariant_closed_periods", "A closed month stays as it was when it was closed."),
    Invariant("invariant_seals_hold", "What was sealed is still in the books."),
    Invariant("invariant_day_figures", "The figures of a day are the sums of its entries."),
    Invariant("invariant_invoice_numbers", "Invoices are numbered without gaps, in the order of their issue."),
    Invariant("invariant_invoice_lines", "What was sent asks for what its lines come to."),
    Invariant("invariant_invoice_paid", "Paid is what has nothing open; nobody paid more, or was credited more."),
    Invariant("invariant_invoice_credits", "Each paid invoice has its grant, and each such grant its invoice."),
)


@contextlib.contextmanager
def at_one_moment() -> Iterator[None]:
    """See all data as of one moment, read-only: what is posted meanwhile would look like a difference.

    Inside of a caller's transaction it is that one's view of the data.
    """
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


@contextlib.contextmanager
def books_at_one_moment() -> Iterator[None]:
    """See all data as of one moment, read-only, as the only check that does. Raises UnderWay.

    Inside of a caller's transaction it is that one's view of the data. The lock is the transaction's: it ends with it,
    also when the process is killed.
    """
    is_outermost = not connection.in_atomic_block
    with at_one_moment(), connection.cursor() as cursor:
        if is_outermost:
            cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_MINUTES}min'")
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('ledger_reconciliation'))")
        if cursor.fetchone() != (True,):
            raise UnderWay
        yield


def check(invariants: Iterable[Invariant]) -> Findings:
    """Read the view of each invariant once; return the rows that break it."""
    counts: dict[str, int] = {}
    listed: list[Discrepancy] = []
    with connection.cursor() as cursor:
        for invariant in invariants:
            cursor.execute(BROKEN.format(view=invariant.view), [LISTED])
            for subject, detail, count in cursor.fetchall():
                counts[invariant.view] = count
                listed.append(Discrepancy(invariant.view, invariant.promise, subject, detail))
    return Findings(counts, listed)


def discrepancies(invariants: Iterable[Invariant]) -> list[Discrepancy]:
    """Return the rows that break one of the invariants, at most 100 of each."""
    return check(invariants).listed


def live_figures() -> dict[str, int]:
    """Return funded, available, reserved and settled of all live wallets together."""
    figures = ("funded", "available", "reserved", "settled")
    sums = Wallet.objects.filter(mode=Mode.LIVE).aggregate(**{name: Sum(name, default=0) for name in figures})
    return {name: int(sums[name]) for name in figures}


def extent(*, batches: int, items: int) -> Extent:
    """Return how much there is to check, of which only `batches` know the first two."""
    return Extent(batches=batches, items=items, entries=Entry.objects.count(), figures=live_figures())


def keep_run(*, started_at: datetime, extent: Extent, findings: Findings) -> ReconciliationRun:
    """Store what a check over all data found."""
    return ReconciliationRun.objects.create(
        started_at=started_at,
        finished_at=timezone.now(),
        **asdict(extent),
        counts=findings.counts,
        discrepancies=[asdict(discrepancy) for discrepancy in findings.listed],
    )


def last_run() -> ReconciliationRun | None:
    """Return the last check over everything."""
    return ReconciliationRun.objects.order_by("-started_at").first()


def is_overdue(run: ReconciliationRun, *, now: datetime) -> bool:
    """Say whether a check should have followed this one long ago."""
    return now - run.finished_at > OVERDUE_TURNS * timedelta(seconds=settings.RECONCILE_SECONDS)
