"""The review after a pilot: what is asked is recorded as it was said, and what is never asked cannot be."""

import time
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from customers.models import AuditEvent
from pilots.models import Pilot, ReviewAnswer
from pilots.review import NEVER_ASKED, QUESTIONS, AnswerRefused, Side, record_answer
from tests.factories import Account
from tests.markup import forms_of, links_of
from tests.people import staff, words_of
from tests.pilots.scenes import pilot_of, sales_person

pytestmark = pytest.mark.django_db


def review_of(pilot: Pilot) -> str:
    return f"/admin/pilots/{pilot.pk}/review"


def answer(client: Client, pilot: Pilot, question: str, **filled: str) -> Any:
    """Fill in the form of a question, which is on the page, and send it."""
    forms = forms_of(client.get(review_of(pilot)))
    [form] = [form for form in forms if form.fields.get("question") == question]
    return client.post(form.action, {**form.fields, "answered_by": "Ola Ek", **filled}, follow=True)


def test_both_sides_are_asked_what_the_documents_ask(account: Account) -> None:
    by_side = {side: [each.words for each in QUESTIONS if each.side == side] for side in Side}
    assert by_side == {
        Side.ENGINEERING: [
            "Which step was most confusing?",
            "Which field was unclear?",
            "What additional webhook events would help?",
        ],
        Side.FINANCE: [
            "Is the ledger clear?",
            "Can you export for reconciliation?",
            "Any “unexplained money”?",
        ],
        Side.EVERYBODY: [
            "Which step was hardest?",
            "What would help your finance team?",
            "What else would you need before scaling?",
        ],
    }
    pilot, client = pilot_of(account), staff("sales ops")
    words = words_of(client.get(review_of(pilot)))
    assert "Review 0 of 9 answered" in words
    assert [each.words for each in QUESTIONS if f"{each.words} ○ Not answered yet" not in words] == []
    asked = [form.fields["question"] for form in forms_of(client.get(review_of(pilot))) if "question" in form.fields]
    assert asked == [each.code for each in QUESTIONS]


def test_an_answer_stands_with_who_said_it_and_a_later_one_follows_it(account: Account) -> None:
    pilot, client = pilot_of(account), staff("sales ops")
    answer(client, pilot, "most_confusing", answer="The signature")
    time.sleep(0.001)
    answer(client, pilot, "most_confusing", answer="The retries, after all", answered_by="Noor Haddad")
    words = words_of(client.get(review_of(pilot)))
    assert "Review 1 of 9 answered" in words
    assert "Which step was most confusing? The retries, after all Noor Haddad ·" in words
    assert "Before: The signature · Ola Ek ·" in words
    assert words.index("The retries, after all") < words.index("Before: The signature")
    assert ReviewAnswer.objects.count() == 2
    event = AuditEvent.objects.filter(action="review.answer").latest("pk")
    assert (event.subject, event.organization_id, event.detail) == (
        pilot.pk,
        account.organization.pk,
        {"question": "most_confusing"},
    )


def test_the_same_answer_twice_is_one(account: Account) -> None:
    pilot, client = pilot_of(account), staff("sales ops")
    for _ in range(2):
        answer(client, pilot, "ledger_clear", said="Yes", answer="In ten minutes")
    assert ReviewAnswer.objects.get().answer == "Yes: In ten minutes"


@pytest.mark.parametrize("words", NEVER_ASKED)
def test_what_is_never_asked_is_shown_as_such_and_cannot_be_recorded(account: Account, words: str) -> None:
    pilot, client, by = pilot_of(account), staff("sales ops"), sales_person()
    assert f"✕ {words}" in words_of(client.get(review_of(pilot)))
    page = client.post(f"{review_of(pilot)}/answer", {"question": words, "answer": "Yes", "answered_by": "Ola"})
    assert page.status_code == 422
    assert "✕ Nothing was recorded: this is not asked in a review." in words_of(page)
    with pytest.raises(AnswerRefused, match="none of the questions"):
        record_answer(pilot=pilot, question=words, answer="Yes", answered_by="Ola", by=by, now=timezone.now())
    assert not ReviewAnswer.objects.exists()


def test_unexplained_money_points_at_the_reconciliation_at_once_until_it_is_explained(account: Account) -> None:
    pilot, client = pilot_of(account), staff("sales ops")
    page = answer(client, pilot, "unexplained_money", said="Yes", answer="10 credits on Tuesday")
    assert "Money that is unexplained comes first: look at the checks now." in words_of(page)
    assert "✕ They have unexplained money Yes: 10 credits on Tuesday" in words_of(page)
    assert {"/admin/reconciliations/", f"/admin/ledger/{account.organization.pk}"} <= set(links_of(page))
    assert client.get("/admin/reconciliations/").status_code == 200
    time.sleep(0.001)
    page = answer(client, pilot, "unexplained_money", said="No", answer="It was the refund")
    assert "They have unexplained money" not in words_of(page)


def test_an_answer_without_words_or_without_yes_or_no_is_refused_with_its_form_open(account: Account) -> None:
    pilot, client = pilot_of(account), staff("sales ops")
    page = client.post(f"{review_of(pilot)}/answer", {"question": "unclear_field", "answer": " ", "answered_by": ""})
    assert page.status_code == 422
    assert page.content.decode().count("<details open>") == 1
    assert "This field is required." in words_of(page)
    with pytest.raises(AnswerRefused, match="Say yes or no"):
        record_answer(
            pilot=pilot, question="can_export", answer="Perhaps", answered_by="", by=sales_person(), now=timezone.now()
        )
    assert not ReviewAnswer.objects.exists()


def test_who_only_reads_sees_the_answers_and_records_none(account: Account) -> None:
    pilot = pilot_of(account)
    answer(staff("sales ops"), pilot, "before_scaling", answer="An SLA <b>soon</b>")
    client = staff("finance")
    page = client.get(review_of(pilot))
    assert "&lt;b&gt;soon" in page.content.decode()
    assert [form for form in forms_of(page) if form.method == "post" and "/pilots/" in form.action] == []
    acts = ("answer", "signal")
    assert {client.post(f"{review_of(pilot)}/{act}").status_code for act in acts} == {403}
