"""Look up ambiguous submits: does the provider have the job, or not?

The wire format has no client token, so a job is recognized by its content: listed, claimed by no attempt, made since
the submit, with the same model, prompt, length and size. Equal requests are interchangeable. What is not found is
looked for again until the item's deadline, and never submitted a second time.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from batches import telling
from batches.catalogue import Route, provider_of
from batches.execution import outcomes
from batches.execution.queue import AttemptNews, Claimed, Move, claim_due, move, tell_attempts
from batches.failures import FailureType
from batches.models import Attempt, Stage
from batches.providers import ListedJob
from sora2 import bell

CHUNK = 200
# Longer than the provider's list may take.
LEASE_SECONDS = 90.0
# The provider's clock may differ from ours by this much.
CLOCK_SKEW = timedelta(seconds=30)
PAUSE_MAX_SECONDS = 30.0


def look_up_due(route: Route) -> int:
    """Look up what is due for a route; return how many items were looked up."""
    now = timezone.now()
    items = claim_due(route=route.name, stage=Stage.LOOKUP, count=CHUNK, lease_seconds=LEASE_SECONDS, now=now)
    unknown = [item for item in items if item.job_id is None and not _was_not_accepted(item)]
    found = _match(unknown, _unclaimed_jobs(route, unknown)) if unknown else {}
    _record(items, found)
    return len(items)


def _was_not_accepted(item: Claimed) -> bool:
    """Say whether the worker came back after its lease with the word that the provider has no job."""
    return item.attempt_state == Attempt.State.NOT_ACCEPTED


def _unclaimed_jobs(route: Route, items: Sequence[Claimed]) -> list[ListedJob]:
    since = min(item.submitted_at for item in items) - CLOCK_SKEW
    listed = provider_of(route).jobs_since(since)
    ids = [job.job_id for job in listed]
    claimed = set(
        Attempt.objects.filter(route=route.name, provider_job_id__in=ids).values_list("provider_job_id", flat=True)
    )
    return [job for job in listed if job.job_id not in claimed]


def _match(items: Iterable[Claimed], jobs: Iterable[ListedJob]) -> dict[str, str]:
    """Return the job found for each attempt id, oldest first on both sides."""
    waiting: dict[tuple[str, str, int, str], list[Claimed]] = defaultdict(list)
    for item in sorted(items, key=lambda i: i.submitted_at):
        waiting[item.model, item.prompt, item.seconds, item.size].append(item)
    found = {}
    for job in sorted(jobs, key=lambda j: j.created_at):
        same = waiting[job.model, job.prompt, job.seconds, job.size]
        ours = next((i for i in same if job.created_at >= i.submitted_at - CLOCK_SKEW), None)
        if ours is not None:
            same.remove(ours)
            found[ours.attempt_id] = job.job_id
    return found


def _record(items: Sequence[Claimed], found: Mapping[str, str]) -> None:
    now = timezone.now()
    with transaction.atomic():
        told = tell_attempts(
            [_accepted(item, found[item.attempt_id], now) for item in items if item.attempt_id in found]
        )
        earlier = outcomes.earlier_failures([item for item in items if _was_not_accepted(item)])
        # A job that went to an equal attempt meanwhile leaves its item to the next look-up.
        known = {item.attempt_id for item in items if item.job_id} | told
        moves = [_move(item, earlier, now, known=item.attempt_id in known) for item in items]
        moved = move(moves=moves, now=now)
        outcomes.tell(moves, moved, now=now)
        lost = {m.item.attempt_id for m in moves if m.stage is None and m.item.claim in moved}
        tell_attempts([_lost(item, now) for item in items if item.attempt_id in lost])
    # Whoever submitted them may have died before starting their batches.
    telling.start(batch_ids={m.item.batch_id for m in moves}, now=now)
    outcomes.finish(moves, moved, now=now)
    if any(m.stage == Stage.POLL for m in moves):
        bell.ring("batches.poll")


def _accepted(item: Claimed, job_id: str, now: datetime) -> AttemptNews:
    return AttemptNews(item.attempt_id, Attempt.State.ACCEPTED, job_id=job_id, accepted_at=now)


def _lost(item: Claimed, now: datetime) -> AttemptNews:
    failure = FailureType.AMBIGUOUS_SUBMIT.value
    return AttemptNews(item.attempt_id, Attempt.State.LOST, ended_at=now, failure_type=failure)


def _move(item: Claimed, earlier: outcomes.Earlier, now: datetime, *, known: bool) -> Move:
    if known:
        return Move(item, stage=Stage.POLL, due_at=now)
    if _was_not_accepted(item):
        return outcomes.failed_or_again(item, FailureType(item.attempt_failure), earlier=earlier, now=now)
    if now >= item.deadline_at:
        return outcomes.failed(item, FailureType.AMBIGUOUS_SUBMIT)
    age = (now - item.submitted_at).total_seconds()
    pause = min(max(settings.LOOKUP_GRACE_SECONDS, age / 2), PAUSE_MAX_SECONDS)
    return Move(item, stage=Stage.LOOKUP, due_at=min(now + timedelta(seconds=pause), item.deadline_at))
