"""How far the items of batches have come."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Count

from batches.models import Batch, Item, Status
from ledger.pages import Part


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
    def parts(self) -> tuple[Part, ...]:
        """Return the parts of the progress bar."""
        return (
            Part("succeeded", self.succeeded, "good"),
            Part("failed", self.failed, "bad"),
            Part("running", self.running, "held"),
        )


def progress_of(batches: Iterable[Batch]) -> dict[str, Progress]:
    """Return the progress of each batch. A final one knows how its items ended; those of all open ones are counted
    together.
    """
    progress = {b.pk: Progress(b.total, 0, 0, b.succeeded or 0, b.failed or 0) for b in batches if b.is_final}
    still_open = {b.pk: b.total for b in batches if not b.is_final}
    counts: dict[str, dict[str, int]] = {pk: {} for pk in still_open}
    grouped = Item.objects.filter(batch__in=still_open).values_list("batch_id", "status").annotate(Count("pk"))
    for pk, status, count in grouped.order_by():
        counts[pk][status] = count
    return progress | {pk: progress_from(total, counts[pk]) for pk, total in still_open.items()}


def progress_from(total: int, count: Mapping[str, int]) -> Progress:
    """Return the progress of a batch of `total` items, of which there are so many of each status."""
    return Progress(
        total=total,
        pending=count.get(Status.PENDING, 0),
        running=count.get(Status.RUNNING, 0),
        succeeded=count.get(Status.SUCCEEDED, 0),
        failed=count.get(Status.FAILED, 0) + count.get(Status.REFUNDED, 0),
    )
