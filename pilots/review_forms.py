"""The form with which an answer of the review is recorded."""

from typing import Any

from django import forms

from pilots import review
from pilots.review import Question
from sora2.forms import OneLine, PlainForm, text_input


class AnswerForm(PlainForm):
    """What was answered to one question, and by whom of the customer's."""

    said = forms.ChoiceField(label="Answer", choices=[(said, said) for said in (review.YES, review.NO)])
    answer = forms.CharField(
        label="In their words", max_length=review.ANSWER_MAX - 10, widget=forms.Textarea(attrs={"rows": 2})
    )
    answered_by = OneLine(label="Said by", max_length=150, widget=text_input(), help_text="Who of the customer's.")

    def __init__(self, *given: Any, question: Question, **more: Any) -> None:
        super().__init__(*given, **{"auto_id": f"{question.code}-%s", **more})
        self.question = question
        if question.yes_or_no:
            self.fields["answer"].required = False
        else:
            del self.fields["said"]

    @property
    def answered(self) -> str:
        """Return the answer as it is recorded."""
        words: str = self.cleaned_data["answer"].strip()
        return review.in_words(self.cleaned_data["said"], words) if self.question.yes_or_no else words
