"""Poll: ask the provider what became of its jobs. Only its definitive word, or the item's deadline, ends an item."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from batches.catalogue import Route, provider_of
from batches.execution import outcomes
from batches.execution.queue import AttemptNews, Claimed, Move, claim_due, move, next_due, tell_attempts
from batches.execution.submit import POLL_PAUSE_MIN_SECONDS
from batches.failures import FailureType
from batches.models import Attempt, Stage
from batches.providers import JobStatus, Verdict
from sora2 import bell

CHUNK = 500
LEASE_SECONDS = 90.0
UNKNOWN = Verdict(JobStatus.RUNNING)


def poll_due(route: Route) -> int:
    """Poll what is due for a route, and ring for the next time; return how many items were polled."""
    now = timezone.now()
    items = claim_due(route=route.name, stage=Stage.POLL, count=CHUNK, lease_seconds=LEASE_SECONDS, now=now)
    if not items:
        return 0
    _record(items, provider_of(route.name).poll([item.job_id for item in items if item.job_id]))
    due = next_due(route=route.name, stage=Stage.POLL)
    if due is not None:
        bell.ring("batches.poll", delay_seconds=max(0.0, (due - timezone.now()).total_seconds()))
    return len(items)


def _record(items: Sequence[Claimed], verdicts: Mapping[str, Verdict]) -> None:
    now = timezone.now()
    judged = [(item, verdicts.get(item.job_id or "", UNKNOWN)) for item in items]
    moves = [_move(item, verdict, now) for item, verdict in judged]
    with transaction.atomic():
        moved = move(moves=moves, now=now)
        kept = [(item, verdict) for item, verdict in judged if item.claim in moved]
        tell_attempts([news for item, verdict in kept if (news := _news(item, verdict, now))])
    outcomes.finish(moves, moved, now=now)
    if any(m.stage == Stage.COLLECT for m in moves):
        bell.ring("batches.collect")
    if any(m.stage != Stage.POLL for m in moves):
        bell.ring("batches.submit")  # There is room in flight again.


def _news(item: Claimed, verdict: Verdict, now: datetime) -> AttemptNews | None:
    if verdict.status == JobStatus.SUCCEEDED:
        return AttemptNews(item.attempt_id, Attempt.State.ACCEPTED, ready_at=now)
    if verdict.status == JobStatus.FAILED:
        failure = verdict.failure or FailureType.PROVIDER_ERROR
        return _failed(item, failure, verdict.detail, now)
    if now >= item.deadline_at:
        return _failed(item, FailureType.TIMEOUT, "no verdict by the deadline", now)
    return None


def _failed(item: Claimed, failure: FailureType, detail: str, now: datetime) -> AttemptNews:
    return AttemptNews(item.attempt_id, Attempt.State.FAILED, ended_at=now, failure_type=failure.value, detail=detail)


def _move(item: Claimed, verdict: Verdict, now: datetime) -> Move:
    if verdict.status == JobStatus.SUCCEEDED:
        return Move(item, stage=Stage.COLLECT, due_at=now)
    if verdict.status == JobStatus.FAILED:
        failure = verdict.failure or FailureType.PROVIDER_ERROR
        return outcomes.failed_or_again(item, failure, now=now) if verdict.again else outcomes.failed(item, failure)
    if now >= item.deadline_at:
        return outcomes.failed(item, FailureType.TIMEOUT)
    pause = max(verdict.poll_after_seconds or settings.POLL_SECONDS, POLL_PAUSE_MIN_SECONDS)
    return Move(item, stage=Stage.POLL, due_at=min(now + timedelta(seconds=pause), item.deadline_at))
