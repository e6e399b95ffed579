"""Reconciliation: every invariant is one SQL view that must return no row. Here they are read, and a run is kept."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import connection
from django.utils import timezone

from ledger.models import Entry, ReconciliationRun

# More rows than this of one invariant are counted, not listed.
LISTED = 100


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


INVARIANTS = (
    Invariant("invariant_wallet_equals_entries", "A wallet's figures are the sum of its entries."),
    Invariant("invariant_wallet_equals_last_entry", "A wallet's figures are those after its last entry."),
    Invariant("invariant_chain_intact", "Entries are numbered without gaps, dated in order, sealed and chained."),
    Invariant("invariant_entries_add_up", "The balances after an entry follow from those before it."),
    Invariant(
        "invariant_entry_has_request",
        "Each grant and adjustment has its approved request, and each of those its entry.",
    ),
    Invariant("invariant_closed_periods", "A closed month stays as it was when it was closed."),
    Invariant("invariant_seals_hold", "What was sealed is still in the books."),
)


def discrepancies(invariants: Iterable[Invariant]) -> list[Discrepancy]:
    """Return every row that breaks one of the invariants, at most 100 of each."""
    return [found for invariant in invariants for found in _rows(invariant)]


def keep_run(*, started_at: datetime, batches: int, found: list[Discrepancy]) -> ReconciliationRun:
    """Store what a check over all data found."""
    return ReconciliationRun.objects.create(
        started_at=started_at,
        finished_at=timezone.now(),
        batches=batches,
        entries=Entry.objects.count(),
        discrepancies=[asdict(discrepancy) for discrepancy in found],
    )


def _rows(invariant: Invariant) -> list[Discrepancy]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT subject, detail FROM {invariant.view} LIMIT %s", [LISTED])  # noqa: S608 - our own name.
        return [Discrepancy(invariant.view, invariant.promise, *row) for row in cursor.fetchall()]
