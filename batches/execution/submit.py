"""Submit: hand items to the provider. Three outcomes: accepted, certainly not accepted, ambiguous."""

import functools
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from batches import telling
from batches.catalogue import Route, provider_of, retired_models, terms
from batches.execution import gate, outcomes, pace
from batches.execution.queue import AttemptNews, Claimed, Move, claim_submits, move, tell_attempts
from batches.failures import FailureType
from batches.models import Attempt, Stage
from batches.providers import Accepted, Ambiguous, JobRequest, NotAccepted, SubmitOutcome
from sora2 import bell
from sora2.drain import drain

# Posts at once from one machine.
WIDTH = 32
RUN_SECONDS = 120.0


def submit_due(route: Route, last_claim: Callable[[], None] | None = None) -> int:
    """Submit what is due for a route, as far as its gate is open; return how many items were submitted."""
    return drain(
        claim=lambda count: _claim(route, count),
        act=lambda item: (item, _submit(route, item)),
        record=functools.partial(_record, route),
        width=WIDTH,
        seconds=RUN_SECONDS,
        last_claim=last_claim,
    )


def _claim(route: Route, count: int) -> Sequence[Claimed]:
    now = timezone.now()
    claimed = claim_submits(route=route, terms=terms(route), retired=retired_models(now=now), count=count, now=now)
    if claimed:
        telling.start(batch_ids={item.batch_id for item in claimed}, now=now)
    return claimed


def _submit(route: Route, item: Claimed) -> SubmitOutcome:
    if timezone.now() >= item.deadline_at:
        return NotAccepted(FailureType.TIMEOUT, "the deadline passed before another submit", answered=False)
    request = JobRequest(
        model=item.model,
        prompt=item.prompt,
        seconds=item.seconds,
        size=item.size,
        client_id=f"{item.item_id}.{item.number}",
    )
    return provider_of(route).submit(request)


def _record(route: Route, results: Sequence[tuple[Claimed, SubmitOutcome]]) -> None:
    now = timezone.now()
    with transaction.atomic():
        told = tell_attempts([_news(item, outcome, now) for item, outcome in results])
        probe_at = gate.learn(route, [outcome for _, outcome in results], now=now)
        earlier = outcomes.earlier_failures([item for item, outcome in results if isinstance(outcome, NotAccepted)])
        # An accepted job that an equal attempt holds already leaves this item to be looked up.
        moves = [
            _waiting(item, probe_at)
            if probe_at and gate.is_refused(route, outcome)
            else _move(item, outcome, earlier, now)
            for item, outcome in results
            if item.attempt_id in told
        ]
        moved = move(moves=moves, now=now)
        outcomes.tell(moves, moved, now=now)
    outcomes.finish(moves, moved, now=now)
    polls = [m.due_at for m in moves if m.stage == Stage.POLL and m.due_at]
    if polls:
        bell.ring("batches.poll", delay_seconds=max(0.0, (min(polls) - now).total_seconds()), route=route.name)


def _waiting(item: Claimed, probe_at: datetime) -> Move:
    """While the breaker is open an item waits, until its deadline; it is not the item's fault."""
    return Move(item, stage=Stage.SUBMIT, due_at=probe_at)


def _news(item: Claimed, outcome: SubmitOutcome, now: datetime) -> AttemptNews:
    match outcome:
        case Accepted(job_id=job_id):
            return AttemptNews(item.attempt_id, Attempt.State.ACCEPTED, job_id=job_id, accepted_at=now)
        case NotAccepted(failure=failure, detail=detail):
            return AttemptNews(
                item.attempt_id,
                Attempt.State.NOT_ACCEPTED,
                ended_at=now,
                failure_type=failure.value,
                detail=detail,
            )
        case Ambiguous(detail=detail):
            return AttemptNews(item.attempt_id, Attempt.State.AMBIGUOUS, detail=detail)


def _move(item: Claimed, outcome: SubmitOutcome, earlier: outcomes.Earlier, now: datetime) -> Move:
    match outcome:
        case Accepted(poll_after_seconds=hint):
            due_at = now + timedelta(seconds=pace.first_pause(hint))
            return Move(item, stage=Stage.POLL, due_at=min(due_at, item.deadline_at))
        case NotAccepted(failure=failure, retry_after_seconds=pause):
            return outcomes.failed_or_again(item, failure, earlier=earlier, now=now, retry_after_seconds=pause)
        case Ambiguous():
            return Move(item, stage=Stage.LOOKUP, due_at=now + timedelta(seconds=settings.LOOKUP_GRACE_SECONDS))
