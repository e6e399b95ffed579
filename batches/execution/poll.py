"""Poll: ask the provider what became of its jobs. Only its definitive word, or the item's deadline, ends an item."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from batches.catalogue import Route, provider_of
from batches.execution import gate, outcomes, pace
from batches.execution.queue import AttemptNews, Claimed, Move, claim_due, count_at, move, next_due, tell_attempts
from batches.failures import FailureType
from batches.models import Attempt, Stage
from batches.providers import JobStatus, Verdict
from sora2 import bell

# A page of the provider's list holds a hundred jobs: one process watches thousands.
CHUNK = 5000
# From so many on they are read off the list, and those that are due within the same round come along.
SEVERAL = 4
LEASE_SECONDS = 90.0
UNKNOWN = Verdict(JobStatus.RUNNING)


def poll_due(route: Route) -> int:
    """Poll what is due for a route, and ring for the next time; return how many items were polled."""
    in_flight = count_at(route=route.name, stage=Stage.POLL)
    items = _claim(route, in_flight) if in_flight else []
    if not items:
        return 0
    job_ids = [item.job_id for item in items if item.job_id]
    polled = provider_of(route).poll(job_ids, since=min(item.submitted_at for item in items))
    silent_since = gate.heard(route, answered=polled.answered, now=timezone.now())
    _record(route, items, polled.verdicts, in_flight=in_flight, silent_since=silent_since)
    due = next_due(route=route.name, stage=Stage.POLL)
    if due is not None:
        wait = max(0.0, (due - timezone.now()).total_seconds())
        bell.ring("batches.poll", delay_seconds=wait, route=route.name)
    return len(items)


def _claim(route: Route, in_flight: int) -> list[Claimed]:
    def due(count: int, ahead_seconds: float = 0.0) -> list[Claimed]:
        return claim_due(
            route=route.name,
            stage=Stage.POLL,
            count=count,
            lease_seconds=LEASE_SECONDS,
            now=timezone.now(),
            ahead_seconds=ahead_seconds,
        )

    items = due(CHUNK)
    if SEVERAL <= len(items) < CHUNK:
        items += due(CHUNK - len(items), pace.round_seconds(in_flight))
    return items


def _record(
    route: Route,
    items: Sequence[Claimed],
    verdicts: Mapping[str, Verdict],
    *,
    in_flight: int = 1,
    silent_since: datetime | None = None,
) -> None:
    now = timezone.now()

    def pause(item: Claimed, verdict: Verdict) -> float:
        return pace.pause(
            verdict, submitted_at=item.submitted_at, now=now, in_flight=in_flight, silent_since=silent_since
        )

    judged = [(item, verdicts.get(item.job_id or "", UNKNOWN)) for item in items]
    earlier = outcomes.earlier_failures([item for item, verdict in judged if verdict.status == JobStatus.FAILED])
    moves = [_move(item, verdict, earlier, now, pause(item, verdict)) for item, verdict in judged]
    with transaction.atomic():
        moved = move(moves=moves, now=now)
        outcomes.tell(moves, moved, now=now)
        kept = [(item, verdict) for item, verdict in judged if item.claim in moved]
        tell_attempts([news for item, verdict in kept if (news := _news(item, verdict, now))])
    outcomes.finish(moves, moved, now=now)
    if any(m.stage == Stage.COLLECT for m in moves):
        bell.ring("batches.collect", route=route.name)
    if any(m.stage != Stage.POLL for m in moves):
        bell.ring("batches.submit", route=route.name)  # There is room in flight again.


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


def _move(item: Claimed, verdict: Verdict, earlier: outcomes.Earlier, now: datetime, pause: float) -> Move:
    if verdict.status == JobStatus.SUCCEEDED:
        return Move(item, stage=Stage.COLLECT, due_at=now)
    if verdict.status == JobStatus.FAILED:
        failure = verdict.failure or FailureType.PROVIDER_ERROR
        if not verdict.again:
            return outcomes.failed(item, failure)
        return outcomes.failed_or_again(item, failure, earlier=earlier, now=now)
    if now >= item.deadline_at:
        return outcomes.failed(item, FailureType.TIMEOUT)
    return Move(item, stage=Stage.POLL, due_at=min(now + timedelta(seconds=pause), item.deadline_at))
