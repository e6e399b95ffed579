"""Play the workers: claim items from the real queue, and record what became of them as the workers of a stage do.

What a provider would say is in the plan. So nothing is sent to one, and no video is made.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

from django.utils import timezone

from batches import telling
from batches.catalogue import SIMULATOR, Route
from batches.execution import collect, lookup, poll, submit
from batches.execution.queue import Claimed, claim_due, claim_submits
from batches.failures import FailureType
from batches.model_check.items import FAILURES, Known
from batches.model_check.plan import Turn, Word
from batches.model_check.steps import ItemName
from batches.models import Attempt, Stage
from batches.providers import Accepted, Ambiguous, JobStatus, NotAccepted, SubmitOutcome, Verdict
from sora2.ids import new_id

# The clock of the queue is ours. Whatever waits is due in a day; a claim holds for two; in a month every lease is over,
# and every deadline, which orders have in between.
DUE = timedelta(days=1)
CLAIMED = timedelta(days=2)
DEADLINE = timedelta(days=10)
EXPIRED = timedelta(days=30)
ROUTE = Route(SIMULATOR, "", "", max_in_flight=10_000_000, deadline_seconds=86_400.0 * 365)

Told = Sequence[tuple[Claimed, Word]]


def claim(turn: Turn) -> dict[ItemName, Claimed]:
    """Claim what a turn asks for, by batch and index, which the prompt says."""
    claimed = {}
    for item in _due(turn):
        batch, _, index = item.prompt.partition(" #")
        claimed[batch, int(index)] = item
    return claimed


def known_of(item: Claimed) -> Known:
    """Return what a claim tells of the item's latest submit."""
    refused = FailureType(item.attempt_failure) if item.attempt_state == Attempt.State.NOT_ACCEPTED else None
    return Known(has_job=item.job_id is not None, refused=refused)


def start(turn: Turn, claimed: Iterable[Claimed]) -> None:
    """Say that the batches of what is to be submitted are under way."""
    if turn.stage == Stage.SUBMIT:
        telling.start(batch_ids={item.batch_id for item in claimed}, now=timezone.now())


def report(stage: str, told: Told) -> None:
    """Record what became of items that were claimed for `stage`."""
    RECORD[stage](told)


def _due(turn: Turn) -> list[Claimed]:
    now = timezone.now()
    if turn.stage == Stage.SUBMIT:
        return claim_submits(route=ROUTE, terms={}, retired=[], count=turn.count, now=now + CLAIMED)
    ahead = EXPIRED if turn.expired else DUE
    return claim_due(
        route=SIMULATOR,
        stage=Stage(turn.stage),
        count=turn.count,
        lease_seconds=(CLAIMED - ahead).total_seconds(),
        now=now + ahead,
    )


def _submitted(told: Told) -> None:
    submit._record(ROUTE, [(item, _outcome(word)) for item, word in told])


def _outcome(word: Word) -> SubmitOutcome:
    if word == Word.GOOD:
        return Accepted(new_id("job"))
    if word == Word.UNCLEAR:
        return Ambiguous("no answer")
    return NotAccepted(FAILURES["submit", word], "refused")


def _looked_up(told: Told) -> None:
    found = {item.attempt_id: new_id("job") for item, word in told if word == Word.GOOD and known_of(item) == Known()}
    lookup._record([item for item, _ in told], found)


def _polled(told: Told) -> None:
    poll._record(ROUTE, [item for item, _ in told], {item.job_id or "": _verdict(word) for item, word in told})


def _verdict(word: Word) -> Verdict:
    if word == Word.GOOD:
        return Verdict(JobStatus.SUCCEEDED)
    if word == Word.UNCLEAR:
        return Verdict(JobStatus.RUNNING)
    return Verdict(JobStatus.FAILED, FAILURES["poll", word])


def _collected(told: Told) -> None:
    # A download that goes on is not reported.
    collect._record([(item, _collection(item, word)) for item, word in told if word != Word.UNCLEAR])


def _collection(item: Claimed, word: Word) -> collect.Collected | collect.NotCollected:
    if word == Word.GOOD:
        return collect.Collected(
            video=f"{item.attempt_id}.mp4", poster=f"{item.attempt_id}.jpg", bytes=1, sha256="0" * 64, duration_ms=4000
        )
    return collect.NotCollected(FAILURES["collect", word], "unusable", anew=word == Word.AGAIN)


RECORD: Mapping[str, Callable[[Told], None]] = {
    Stage.SUBMIT.value: _submitted,
    Stage.LOOKUP.value: _looked_up,
    Stage.POLL.value: _polled,
    Stage.COLLECT.value: _collected,
}
