"""When a pilot has succeeded, and when it has failed: judged from the live records as they are now.

It succeeds if, and only if, three criteria are met by its deadline. They say that the system can be trusted, controlled
and audited. How well the videos turned out, and how many of them, is none of them: a batch counts however its items
ended. It fails by one of four conditions: the clock sees the first, people record the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from batches.models import Batch, SignOff
from pilots.evidence import Evidence, evidence_of
from pilots.evidence import Status as Status
from pilots.models import Pilot, PilotFailure
from pilots.next_steps import Missing, help_with, missing_of, next_step
from webhooks.models import Attempt

Condition = PilotFailure.Condition
CRITERIA = (
    "Ran at least 1 batch",
    "Customer system received batch.completed",
    "Finance verified: reserved = settled + refunded",
)
STEPS = {
    "batch_accepted": "First live batch accepted",
    "batch_ended": "A batch ran to its end",
    "webhook_received": "Webhook received",
    "signed_off": "Signed off",
}
# What the clock and the records cannot say by themselves.
OF_PEOPLE = [condition for condition in Condition if condition != Condition.NO_BATCH]


@dataclass(frozen=True)
class Criterion:
    """One condition, and the record that meets it: a batch, an attempt (with its delivery and event), a sign-off."""

    number: int
    name: str
    met_at: datetime | None
    in_time: bool
    evidence: Batch | Attempt | SignOff | None

    @property
    def is_met(self) -> bool:
        """Say whether there is evidence."""
        return self.met_at is not None


class FailureState(StrEnum):
    """How a condition of failure stands."""

    NOT = "not"
    SUGGESTED = "suggested"  # The time is over and the evidence lacks: people look whether it was so.
    RECORDED = "recorded"
    WITHDRAWN = "withdrawn"
    BY_THE_CLOCK = "by the clock"


@dataclass(frozen=True)
class Failure:
    """One of the four conditions; `record` is what people have written of it last, `at` since when it holds."""

    number: int
    name: str
    state: FailureState
    record: PilotFailure | None
    at: datetime | None

    @property
    def holds(self) -> bool:
        """Say whether the pilot has failed by it, unless it has succeeded all the same."""
        return self.at is not None


@dataclass(frozen=True)
class Step:
    """A step of the way, when it was done, and how long after the activation."""

    name: str
    words: str
    at: datetime | None
    took: timedelta | None


@dataclass(frozen=True)
class Judgement:
    """A pilot by its criteria and its failures; `next` is for the customer, `help` for our people.

    `missing` is what both are about, and `evidence` what else is known of it.
    """

    pilot: Pilot
    status: Status
    criteria: tuple[Criterion, Criterion, Criterion]
    failures: tuple[Failure, ...]
    steps: tuple[Step, ...]
    missing: Missing
    evidence: Evidence
    next: str
    help: str

    @property
    def holding(self) -> list[Failure]:
        """Return the conditions of failure that hold."""
        return [failure for failure in self.failures if failure.holds]


def judge(*, pilot: Pilot, now: datetime) -> Judgement:
    """Return how a pilot stands."""
    [judgement] = judge_all([pilot], now=now)
    return judgement


def judge_all(pilots: Sequence[Pilot], *, now: datetime) -> list[Judgement]:
    """Return how each pilot stands, in their order, with as many queries for a hundred as for one."""
    found = evidence_of(pilots, now=now)
    return [_judgement(pilot, found[pilot.pk], now) for pilot in pilots]


def _judgement(pilot: Pilot, found: Evidence, now: datetime) -> Judgement:
    criteria = _criteria(pilot, found)
    over = now > pilot.deadline
    missing = missing_of(found, met=[each.is_met for each in criteria], is_closed=pilot.closed_at is not None)
    return Judgement(
        pilot=pilot,
        status=found.status,
        criteria=criteria,
        failures=tuple(_failure(condition, pilot, found, criteria, over) for condition in Condition),
        steps=_steps(pilot, found, criteria),
        missing=missing,
        evidence=found,
        next=next_step(missing, pilot, over=over),
        help=help_with(missing, found, over=over),
    )


def _criteria(pilot: Pilot, found: Evidence) -> tuple[Criterion, Criterion, Criterion]:
    def criterion(number: int, at: datetime | None, record: Batch | Attempt | SignOff | None) -> Criterion:
        return Criterion(number, CRITERIA[number - 1], at, at is not None and at <= pilot.deadline, record)

    ran, received, signed = found.ran, found.received, found.signed
    return (
        criterion(1, ran.finished_at if ran else None, ran),
        criterion(2, received.ended_at if received else None, received),
        criterion(3, signed.signed_at if signed else None, signed),
    )


def _failure(
    condition: PilotFailure.Condition, pilot: Pilot, found: Evidence, criteria: Sequence[Criterion], over: bool
) -> Failure:
    """Return how a condition stands: by the clock, by people's word, or not at all."""
    name, ran = condition.label, criteria[0].in_time
    records = [each for each in found.failures if each.condition == condition]
    if condition == Condition.NO_BATCH:
        holds = over and not ran
        state = FailureState.BY_THE_CLOCK if holds else FailureState.NOT
        return Failure(condition, name, state, None, pilot.deadline if holds else None)
    latest = next((each for each in records if each.withdrawn_at is None), records[-1] if records else None)
    if latest is not None:
        holds = latest.withdrawn_at is None
        state = FailureState.RECORDED if holds else FailureState.WITHDRAWN
        return Failure(condition, name, state, latest, latest.recorded_at if holds else None)
    # The second and the third are about the criteria of the same numbers; without a batch neither could be met.
    lacks = over and ran and condition in (2, 3) and not criteria[condition - 1].in_time
    return Failure(condition, name, FailureState.SUGGESTED if lacks else FailureState.NOT, None, None)


def _steps(pilot: Pilot, found: Evidence, criteria: Sequence[Criterion]) -> tuple[Step, ...]:
    accepted = found.accepted.created_at if found.accepted else None
    times = (accepted, *(criterion.met_at for criterion in criteria))
    return tuple(
        Step(name, words, at, at - pilot.activated_at if at else None)
        for (name, words), at in zip(STEPS.items(), times, strict=True)
    )
