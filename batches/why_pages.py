"""What explains a figure of a batch, or one item's credits: the items behind it, by price and by what became of them.

A batch's figures are read from its entries, from the batch itself and from its items, and held against each other and
against the price list that it was accepted at.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Count, Sum
from django.http import Http404
from django.urls import reverse

from batches.catalogue import priced_by
from batches.catalogue_models import Price
from batches.head_pages import reached
from batches.models import OPEN_STATUSES, Batch, Item, Status
from customers.access import Access
from ledger.models import Entry
from ledger.reconciliation import at_one_moment
from ledger.why import Row, Term, Why
from sora2.pages import with_query

Kind = Entry.Kind
KIND_OF = {"reserved": Kind.RESERVE, "settled": Kind.SETTLE, "refunded": Kind.REFUND}
FIGURES = (*KIND_OF, "held")
# What becomes of a held item's credits.
HELD_WORDS = {
    Status.PENDING: "pending: they wait for a provider",
    Status.RUNNING: "running: a provider has them",
    Status.SUCCEEDED: "succeeded: they are charged when the batch ends",
    Status.FAILED: "failed: they come back when the batch ends",
    Status.REFUNDED: "refunded",
}


@dataclass(frozen=True)
class Group:
    """The items of a batch that are alike in price and in what became of them: how many, and their credits."""

    model: str
    seconds: int
    unit: int
    status: Status
    failure: str
    count: int
    credits: int


@dataclass(frozen=True)
class BatchWhy:
    """A figure of a batch, explained, and the entry that posted it, if there is one yet."""

    batch: Batch
    why: Why
    entry: Entry | None


@dataclass(frozen=True)
class ItemWhy:
    """What an item costs by its price list, and the entry by which it was held, charged or given back.

    `price` is None for a price list that is not known here any more.
    """

    price: Price | None
    due: int | None
    entry: Entry | None


@at_one_moment()
def batch_why(access: Access, *, batch_id: str, figure: str) -> BatchWhy:
    """Explain a figure of a batch. Raises Http404 for what somebody does not reach, and for what is no figure.

    Of as many queries whatever the number of items, which are grouped by batches_item_index_once.
    """
    batch = reached(access, batch_id=batch_id)
    if figure not in FIGURES:
        raise Http404
    # Served by credit_ledger_once.
    entries = {Kind(entry.kind): entry for entry in Entry.objects.about(batch.pk).filter(wallet_id=batch.wallet_id)}
    posted = {name: entries[kind].amount if kind in entries else 0 for name, kind in KIND_OF.items()}
    posted["held"] = 0 if batch.is_final else posted["reserved"] - posted["settled"] - posted["refunded"]
    groups, own = _groups(batch), _own_figures(batch)
    label, term = figure.capitalize(), _EXPLAINED[figure](batch, groups)
    broken = [] if posted[figure] == own[figure] else [_batch_says(batch, own[figure], posted[figure])]
    if figure == "refunded":
        broken += _left_unrefunded(batch, groups)
    why = Why(label, _sentence(batch, figure, groups), posted[figure], (term,), tuple(broken))
    return BatchWhy(batch, why, entries.get(KIND_OF.get(figure, Kind.RESERVE)))


def item_why(item: Item) -> ItemWhy:
    """Explain what an item costs, and by which entry it was held, charged or given back."""
    price = priced_by(item.batch.price_version).get(item.model)
    kind = {Status.SUCCEEDED: Kind.SETTLE, Status.REFUNDED: Kind.REFUND}.get(Status(item.status), Kind.RESERVE)
    kind = kind if item.batch.is_final else Kind.RESERVE
    entries = Entry.objects.about(item.batch_id).filter(wallet_id=item.batch.wallet_id, kind=kind)
    return ItemWhy(price, price.of_clip(item.seconds) if price else None, entries.first())


# --- what a figure sums --------------------------------------------------------------------------------------------


def _reserved(batch: Batch, groups: Iterable[Group]) -> Term:
    return _priced(batch, "All items", groups)


def _settled(batch: Batch, groups: Iterable[Group]) -> Term:
    charged = [group for group in groups if batch.is_final and group.status == Status.SUCCEEDED]
    return _priced(batch, "Items that succeeded", charged, show="succeeded")


def _refunded(batch: Batch, groups: Iterable[Group]) -> Term:
    by_type: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        if group.status == Status.REFUNDED:
            by_type[group.failure].append(group)
    rows = tuple(
        Row(
            label=failure.replace("_", " "),
            credits=sum(group.credits for group in alike),
            address=_items(batch, failure=failure),
            note=_sums(alike),
        )
        for failure, alike in sorted(by_type.items())
    )
    return Term("Items that failed", sum(row.credits for row in rows), rows)


def _held(batch: Batch, groups: Iterable[Group]) -> Term:
    by_status: dict[Status, list[Group]] = defaultdict(list)
    for group in groups if not batch.is_final else ():
        by_status[group.status].append(group)
    rows = tuple(
        Row(
            label=HELD_WORDS[status],
            credits=sum(group.credits for group in by_status[status]),
            address=_items(batch, show=status.value),
            note=_sums(by_status[status]),
        )
        for status in Status
        if by_status[status]
    )
    return Term("Items of the open batch", sum(row.credits for row in rows), rows)


_EXPLAINED: Mapping[str, Callable[[Batch, Iterable[Group]], Term]] = {
    "reserved": _reserved,
    "settled": _settled,
    "refunded": _refunded,
    "held": _held,
}


def _priced(batch: Batch, label: str, groups: Iterable[Group], *, show: str = "") -> Term:
    """Return the items by price line, each held against the price list that the batch was accepted at."""
    prices = priced_by(batch.price_version)
    lines: dict[tuple[str, int, int], list[Group]] = defaultdict(list)
    for group in groups:
        lines[group.model, group.seconds, group.unit].append(group)
    rows = tuple(
        _price_row(batch, *line, alike, price=prices.get(line[0]), show=show) for line, alike in sorted(lines.items())
    )
    return Term(label, sum(row.credits for row in rows), rows)


def _price_row(
    batch: Batch, model: str, seconds: int, unit: int, alike: list[Group], *, price: Price | None, show: str
) -> Row:
    count, due = sum(group.count for group in alike), price.of_clip(seconds) if price else unit
    by_list = f"; price list: {price.credits:,} for {price.base_seconds} s" if price else ""
    return Row(
        label=f"{model} · {seconds} s",
        credits=sum(group.credits for group in alike),
        address=_items(batch, model=model, seconds=str(seconds), show=show),
        note=f"{count:,} × {unit:,}{by_list}",
        fault=f"These cost {unit:,} each; by price list {batch.price_version} it is {due:,}." if due != unit else "",
    )


def _groups(batch: Batch) -> list[Group]:
    alike = ("model", "seconds", "credits", "status", "failure_type")
    rows = Item.objects.filter(batch=batch).values_list(*alike).annotate(Count("pk"), Sum("credits")).order_by(*alike)
    return [
        Group(model, seconds, unit, Status(status), failure, count, int(credits))
        for model, seconds, unit, status, failure, count, credits in rows
    ]


def _sums(groups: Iterable[Group]) -> str:
    """Return how many items at which price: `3 × 10 + 1 × 20`."""
    by_unit: dict[int, int] = defaultdict(int)
    for group in groups:
        by_unit[group.unit] += group.count
    return " + ".join(f"{count:,} × {unit:,}" for unit, count in sorted(by_unit.items()))


def _items(batch: Batch, **asked: str) -> str:
    return with_query("admin:batch", batch.pk, **{name: value for name, value in asked.items() if value})


# --- in words, and what contradicts --------------------------------------------------------------------------------


def _sentence(batch: Batch, figure: str, groups: Iterable[Group]) -> str:
    if figure == "reserved":
        return f"The whole cost, held when the batch was accepted, at the prices of list {batch.price_version}."
    if figure == "settled":
        made = sum(group.credits for group in groups if group.status == Status.SUCCEEDED)
        if batch.is_final:
            return "What was charged: the items whose videos were made, stored and checked."
        return f"Nothing is charged before the batch ends. Of the items that have succeeded, {made:,} credits will be."
    if figure == "refunded":
        failed = sum(group.credits for group in groups if group.status == Status.FAILED)
        if batch.is_final:
            return "What came back: the items that failed are not charged."
        return f"Nothing comes back before the batch ends. Of the items that have failed, {failed:,} credits will."
    if batch.is_final:
        return "Nothing: the batch has ended, and all that it held was charged or came back."
    open_ = sum(group.count for group in groups if group.status in OPEN_STATUSES)
    return f"Held until the last item has ended: {open_:,} still {'runs or waits' if open_ == 1 else 'run or wait'}."


def _own_figures(batch: Batch) -> dict[str, int]:
    held = 0 if batch.is_final else batch.credits
    return {"reserved": batch.credits, "settled": batch.settled, "refunded": batch.refunded, "held": held}


def _batch_says(batch: Batch, own: int, posted: int) -> Row:
    fault = f"The batch itself says {own:,}; its ledger entries say {posted:,}."
    return Row(batch.request_id, own, reverse("admin:batch_billing", args=[batch.pk]), fault=fault)


def _left_unrefunded(batch: Batch, groups: Iterable[Group]) -> list[Row]:
    left = [group for group in groups if batch.is_final and group.status == Status.FAILED]
    if not left:
        return []
    credits = sum(group.credits for group in left)
    fault = f"Failed, and not given back: {_sums(left)} credits."
    return [Row("Items that failed", credits, _items(batch, show="failed"), fault=fault)]
