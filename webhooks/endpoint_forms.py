"""The forms about an endpoint: what to replay, and how a secret is rotated."""

from datetime import datetime
from typing import Any

from django import forms

from sora2.forms import MomentField, whole_number
from webhooks.endpoints import OVERLAP_HOURS, OVERLAP_HOURS_MOST
from webhooks.models import Endpoint
from webhooks.replay import Range


class ReplayForm(forms.Form):
    """Which of an endpoint's messages to send again. Without an end it is now, so that a count stays what it was."""

    since = MomentField(label="From, UTC", required=False, help_text="When the event happened. Empty: the first.")
    until = MomentField(label="Until, UTC", required=False, help_text="Not included. Empty: now.")
    events = forms.MultipleChoiceField(
        label="Events", required=False, widget=forms.CheckboxSelectMultiple, help_text="None: all that it wants."
    )
    undelivered = forms.BooleanField(
        label="Only undelivered",
        required=False,
        help_text="Leave out what has arrived: send what was given up or skipped.",
    )

    def __init__(self, *given: Any, endpoint: Endpoint, now: datetime, **more: Any) -> None:
        super().__init__(*given, **{"label_suffix": "", **more})
        self.endpoint, self.now = endpoint, now
        events = self.fields["events"]
        if isinstance(events, forms.MultipleChoiceField):
            events.choices = [(event, event) for event in endpoint.events]
        for field in self.fields.values():
            if isinstance(field, MomentField):
                field.now = now

    def clean(self) -> dict[str, Any]:
        """Refuse a period that ends before it begins."""
        cleaned: dict[str, Any] = self.cleaned_data
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and since >= (until or self.now):
            self.add_error("since", "This is not before the end.")
        return cleaned

    def range(self) -> Range:
        """Return what is asked for."""
        wanted = self.cleaned_data
        return Range(
            endpoint=self.endpoint,
            created_after=wanted["since"],
            created_before=wanted["until"] or self.now,
            events=wanted["events"],
            undelivered=wanted["undelivered"],
        )


class RotateForm(forms.Form):
    """For how long the old secret signs too. `seen` is the secret that the form was opened with."""

    seen = forms.CharField(widget=forms.HiddenInput)
    overlap_hours = whole_number(
        "Overlap, hours",
        least=0,
        most=OVERLAP_HOURS_MOST,
        initial=OVERLAP_HOURS,
        help_text=(
            f"For how long the old secret signs too, 0 to {OVERLAP_HOURS_MOST}. "
            "0: it is useless at once, as after a leak."
        ),
    )

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **{"label_suffix": "", **more})
