"""What the list of batches shows: those that somebody reaches and wants, with the totals of all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, F, Q, Sum
from django.http import Http404

from batches.models import OPEN_STATES, Batch, BatchQuerySet, Item
from batches.progress import Progress, progress_of
from customers.access import Access
from customers.models import Mode, Organization
from ledger.why import Row as WhyRow
from ledger.why import Term, Why
from sora2.listing import created_within
from sora2.pages import Rows, rows_after, with_query

BATCHES_SHOWN = 50
# A filter of the list beside the states themselves.
OPEN = "open"

# The totals of a list, each with the sum that it is, and what it is in words.
SUMMED = {
    "reserved": Sum("credits"),
    "settled": Sum("settled"),
    "refunded": Sum("refunded"),
    "held": Sum(F("credits") - F("settled") - F("refunded")),
}
WORDS = {
    "reserved": "The whole cost of the batches, as it was held when each was accepted.",
    "settled": "What the batches that have ended were charged.",
    "refunded": "What came back from the batches that have ended.",
    "held": "What is held for the batches that have not ended.",
}


@dataclass(frozen=True)
class Wanted:
    """Which batches are wanted; what is empty is no restriction.

    `customer` is part of a name, or an id. `text` is what the batch's id or its request id begins with, letter for
    letter. `custom_id` is that of one of its items, whole. `maker` is the id of the key or person that ordered it.
    `starts_at` is inclusive, `ends_at` exclusive. `picked` are ids.
    """

    state: str = ""
    mode: str = ""
    customer: str = ""
    text: str = ""
    custom_id: str = ""
    maker: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    picked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One batch in the list."""

    batch: Batch
    progress: Progress


@dataclass(frozen=True)
class Totals:
    """The totals of one mode: credits are never added over modes."""

    mode: str
    batches: int
    items: int
    reserved: int
    settled: int
    refunded: int

    @property
    def held(self) -> int:
        """Return what is neither settled nor refunded yet."""
        return self.reserved - self.settled - self.refunded


@dataclass(frozen=True)
class BatchList:
    """Some batches, newest first, and the totals of all that were asked for, by mode."""

    rows: list[Row]
    page: Rows[Batch]
    totals: list[Totals]

    @property
    def batches(self) -> int:
        """Return how many there are in all."""
        return sum(totals.batches for totals in self.totals)


def batch_list(access: Access, *, wanted: Wanted, cursor: str) -> BatchList:
    """Return the batches that somebody reaches and wants."""
    chosen = chosen_batches(access, wanted)
    page = rows_after(chosen.select_related("organization"), key="-id", cursor=cursor, size=BATCHES_SHOWN)
    progress, modes = progress_of(page.rows), [wanted.mode] if wanted.mode else Mode.values
    return BatchList(
        rows=[Row(batch, progress[batch.pk]) for batch in page.rows],
        page=page,
        totals=[totals for totals in (_totals(chosen, mode) for mode in modes) if totals.batches],
    )


def totals_why(access: Access, *, wanted: Wanted, asked: Mapping[str, str], figure: str) -> Why:
    """Explain a total over the batches of one mode that somebody wants, by state; `asked` is the same as a query.

    Raises Http404 for what is no figure. Served by batches_batch_totals.
    """
    if figure not in SUMMED:
        raise Http404
    chosen = chosen_batches(access, wanted)
    rows = chosen.values("state").annotate(count=Count("*"), sum=SUMMED[figure]).order_by("state")
    by_state = tuple(
        WhyRow(
            label=row["state"],
            credits=int(row["sum"]),
            address=with_query("admin:batch_list", **{**asked, "state": row["state"]}),
            note=f"{row['count']:,} {'batch' if row['count'] == 1 else 'batches'}",
        )
        for row in rows
        if row["sum"]
    )
    total = sum(row.credits for row in by_state)
    return Why(figure.capitalize(), WORDS[figure], total, (Term("Batches", total, by_state),))


def _totals(chosen: BatchQuerySet, mode: str) -> Totals:
    """Add up the batches of a mode. Served by batches_batch_totals, and by nothing else.

    Asked by mode, and with count(*): for all modes at once, or counting ids, PostgreSQL would read every row.
    """
    figures = chosen.filter(mode=mode).aggregate(
        batches=Count("*"),
        clips=Sum("total", default=0),
        reserved=Sum("credits", default=0),
        charged=Sum("settled", default=0),
        given_back=Sum("refunded", default=0),
    )
    return Totals(mode, *map(int, figures.values()))


def chosen_batches(access: Access, wanted: Wanted) -> BatchQuerySet:
    """Return the batches that somebody reaches and wants, to be counted, paged or exported."""
    rows = Batch.objects.within(access)
    if wanted.state:
        rows = rows.filter(state__in=OPEN_STATES if wanted.state == OPEN else [wanted.state])
    if wanted.mode:
        rows = rows.filter(mode=wanted.mode)
    if wanted.customer:
        # Asked for first: with their ids at hand the planner knows how many batches that are.
        named = Organization.objects.matching(wanted.customer)
        rows = rows.filter(organization__in=list(named.values_list("pk", flat=True)))
    if wanted.text:
        # Served by batches_batch_by_request_id, and by what Django makes for the beginning of a key.
        rows = rows.filter(Q(pk__startswith=wanted.text) | Q(request_id__startswith=wanted.text))
    if wanted.custom_id:
        # Served by batches_item_by_custom_id.
        rows = rows.filter(pk__in=Item.objects.filter(custom_id=wanted.custom_id).values("batch"))
    if wanted.maker:
        # Served by batches_batch_by_maker.
        rows = rows.filter(created_by=wanted.maker)
    if wanted.picked:
        rows = rows.filter(pk__in=wanted.picked)
    return created_within(rows, after=wanted.starts_at, before=wanted.ends_at, prefix="bat")
