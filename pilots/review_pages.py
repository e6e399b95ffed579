"""What the page of a pilot's review shows: the questions with their answers, and the signals of the customer."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from customers.models import Plan
from pilots import review, signals
from pilots.lead_pages import SeenSignal, seen_of
from pilots.models import Pilot, ReviewAnswer, Signal
from pilots.review import QUESTIONS, Question, Side
from pilots.review_forms import AnswerForm

# Held on the second or third day.
FROM, UNTIL = timedelta(hours=24), timedelta(hours=72)


@dataclass(frozen=True)
class Answered:
    """A question with its answers: the latest, and those before it, newest first; and the form for another one."""

    question: Question
    form: AnswerForm
    latest: ReviewAnswer | None
    earlier: list[ReviewAnswer]


@dataclass(frozen=True)
class SideAnswered:
    """The questions to one side."""

    side: Side
    questions: list[Answered]


@dataclass(frozen=True)
class ReviewPage:
    """A pilot's review. `opened_by` is what opened the transition; `unexplained` is the word of such money."""

    sides: list[SideAnswered]
    answered: int
    held_from: datetime
    held_until: datetime
    unexplained: ReviewAnswer | None
    seen: list[SeenSignal]
    opened_by: Signal | None
    is_enterprise: bool

    @property
    def asked(self) -> int:
        """Return how many questions there are."""
        return len(QUESTIONS)


def review_page(pilot: Pilot, *, refused: AnswerForm | None = None) -> ReviewPage:
    """Return what the page shows; a form that was refused comes along."""
    by_code: dict[str, list[ReviewAnswer]] = defaultdict(list)
    for answer in pilot.answers.select_related("recorded_by").order_by("-at", "-pk"):
        by_code[answer.question].append(answer)
    money = next(iter(by_code[review.UNEXPLAINED_MONEY]), None)
    return ReviewPage(
        sides=[
            SideAnswered(
                side, [_answered(each, by_code[each.code], refused) for each in QUESTIONS if each.side == side]
            )
            for side in Side
        ],
        answered=sum(bool(by_code[question.code]) for question in QUESTIONS),
        held_from=pilot.activated_at + FROM,
        held_until=pilot.activated_at + UNTIL,
        unexplained=money if money is not None and review.is_yes(money) else None,
        seen=seen_of(signals.about_organization(pilot.organization)),
        opened_by=signals.transition_opened_by(pilot.organization),
        is_enterprise=pilot.organization.plan == Plan.ENTERPRISE,
    )


def _answered(question: Question, answers: list[ReviewAnswer], refused: AnswerForm | None) -> Answered:
    form = refused if refused is not None and refused.question == question else AnswerForm(question=question)
    return Answered(question, form, answers[0] if answers else None, answers[1:])
