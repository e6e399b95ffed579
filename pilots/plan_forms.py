"""The form on which a customer's terms are agreed."""

from dataclasses import asdict
from typing import Any

from django import forms

from customers.models import PlanChange
from customers.plans import MOST, Agreement, Terms
from sora2.forms import PlainForm, text_input, whole_number

LABELS = {
    "max_items_per_batch": "Videos in a batch",
    "rate_limit_per_minute": "Requests in 60 seconds",
    "max_open_batches": "Open batches",
    "support_response_hours": "Hours to an answer",
}
HELP = {
    "max_items_per_batch": "The next batch may have so many",
    "rate_limit_per_minute": "All keys of the customer together",
    "max_open_batches": "In each mode",
    "support_response_hours": "Priority support: within so many hours each question is answered",
}


def _term(name: str) -> forms.IntegerField:
    return whole_number(LABELS[name], most=MOST[name], help_text=f"{HELP[name]}; 1 to {MOST[name]:,}.")


def _longest(name: str) -> int:
    return int(PlanChange._meta.get_field(name).max_length or 0)  # type: ignore[union-attr]


class PlanForm(PlainForm):
    """New terms and the contract that they stand in. `seen` is the agreement that the form was opened with."""

    max_items_per_batch = _term("max_items_per_batch")
    rate_limit_per_minute = _term("rate_limit_per_minute")
    max_open_batches = _term("max_open_batches")
    support_response_hours = _term("support_response_hours")
    contract_reference = forms.CharField(
        label="Contract",
        max_length=_longest("contract_reference"),
        widget=text_input(),
        help_text="Its number or name. The customer sees it on their account.",
        error_messages={"required": "Without a contract there are no such terms: give its number or name."},
    )
    reason = forms.CharField(
        label="Why",
        max_length=_longest("reason"),
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="What they asked for, and what was agreed. Only our own people see it.",
    )
    lesson = forms.CharField(
        label="Lesson",
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="What we learned from the pilot, which is closed with this. It may stay empty.",
    )
    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, *given: Any, agreement: Agreement, closes_pilot: bool) -> None:
        super().__init__(*given, initial={**asdict(agreement.terms), "seen": agreement.seen})
        if not closes_pilot:
            del self.fields["lesson"]

    def terms(self) -> Terms:
        """Return what is wanted."""
        return Terms(**{name: self.cleaned_data[name] for name in MOST})
