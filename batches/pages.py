"""What the pages of batches show. Each is one call here, of as many queries whatever the number of items."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Q, Sum
from django.http import Http404

from batches.catalogue import Line
from batches.models import OPEN_STATES, Attempt, Batch, BatchQuerySet, Item, Output, Proof, SignOff, Status
from batches.signing_off import Signer, signed_off, signer_of
from customers.access import Access, Permission
from customers.models import Mode, User
from ledger import approvals
from ledger import pages as ledger
from ledger.models import Entry
from sora2.pages import Rows, rows_after
from webhooks import pages as webhooks

BATCHES_SHOWN, ITEMS_SHOWN = 50, 100
# A filter of the list beside the states themselves.
OPEN = "open"


@dataclass(frozen=True)
class Progress:
    """How far the items of a batch have come."""

    total: int
    pending: int
    running: int
    succeeded: int
    failed: int

    @property
    def ended(self) -> int:
        """Return how many items have ended."""
        return self.succeeded + self.failed

    @property
    def parts(self) -> tuple[ledger.Part, ...]:
        """Return the parts of the progress bar."""
        return (
            ledger.Part("succeeded", self.succeeded, "good"),
            ledger.Part("failed", self.failed, "bad"),
            ledger.Part("running", self.running, "held"),
        )


# --- the list ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """Which batches to list; the empty text is no restriction. `customer` is part of a name, or an id."""

    state: str = ""
    mode: str = ""
    customer: str = ""
    text: str = ""


@dataclass(frozen=True)
class Row:
    """One batch in the list."""

    batch: Batch
    progress: Progress


@dataclass(frozen=True)
class BatchList:
    """Some batches, newest first, and the totals of all that were asked for. Credits are never added over modes."""

    rows: list[Row]
    page: Rows[Batch]
    totals_mode: str
    batches: int
    items: int
    reserved: int
    settled: int
    refunded: int


def batch_list(access: Access, *, wanted: Wanted, cursor: str) -> BatchList:
    """Return the batches that somebody reaches and wants."""
    chosen = _chosen(access, wanted)
    page = rows_after(chosen.select_related("organization"), key="-id", cursor=cursor, size=BATCHES_SHOWN)
    mode = wanted.mode or Mode.LIVE.value
    of_mode = Q(mode=mode)
    totals = chosen.aggregate(
        batches=Count("pk"),
        items=Sum("total", default=0),
        reserved=Sum("credits", filter=of_mode, default=0),
        settled=Sum("settled", filter=of_mode, default=0),
        refunded=Sum("refunded", filter=of_mode, default=0),
    )
    progress = _progress_of(page.rows)
    rows = [Row(batch, progress[batch.pk]) for batch in page.rows]
    return BatchList(rows=rows, page=page, totals_mode=mode, **{name: int(figure) for name, figure in totals.items()})


def _chosen(access: Access, wanted: Wanted) -> BatchQuerySet:
    rows = Batch.objects.within(access)
    if wanted.state:
        rows = rows.filter(state__in=OPEN_STATES if wanted.state == OPEN else [wanted.state])
    if wanted.mode:
        rows = rows.filter(mode=wanted.mode)
    if wanted.customer:
        rows = rows.filter(Q(organization_id=wanted.customer) | Q(organization__name__icontains=wanted.customer))
    if wanted.text:
        rows = rows.filter(Q(pk__startswith=wanted.text) | Q(request_id__icontains=wanted.text))
    return rows


def _progress_of(batches: Iterable[Batch]) -> dict[str, Progress]:
    """A final batch knows how its items ended; those of all open ones are counted together."""
    progress = {b.pk: Progress(b.total, 0, 0, b.succeeded or 0, b.failed or 0) for b in batches if b.is_final}
    still_open = {b.pk: b.total for b in batches if not b.is_final}
    counts: dict[str, dict[str, int]] = {pk: {} for pk in still_open}
    grouped = Item.objects.filter(batch__in=still_open).values_list("batch_id", "status").annotate(Count("pk"))
    for pk, status, count in grouped.order_by():
        counts[pk][status] = count
    return progress | {pk: _progress(total, counts[pk]) for pk, total in still_open.items()}


def _progress(total: int, count: dict[str, int]) -> Progress:
    return Progress(
        total=total,
        pending=count.get(Status.PENDING, 0),
        running=count.get(Status.RUNNING, 0),
        succeeded=count.get(Status.SUCCEEDED, 0),
        failed=count.get(Status.FAILED, 0) + count.get(Status.REFUNDED, 0),
    )


# --- the head of a batch's page ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One step of a batch's life, and when it was taken."""

    label: str
    at: datetime | None


@dataclass(frozen=True)
class Head:
    """What stands above all tabs. `equation` and `entries` are None for those who may not see credits.

    `live` says that the page changes by itself soon: the batch is open, or its webhook was not tried yet.
    """

    batch: Batch
    progress: Progress
    failures: dict[str, int]
    entries: list[Entry] | None
    equation: ledger.Equation | None
    timeline: list[Step]
    took: timedelta | None
    live: bool


def head(access: Access, *, batch_id: str) -> Head:
    """Return what stands above all tabs of a batch. Raises Http404 for what somebody does not reach."""
    batch = reached(access, batch_id=batch_id)
    count, failures, last = _outcomes(batch)
    entries = _entries(access, batch)
    told = webhooks.acknowledgement(reference=batch.pk)
    return Head(
        batch=batch,
        progress=_progress(batch.total, count),
        failures=failures,
        entries=entries,
        equation=None if entries is None else ledger.held_equation(entries, final=batch.is_final),
        timeline=_timeline(batch, last, told),
        took=batch.finished_at - batch.created_at if batch.finished_at else None,
        live=not batch.is_final or told.untried,
    )


def reached(access: Access, *, batch_id: str) -> Batch:
    """Return a batch that somebody reaches. Raises Http404."""
    batch = Batch.objects.within(access).select_related("organization").filter(pk=batch_id).first()
    if batch is None:
        raise Http404
    return batch


def _outcomes(batch: Batch) -> tuple[dict[str, int], dict[str, int], datetime | None]:
    """Count the items by status and by failure, and find when the last one ended."""
    grouped = Item.objects.filter(batch=batch).values_list("status", "failure_type")
    statuses: dict[str, int] = {}
    failures: dict[str, int] = {}
    last: datetime | None = None
    for status, failure, count, ended in grouped.annotate(Count("pk"), Max("finished_at")).order_by("failure_type"):
        statuses[status] = statuses.get(status, 0) + count
        if failure:
            failures[failure] = failures.get(failure, 0) + count
        last = max((at for at in (last, ended) if at), default=None)
    return statuses, failures, last


def _entries(access: Access, batch: Batch) -> list[Entry] | None:
    if not access.may(Permission.LEDGER_READ):
        return None
    return list(Entry.objects.about(batch.pk).filter(wallet_id=batch.wallet_id))


def _timeline(batch: Batch, last_item: datetime | None, told: webhooks.Acknowledgement) -> list[Step]:
    steps = [
        Step("Created", batch.created_at),
        Step("Started", batch.started_at),
        *([Step("Canceled", batch.canceled_at)] if batch.canceled_at else []),
        Step("Last item ended", last_item if batch.is_final else None),
        Step("Finalized", batch.finished_at),
    ]
    if told.wanted or not batch.is_final:
        steps.append(Step("Webhook acknowledged", told.at))
    return steps


# --- the tabs ------------------------------------------------------------------------------------------------------


def tasks(batch: Batch, *, show: str, failure: str, cursor: str) -> Rows[Item]:
    """Return the items of a batch by index: all, or by outcome (`succeeded`, `failed`, `open`), or by failure type."""
    items = Item.objects.filter(batch=batch).select_related("output")
    by_outcome: dict[str, tuple[Status, ...]] = {
        "succeeded": (Status.SUCCEEDED,),
        "failed": (Status.FAILED, Status.REFUNDED),
        OPEN: (Status.PENDING, Status.RUNNING),
    }
    if show in by_outcome:
        items = items.filter(status__in=by_outcome[show])
    if failure:
        items = items.filter(failure_type=failure)
    return rows_after(items, key="index", cursor=cursor, size=ITEMS_SHOWN)


@dataclass(frozen=True)
class PriceLine:
    """One line of the price, and what became of it."""

    line: Line
    settled: int
    refunded: int


@dataclass(frozen=True)
class Billing:
    """The price of a batch, line by line, its entries, what names it besides, and the proof once it is final.

    `adjustments` are those that name the batch; to our own people also what was asked for and is not posted (`inside`).
    `signed` are the sign-offs; `signer` is as whom who looks at it may sign off, once it is final and while nobody of
    their side has.
    """

    lines: list[PriceLine]
    entries: list[ledger.Line]
    adjustments: list[approvals.Naming]
    proof: Proof | None
    signed: list[SignOff]
    signer: Signer | None
    inside: bool
    may_ask: bool


def billing(access: Access, user: User, batch: Batch, entries: list[Entry]) -> Billing:
    """Return what the Billing tab shows."""
    inside, signed = access.organization_ids is None, signed_off(batch)
    outcome = {
        "clips": Count("pk"),
        "settled": Sum("credits", filter=Q(status=Status.SUCCEEDED), default=0),
        "refunded": Sum("credits", filter=Q(status=Status.REFUNDED), default=0),
    }
    grouped = Item.objects.filter(batch=batch).values("model", "seconds", "credits").annotate(**outcome)
    return Billing(
        lines=[_price_line(dict(row), final=batch.is_final) for row in grouped.order_by("model", "seconds", "credits")],
        entries=ledger.lines(entries),
        adjustments=[
            naming
            for naming in approvals.about(wallet_id=batch.wallet_id, reference=batch.pk)
            if inside or naming.entry is not None
        ],
        proof=Proof.objects.filter(batch=batch).first(),
        signed=signed,
        signer=_who_may_sign(user, batch, signed),
        inside=inside,
        may_ask=access.may(Permission.CREDITS_REQUEST),
    )


def _who_may_sign(user: User, batch: Batch, signed: list[SignOff]) -> Signer | None:
    signer = signer_of(user, batch) if batch.is_final else None
    return signer if signer and signer.side not in {each.side for each in signed} else None


def _price_line(row: dict[str, Any], *, final: bool) -> PriceLine:
    line = Line(row["model"], row["seconds"], row["clips"], row["credits"])
    return PriceLine(line, int(row["settled"]) if final else 0, int(row["refunded"]))


def told(access: Access, batch: Batch, *, now: datetime) -> webhooks.Telling:
    """Return what was told about a batch, with its deliveries."""
    return webhooks.told_about(access, reference=batch.pk, now=now)


# --- an item -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ItemPage:
    """An item with its video and attempts, and the ids of its neighbours by index."""

    item: Item
    output: Output | None
    attempts: list[Attempt]
    before: str
    after: str


def item_page(access: Access, *, batch_id: str, item_id: str) -> ItemPage:
    """Return what an item's page shows. Raises Http404 for what somebody does not reach."""
    item = reached_item(access, batch_id=batch_id, item_id=item_id)
    near = Item.objects.filter(batch_id=batch_id, index__in=[item.index - 1, item.index + 1])
    neighbours = dict(near.values_list("index", "pk"))
    return ItemPage(
        item=item,
        output=getattr(item, "output", None),
        attempts=list(item.attempts.order_by("number")),
        before=neighbours.get(item.index - 1, ""),
        after=neighbours.get(item.index + 1, ""),
    )


def reached_item(access: Access, *, batch_id: str, item_id: str) -> Item:
    """Return an item that somebody reaches, its batch and output loaded. Raises Http404."""
    items = Item.objects.within(access).select_related("batch__organization", "output")
    item = items.filter(pk=item_id, batch_id=batch_id).first()
    if item is None:
        raise Http404
    return item


def reached_output(access: Access, *, batch_id: str, item_id: str) -> Output:
    """Return the video of an item that somebody reaches. Raises Http404."""
    items = Item.objects.within(access).filter(pk=item_id, batch_id=batch_id)
    output = Output.objects.filter(item__in=items).first()
    if output is None:
        raise Http404
    return output
