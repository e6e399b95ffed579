"""What to say and what not, put together: all of it for its own page, and what is due beside a lead or a review."""

from dataclasses import dataclass

from django.urls import reverse

from pilots import sales_objections, sales_rules
from pilots.models import KIND_OF, OPENS_TRANSITION, Lead, Signal, SignalKind
from pilots.review import NEVER_ASKED, QUESTIONS, Question, Side
from pilots.sales_call import SENTENCES, Sentence
from pilots.sales_claims import Claim
from pilots.sales_objections import OBJECTIONS, Objection
from pilots.sales_rules import MEANINGS, Failure, Meaning, Never
from pilots.sales_steps import BY_STAGE, STEPS, Step

# The objections that come up before there is a pilot, and those that come with it.
EARLY = ("another-api", "think-about-it")
LATE = ("too-expensive", "sla")


@dataclass(frozen=True)
class Signals:
    """The signals of a kind: what to do about that kind, and what each means; some open the way to Enterprise."""

    kind: SignalKind
    rule: str
    meanings: list[tuple[Signal.Code, Meaning, bool]]


@dataclass(frozen=True)
class Asked:
    """What one side is asked in the review."""

    side: Side
    questions: list[Question]


@dataclass(frozen=True)
class StageHelp:
    """What to say at a stage: its step, the sentences of the call where it is due, and the objections of that time."""

    step: Step
    sentences: tuple[Sentence, ...]
    objections: list[Objection]
    address: str


@dataclass(frozen=True)
class SalesHelp:
    """All there is to say, in the order of the page."""

    sentences: tuple[Sentence, ...]
    objections: tuple[Objection, ...]
    do_not: tuple[Never, ...]
    signals: list[Signals]
    steps: tuple[Step, ...]
    asked: list[Asked]
    never_asked: tuple[str, ...]
    failures: tuple[Failure, ...]
    not_bad: tuple[str, ...]
    no_criteria: tuple[str, ...]
    in_short: str
    why: tuple[str, ...]

    @property
    def tested(self) -> list[Claim]:
        """Return what we say that a test shows."""
        said = (claim for sentence in self.sentences for claim in (*sentence.explained, *sentence.detail))
        of_steps = (claim for step in self.steps for claim in step.points)
        return [claim for claim in (*said, *of_steps) if claim.test]


def everything() -> SalesHelp:
    """Return all of it."""
    return SalesHelp(
        sentences=SENTENCES,
        objections=OBJECTIONS,
        do_not=sales_rules.DO_NOT,
        signals=signals_by_kind(),
        steps=STEPS,
        asked=asked_by_side(),
        never_asked=NEVER_ASKED,
        failures=sales_rules.FAILURES,
        not_bad=sales_rules.NOT_BAD,
        no_criteria=sales_rules.NO_CRITERIA,
        in_short=sales_rules.IN_SHORT,
        why=sales_rules.WHY,
    )


def for_stage(stage: str) -> StageHelp:
    """Return what to say at a stage of a lead."""
    late = stage in (Lead.Stage.PILOT, Lead.Stage.CONTRACT)
    return StageHelp(
        step=BY_STAGE[stage],
        sentences=SENTENCES if stage in (Lead.Stage.REPLY, Lead.Stage.CALL) else (),
        objections=[sales_objections.BY_CODE[code] for code in (LATE if late else (*EARLY, *LATE))],
        address=reverse("admin:sales_help"),
    )


def signals_by_kind() -> list[Signals]:
    """Return each kind of signal with what each of them means."""
    return [
        Signals(
            kind,
            sales_rules.KINDS[kind],
            [(code, MEANINGS[code], code in OPENS_TRANSITION) for code in Signal.Code if KIND_OF[code] == kind],
        )
        for kind in SignalKind
    ]


def asked_by_side() -> list[Asked]:
    """Return the questions of the review by who is asked."""
    return [Asked(side, [question for question in QUESTIONS if question.side == side]) for side in Side]
