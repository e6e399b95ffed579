"""What stands above all tabs of a batch: its state, its money, its life, where it came from, and what may be done."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max
from django.shortcuts import get_object_or_404
from django.urls import reverse

from batches import retrying
from batches.models import Batch, Item
from batches.progress import Progress, progress_from
from batches.steps import Step, steps
from customers.access import Access, Permission
from customers.naming import names_of
from ledger import pages as ledger
from ledger.models import Entry
from webhooks import pages as webhooks


@dataclass(frozen=True)
class Head:
    """What stands above all tabs. `equation` and `entries` are None for those who may not see credits.

    `live` says that the page changes by itself soon: the batch is open, or its webhook was not tried yet. `maker` says
    who ordered it. `retries` are the batches that try its items anew. `may_cancel` says that whoever looks at it may
    cancel it now; `retryable` is how many items they may retry now.
    """

    batch: Batch
    progress: Progress
    failures: dict[str, int]
    entries: list[Entry] | None
    equation: ledger.Equation | None
    timeline: list[Step]
    took: timedelta | None
    live: bool
    maker: str
    retries: list[Batch]
    may_cancel: bool
    retryable: int


def head(access: Access, *, batch_id: str) -> Head:
    """Return what stands above all tabs of a batch. Raises Http404 for what somebody does not reach."""
    batch = reached(access, batch_id=batch_id)
    count, failures, last = _outcomes(batch)
    entries = _entries(access, batch)
    told = webhooks.acknowledgement(reference=batch.pk)
    may_write = access.may(Permission.BATCHES_WRITE)
    return Head(
        batch=batch,
        progress=progress_from(batch.total, count),
        failures=failures,
        entries=entries,
        equation=None if entries is None else ledger.held_equation(entries, final=batch.is_final, where=why_of(batch)),
        timeline=_timeline(batch, last, told),
        took=batch.finished_at - batch.created_at if batch.finished_at else None,
        live=not batch.is_final or told.untried,
        maker=names_of(access, [batch.created_by]).get(batch.created_by, batch.created_by),
        retries=list(batch.retries.order_by("pk")),
        may_cancel=may_write and not batch.is_final and batch.canceled_at is None,
        retryable=retrying.left_to_retry(batch).count() if may_write and batch.is_final else 0,
    )


def reached(access: Access, *, batch_id: str) -> Batch:
    """Return a batch that somebody reaches. Raises Http404."""
    return get_object_or_404(Batch.objects.within(access).select_related("organization", "retry_of"), pk=batch_id)


def why_of(batch: Batch) -> ledger.Where:
    """Return where each figure of a batch is explained."""
    return lambda figure: reverse("admin:batch_why", args=[batch.pk, figure])


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
    return steps(
        [
            ("Created", batch.created_at, ""),
            ("Started", batch.started_at, "not yet"),
            *([("Canceled", batch.canceled_at, "")] if batch.canceled_at else []),
            ("Last item ended", last_item if batch.is_final else None, "not yet"),
            ("Finalized", batch.finished_at, "not yet"),
            ("Webhook acknowledged", told.at, _not_acknowledged(batch, told)),
        ]
    )


def _not_acknowledged(batch: Batch, told: webhooks.Acknowledgement) -> str:
    """Say why nobody has acknowledged the webhook."""
    if not batch.is_final or told.untried:
        return "not yet"
    if not told.wanted:
        return "not due: no endpoint wanted it"
    return "not yet: refused so far, and tried again" if told.waiting else "given up: nobody took it"
