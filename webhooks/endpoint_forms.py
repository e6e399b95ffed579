"""The forms about an endpoint: what it is, what to replay, and how a secret is rotated."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms

from customers.models import Mode
from customers.owner_forms import OwnerForm
from sora2.forms import MomentField, PlainForm, overlap_field, text_input
from webhooks.endpoints import OVERLAP_HOURS, OVERLAP_HOURS_MOST
from webhooks.guarded import ForbiddenTarget, check_url
from webhooks.intake import DESCRIPTION_MAX
from webhooks.models import Endpoint, EventType, default_events
from webhooks.replay import Range

# What each event tells. A test goes where it is asked for, so that nobody has to subscribe to it.
TELLS: Mapping[str, str] = {
    EventType.BATCH_COMPLETED: "a batch has ended, and its credits are settled. All that most need.",
    EventType.BATCH_STARTED: "the first video of a batch goes to its provider.",
    EventType.ITEM_SUCCEEDED: "one video is made: as many messages as videos.",
    EventType.ITEM_FAILED: "one video has failed, and is refunded: one message for each.",
    EventType.CREDITS_LOW: "the credits have fallen below their threshold.",
    EventType.WEBHOOK_TEST: "somebody asked for a test. It goes there anyway.",
}


class UrlField(forms.CharField):
    """An address that webhooks may be sent to."""

    def __init__(self) -> None:
        super().__init__(
            label="Address",
            widget=text_input(inputmode="url", placeholder="https://"),
            error_messages={"required": "Write the address of your receiver."},
            help_text="It begins with https:// and is reachable from the public internet, on port 443 or 8443.",
        )

    def clean(self, value: Any) -> str:
        """Return the address, if it may be called as far as that shows."""
        url: str = super().clean(value)
        try:
            if url:
                check_url(url)
        except ForbiddenTarget as error:
            raise forms.ValidationError(str(error)) from error
        return url


class EventsField(forms.MultipleChoiceField):
    """What an endpoint wants to be told, each event with what it tells."""

    def __init__(self) -> None:
        super().__init__(
            label="Events",
            choices=[(event, f"{event}: {words}") for event, words in TELLS.items()],
            widget=forms.CheckboxSelectMultiple,
            error_messages={"required": "Choose at least one event."},
        )


class DescriptionField(forms.CharField):
    """A line for people, about what listens there."""

    def __init__(self) -> None:
        super().__init__(
            label="Description",
            required=False,
            max_length=DESCRIPTION_MAX,
            widget=text_input(),
            help_text="For you and your colleagues. May be empty.",
        )


class EndpointForm(OwnerForm):
    """A new endpoint, in the mode that the form was opened in. `at_a_sink`: at an address of ours, for tests alone."""

    mode = forms.ChoiceField(choices=Mode.choices, widget=forms.HiddenInput)
    url = UrlField()
    events = EventsField()
    description = DescriptionField()

    def __init__(self, *given: Any, at_a_sink: bool = False, **more: Any) -> None:
        more["initial"] = {"events": default_events(), **more.get("initial", {})}
        super().__init__(*given, **more)
        self.at_a_sink = at_a_sink and self["mode"].value() == Mode.TEST
        for name in ("url", "events"):
            self.fields[name].required = not self.at_a_sink

    @property
    def said(self) -> dict[str, Any]:
        """Return what was said of the endpoint; of one at a sink that is its mode."""
        names = ["mode"] if self.at_a_sink else ["mode", "url", "events", "description"]
        return {name: self.cleaned_data[name] for name in names}

    @property
    def other_mode(self) -> Mode:
        """Return the mode that it is not for."""
        return Mode.LIVE if self["mode"].value() == Mode.TEST else Mode.TEST


class ChangeForm(PlainForm):
    """One field of an endpoint anew. `seen` is the value that the form was opened with."""

    FIELDS: Mapping[str, type[forms.Field]] = {"url": UrlField, "events": EventsField, "description": DescriptionField}

    what = forms.ChoiceField(choices=[(name, name) for name in FIELDS], widget=forms.HiddenInput)
    seen = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, *given: Any, name: str, **more: Any) -> None:
        super().__init__(*given, **{"auto_id": f"id_{name}_%s", **more})
        self.name = name
        self.fields["value"] = self.FIELDS[name]()

    @property
    def shows_choices(self) -> bool:
        """Say whether its field is a set of boxes."""
        return self.name == "events"


class ReplayForm(PlainForm):
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
        super().__init__(*given, **more)
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


class RotateForm(PlainForm):
    """For how long the old secret signs too. `seen` is the secret that the form was opened with."""

    seen = forms.CharField(widget=forms.HiddenInput)
    overlap_hours = overlap_field("signs", usual=OVERLAP_HOURS, most=OVERLAP_HOURS_MOST)
