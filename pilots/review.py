"""The review after a pilot: what is asked of whom, what never is, and the customer's answers as they come.

A later answer to a question follows the earlier one; nothing is overwritten. What is not asked has no code, so there is
no way to record an answer to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db import transaction

from customers.models import User
from customers.services import audit
from pilots.models import Pilot, ReviewAnswer

ANSWER_MAX = 4_000
YES, NO = "Yes", "No"
UNEXPLAINED_MONEY = "unexplained_money"


class Side(StrEnum):
    """Who is asked."""

    ENGINEERING = "Engineering"
    FINANCE = "Ops and finance"
    EVERYBODY = "Everybody, as the confirmation mail asks"


@dataclass(frozen=True)
class Question:
    """Something to ask; one of yes or no has words beside it where there are some."""

    code: str
    side: Side
    words: str
    yes_or_no: bool = False


QUESTIONS = (
    Question("most_confusing", Side.ENGINEERING, "Which step was most confusing?"),
    Question("unclear_field", Side.ENGINEERING, "Which field was unclear?"),
    Question("more_events", Side.ENGINEERING, "What additional webhook events would help?"),
    Question("ledger_clear", Side.FINANCE, "Is the ledger clear?", yes_or_no=True),
    Question("can_export", Side.FINANCE, "Can you export for reconciliation?", yes_or_no=True),
    Question(UNEXPLAINED_MONEY, Side.FINANCE, "Any “unexplained money”?", yes_or_no=True),
    Question("hardest_step", Side.EVERYBODY, "Which step was hardest?"),
    Question("finance_help", Side.EVERYBODY, "What would help your finance team?"),
    Question("before_scaling", Side.EVERYBODY, "What else would you need before scaling?"),
)
BY_CODE: Mapping[str, Question] = {question.code: question for question in QUESTIONS}
# They ask for a compliment, and a compliment changes nothing in the next version.
NEVER_ASKED = ("Did you like it?", "Was the quality good?", "Would you recommend us?")


class AnswerRefused(ValueError):
    """The answer was not recorded; the message says why."""


@transaction.atomic
def record_answer(
    *, pilot: Pilot, question: str, answer: str, answered_by: str, by: User, now: datetime
) -> ReviewAnswer:
    """Write down what somebody of the customer has answered. Raises AnswerRefused.

    Of a question of yes or no, `answer` begins with that word. The same answer again is the one that stands there.
    """
    asked = BY_CODE.get(question)
    if asked is None:
        raise AnswerRefused("This is none of the questions of the review.")
    if not answer or len(answer) > ANSWER_MAX:
        raise AnswerRefused(f"Write what was answered, in at most {ANSWER_MAX:,} characters.")
    if asked.yes_or_no and answer.partition(":")[0] not in (YES, NO):
        raise AnswerRefused("Say yes or no.")
    Pilot.objects.select_for_update(no_key=True).get(pk=pilot.pk)
    latest = ReviewAnswer.objects.filter(pilot=pilot, question=question).order_by("-at", "-pk").first()
    if latest is not None and (latest.answer, latest.answered_by) == (answer, answered_by):
        return latest
    made = ReviewAnswer.objects.create(
        pilot=pilot, question=question, answer=answer, answered_by=answered_by, at=now, recorded_by=by
    )
    audit(
        actor=by.pk,
        action="review.answer",
        organization_id=pilot.organization_id,
        subject=pilot.pk,
        detail={"question": question},
    )
    return made


def in_words(said: str, words: str) -> str:
    """Return the answer to a question of yes or no."""
    return f"{said}: {words}" if words else said


def is_yes(answer: ReviewAnswer) -> bool:
    """Say whether a question of yes or no was answered by yes."""
    return answer.answer.partition(":")[0] == YES
