"""What becomes of an item after a failure, and what follows when items have ended. Shared by all stages."""

import random
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db.models import Count

from batches import telling
from batches.execution.queue import Claimed, Move
from batches.failures import POLICIES, FailureType
from batches.finalization import finalize_ended
from batches.models import Attempt, Stage, Status

# How often an item failed before, by its id and the type of failure.
Earlier = Counter[tuple[str, str]]


def failed(item: Claimed, failure: FailureType) -> Move:
    """Return the end of an item that failed for good."""
    return Move(item, status=Status.FAILED, failure_type=failure.value)


def earlier_failures(items: Iterable[Claimed]) -> Earlier:
    """Count how the earlier attempts of items failed; one query. Most items have one attempt: then there is none."""
    ids = sorted({item.item_id for item in items if item.number > 1})
    latest = [item.attempt_id for item in items]
    if not ids:
        return Counter()
    rows = Attempt.objects.filter(item_id__in=ids).exclude(failure_type="").exclude(pk__in=latest)
    counted = rows.values("item_id", "failure_type").annotate(count=Count("pk"))
    return Counter({(row["item_id"], row["failure_type"]): row["count"] for row in counted})


def failed_or_again(
    item: Claimed,
    failure: FailureType,
    *,
    earlier: Earlier,
    now: datetime,
    retry_after_seconds: float | None = None,
) -> Move:
    """Return a new submit after a pause when the policy of this type allows one within the deadline, else the end.

    Only for failures after which the provider certainly runs no job.
    """
    policy = POLICIES[failure]
    failures = earlier[item.item_id, failure.value] + 1
    if failures >= policy.attempts:
        return failed(item, failure)
    backoff = policy.backoff_seconds[min(failures, len(policy.backoff_seconds)) - 1]
    pause = max(retry_after_seconds or 0.0, backoff * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load only.
    due_at = now + timedelta(seconds=pause)
    if due_at >= item.deadline_at:
        return failed(item, failure)
    return Move(item, stage=Stage.SUBMIT, due_at=due_at)


def tell(moves: Sequence[Move], moved: set[tuple[str, uuid.UUID]], *, now: datetime) -> None:
    """Publish the ends of items, in the transaction of the moves; of those that succeeded, once they have outputs."""
    ended = [m.item.item_id for m in moves if m.stage is None and m.item.claim in moved]
    telling.tell_ended(item_ids=ended, now=now)


def finish(moves: Sequence[Move], moved: set[tuple[str, uuid.UUID]], *, now: datetime) -> None:
    """Finalize the batches whose last item has just ended. Call it after the commit of the moves."""
    ended = {m.item.batch_id for m in moves if m.stage is None and m.item.claim in moved}
    if ended:
        finalize_ended(among=ended, now=now)
