"""What the batches of one month are together, in figures; and those of them that something is to be done about."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Exists, F, OuterRef, Q, Sum

from batches.models import FINAL_STATES, OPEN_STATES, Batch, BatchQuerySet, Item, SignOff, Status
from customers.access import Access
from sora2.listing import created_within

LISTED = 20


@dataclass(frozen=True)
class MonthFigures:
    """The batches that were ordered in a month: how many, what they hold or were charged, and how many are signed off.

    Of the `open` and of the `unsigned` ones the first are listed. `unequal` are final ones whose own figures are no
    equation, which the database refuses; `unrefunded` counts failed items of final ones.
    """

    batches: int
    open: int
    held: int
    final: int
    reserved: int
    settled: int
    refunded: int
    unequal: int
    failed: int
    unrefunded: int
    signed: int
    open_batches: list[Batch]
    unsigned_batches: list[Batch]


def month_figures(shown: Access, *, starts_at: datetime, ends_at: datetime) -> MonthFigures:
    """Return the figures of the batches that `shown` reaches and that were created between.

    One walk over the month's batches adds all of them up, by batches_batch_newest: ids begin with their time.
    """
    chosen = created_within(Batch.objects.within(shown), after=starts_at, before=ends_at, prefix="bat")
    final = chosen.filter(state__in=FINAL_STATES)
    # Served by batches_item_unrefunded, which holds next to nothing.
    unrefunded = Item.objects.filter(status=Status.FAILED, batch__in=final).count()
    signed = SignOff.objects.filter(batch=OuterRef("pk"))
    return MonthFigures(
        **_sums(chosen),
        unrefunded=unrefunded,
        signed=SignOff.objects.filter(batch__in=final).aggregate(count=Count("batch", distinct=True))["count"],
        open_batches=list(chosen.open().order_by("pk")[:LISTED]),
        unsigned_batches=list(final.exclude(Exists(signed)).order_by("pk")[:LISTED]),
    )


def _sums(chosen: BatchQuerySet) -> dict[str, int]:
    still_open, final = Q(state__in=OPEN_STATES), Q(state__in=FINAL_STATES)
    sums = chosen.aggregate(
        batches=Count("*"),
        open=Count("pk", filter=still_open),
        held=Sum("credits", filter=still_open, default=0),
        final=Count("pk", filter=final),
        reserved=Sum("credits", filter=final, default=0),
        charged=Sum("settled", default=0),
        given_back=Sum("refunded", default=0),
        unequal=Count("pk", filter=final & ~Q(credits=F("settled") + F("refunded"))),
        failures=Sum("failed", default=0),
    )
    names = {"charged": "settled", "given_back": "refunded", "failures": "failed"}
    return {names.get(name, name): int(figure) for name, figure in sums.items()}
