"""What reconciliation found, as somebody reaches it: the last check for home, all of them, and one in full."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Func, IntegerField
from django.shortcuts import get_object_or_404

from batches.finding import Place, places
from batches.reconciliation import INVARIANTS
from customers.access import Access
from ledger.days import extent_before
from ledger.models import ReconciliationRun
from ledger.pages import Equation, funded
from ledger.reconciliation import LISTED
from sora2.pages import Rows, rows_after

RUNS_SHOWN = 50
# One check may be late, and the next may take its turn; after that nobody checks.
OVERDUE_TURNS = 3

NOWHERE = Place(address="", who="")

# What our finance does about a row, by the view that found it. Where none is named, somebody went past the triggers.
REWRITTEN = (
    "Ask operators who changed the books. Compare with the proof that the customer has. Pay and invoice nothing of it."
)
DISAGREES = (
    "Compare the batch's entries, items and proof. Once it is clear who is owed what, ask for an adjustment naming it."
)
INCOMPLETE = (
    "Tell operators. The charge stands only if the customer has the video: else ask for goodwill that names it."
)
UNTOLD = "No credit is touched. Redeliver the webhook, or ask support to."
FIGURES = "No credit is touched, but home's days are not to be trusted. Operators have the figures of days made anew."
INVOICED = "Ask operators who changed the invoice. Compare it with the paper that the customer has, and with the bank."
REMEDIES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("invariant_batch_credits", "invariant_batch_items", "invariant_batch_has_items"),
            *("invariant_held_by_open_batches", "invariant_key_budget", "invariant_entry_has_batch"),
            *("invariant_entry_fits_items", "invariant_item_ends_with_batch"),
        ),
        DISAGREES,
    ),
    "invariant_charged_item_has_output": INCOMPLETE,
    "invariant_final_batch_has_proof": "Tell operators. Sign nothing off before the proof is there.",
    **dict.fromkeys(
        ("invariant_end_is_told", "invariant_event_reaches_endpoints", "invariant_delivery_is_explained"), UNTOLD
    ),
    "invariant_day_figures": FIGURES,
    **dict.fromkeys(
        ("invariant_invoice_numbers", "invariant_invoice_lines", "invariant_invoice_paid", "invariant_invoice_credits"),
        INVOICED,
    ),
}


@dataclass(frozen=True)
class Finding:
    """A row that breaks a promise: how, whose it is, the page where it can be seen, and what to do about it."""

    promise: str
    detail: str
    subject: str
    who: str
    address: str
    remedy: str


@dataclass(frozen=True)
class LastCheck:
    """What the last check over everything found, as far as somebody reaches it.

    `broken` counts rows, also those that are not listed; `hidden` says that there are some of which nobody can say
    whether they concern this person. `turn` is how often a check is due.
    """

    run: int
    checked_at: datetime
    findings: list[Finding]
    broken: int
    hidden: bool
    overdue: bool
    turn: timedelta
    batches: int
    entries: int


@dataclass(frozen=True)
class Line:
    """A check in the list: how long it took, how many rows break a promise, and the live credits that there were."""

    run: ReconciliationRun
    took: timedelta
    broken: int
    funded: int | None


@dataclass(frozen=True)
class Kept:
    """A promise as one check found it, and how many rows broke it."""

    promise: str
    view: str
    broken: int


@dataclass(frozen=True)
class Check:
    """One check in full."""

    line: Line
    equation: Equation | None
    promises: list[Kept]
    findings: list[Finding]
    unlisted: int


def last_check(access: Access, *, now: datetime) -> LastCheck | None:
    """Return the last check as somebody reaches it; None before the first."""
    run = ReconciliationRun.objects.order_by("-started_at").first()
    if run is None:
        return None
    findings, turn = _findings(access, run), timedelta(seconds=settings.RECONCILE_SECONDS)
    everything = access.organization_ids is None
    entries, batches = (run.entries, run.batches) if everything else extent_before(access, at=run.started_at)
    return LastCheck(
        run=run.pk,
        checked_at=run.finished_at,
        findings=findings,
        broken=_broken(run, listed=len(run.discrepancies)) if everything else len(findings),
        hidden=not everything and any(count > LISTED for count in run.counts.values()),
        overdue=now - run.finished_at > OVERDUE_TURNS * turn,
        turn=turn,
        batches=batches,
        entries=entries,
    )


def checks(*, unexplained: bool, cursor: str) -> Rows[ReconciliationRun]:
    """Return some checks, newest first, all or those that found something."""
    runs = ReconciliationRun.objects.all()
    if unexplained:
        runs = runs.exclude(discrepancies=[])
    # What a bad run lists may be long, and is not shown here.
    listed = Func("discrepancies", function="jsonb_array_length", output_field=IntegerField())
    return rows_after(runs.defer("discrepancies").annotate(listed=listed), key="-id", cursor=cursor, size=RUNS_SHOWN)


def lines(runs: Iterable[ReconciliationRun]) -> list[Line]:
    """Return the checks of a page as the list shows them."""
    return [_line(run, listed=vars(run)["listed"]) for run in runs]


def check(access: Access, *, run_id: int) -> Check:
    """Return one check in full. Raises Http404."""
    run = get_object_or_404(ReconciliationRun, pk=run_id)
    line = _line(run, listed=len(run.discrepancies))
    figures = run.figures
    return Check(
        line=line,
        equation=funded(
            available=figures["available"],
            reserved=figures["reserved"],
            settled=figures["settled"],
            total=figures["funded"],
        )
        if figures
        else None,
        promises=[Kept(one.promise, one.view, run.counts.get(one.view, 0)) for one in INVARIANTS],
        findings=_findings(access, run),
        unlisted=line.broken - len(run.discrepancies),
    )


def _findings(access: Access, run: ReconciliationRun) -> list[Finding]:
    where = places(access, [found["subject"] for found in run.discrepancies])
    inside = access.organization_ids is None
    return [
        _finding(found, where.get(found["subject"], NOWHERE), inside=inside)
        for found in run.discrepancies
        if inside or found["subject"] in where
    ]


def _finding(found: Mapping[str, str], place: Place, *, inside: bool) -> Finding:
    remedy = REMEDIES.get(found["invariant"], REWRITTEN) if inside else ""
    return Finding(found["promise"], found["detail"], found["subject"], place.who, place.address, remedy)


def _line(run: ReconciliationRun, *, listed: int) -> Line:
    took = run.finished_at - run.started_at
    return Line(run, took, _broken(run, listed=listed), run.figures.get("funded"))


def _broken(run: ReconciliationRun, *, listed: int) -> int:
    """Return how many rows broke a promise; the first checks kept no counts, nor figures."""
    return sum(run.counts.values()) or listed
