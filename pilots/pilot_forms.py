"""The forms on the page of a pilot."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django import forms

from pilots.criteria import Failure
from pilots.models import PilotFailure
from sora2.forms import MomentField, PlainForm

WORDS_MAX = PilotFailure._meta.get_field("note").max_length


def _why(label: str, help_text: str) -> forms.CharField:
    return forms.CharField(
        label=label, max_length=WORDS_MAX, widget=forms.Textarea(attrs={"rows": 2}), help_text=help_text
    )


class FailureForm(PlainForm):
    """Which condition of failure somebody saw, and what happened."""

    condition = forms.TypedChoiceField(label="Condition", coerce=int)
    note = _why("What happened", "For the next version: what was it, at which step? The customer does not read it.")

    def __init__(self, *given: Any, failures: Iterable[Failure], **more: Any) -> None:
        super().__init__(*given, **more)
        # Suggested ones first.
        open_ones = sorted(failures, key=lambda failure: (failure.state != "suggested", failure.number))
        choices = [(each.number, f"{each.number}. {each.name}") for each in open_ones]
        self.fields["condition"].choices = choices  # type: ignore[attr-defined]


class WithdrawForm(PlainForm):
    """Why a recorded failure was none."""

    reason = _why("Why it was none", "It stays on record, as withdrawn.")


class StartForm(PlainForm):
    """When the clock is to begin instead, and why."""

    at = MomentField(label="Begins at, UTC", help_text="It runs as long as before. Or: now.")
    reason = _why("Reason", "Such as: their engineer is back on Monday.")

    def __init__(self, *given: Any, now: datetime, **more: Any) -> None:
        super().__init__(*given, **more)
        self.fields["at"].now = now  # type: ignore[attr-defined]


class CloseForm(PlainForm):
    """What was learned. `seen` is how the pilot stood when that was looked at."""

    seen = forms.CharField(widget=forms.HiddenInput)
    lesson = forms.CharField(
        label="What we learned",
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="For the next version, whatever the outcome: what was hard, what was unclear, what was asked for.",
    )
