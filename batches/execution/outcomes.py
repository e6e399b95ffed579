"""What becomes of an item after a failure, and what follows when items have ended. Shared by all stages."""

import random
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from batches.execution.queue import Claimed, Move
from batches.failures import POLICIES, FailureType
from batches.finalization import finalize_ended
from batches.models import Stage, Status


def failed(item: Claimed, failure: FailureType) -> Move:
    """Return the end of an item that failed for good."""
    return Move(item, status=Status.FAILED, failure_type=failure.value)


def failed_or_again(
    item: Claimed, failure: FailureType, *, now: datetime, retry_after_seconds: float | None = None
) -> Move:
    """Return a new submit after a pause when the policy allows one within the deadline, else the item's end.

    Only for failures after which the provider certainly runs no job.
    """
    policy = POLICIES[failure]
    if item.number >= policy.attempts:
        return failed(item, failure)
    backoff = policy.backoff_seconds[min(item.number, len(policy.backoff_seconds)) - 1]
    pause = max(retry_after_seconds or 0.0, backoff * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load only.
    due_at = now + timedelta(seconds=pause)
    if due_at >= item.deadline_at:
        return failed(item, failure)
    return Move(item, stage=Stage.SUBMIT, due_at=due_at)


def finish(moves: Iterable[Move], moved: set[tuple[str, uuid.UUID]], *, now: datetime) -> None:
    """Finalize the batches whose last item has just ended. Call it after the commit of the moves."""
    ended = {m.item.batch_id for m in moves if m.stage is None and m.item.claim in moved}
    if ended:
        finalize_ended(among=ended, now=now)
