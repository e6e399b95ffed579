"""The forms with which a pilot is provisioned, and with which a new key is handed over to its customer."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django import forms

from customers.access import DEFAULT_SCOPES
from customers.account_forms import ADDRESS_LONGEST, EmailsField
from customers.issuing import KeyOrder
from customers.key_forms import KeyForm
from customers.models import Mode
from ledger.models import PILOT_CREDITS_MAX
from pilots.models import Lead, new_pilot_id
from pilots.orders import (
    ADVISED_LEAST,
    ADVISED_MOST,
    HOURS_MOST,
    ITEMS_MAX,
    NAME_MAX,
    OPEN_MAX,
    OVERRIDE_MAX,
    RATE_MAX,
    REASON_MAX,
    PilotOrder,
)
from sora2.forms import MomentField, NewIdField, OneLine, PlainForm, text_input, whole_number
from webhooks.endpoint_forms import UrlField

# The fields as they stand on the page, under what they are about.
GROUPS = {
    "Customer": ("name", "contact", "technical_emails", "finance_emails"),
    "Credits": ("credits", "reason"),
    "Limits": ("max_items", "rate_limit", "max_open_batches"),
    "Webhooks": ("webhook_url", "sink"),
    "Clock and keys": ("starts_at", "hours", "key_expires_at"),
    "Preflight": ("override_reason",),
}


class PilotForm(PlainForm):
    """What a pilot is to be. `token` is its id, signed: so that a form that is sent twice makes one pilot."""

    token = NewIdField(new_pilot_id, salt="pilots.new_pilot")
    name = OneLine(
        label="Company",
        max_length=NAME_MAX,
        widget=text_input(),
        error_messages={"required": "Write the customer's name."},
    )
    contact = forms.EmailField(
        label="Contact",
        required=False,
        max_length=ADDRESS_LONGEST,
        widget=text_input(inputmode="email"),
        help_text="Of the account in general. Nothing is sent there by this form.",
        error_messages={"invalid": "This is no e-mail address."},
    )
    technical_emails = EmailsField(
        label="Technical", required=False, help_text="Told when webhooks do not arrive. One a line. Empty: the contact."
    )
    finance_emails = EmailsField(
        label="Finance", required=False, help_text="Told when credits run low. One a line. Empty: the contact."
    )
    credits = whole_number(
        "Promotional credits",
        most=PILOT_CREDITS_MAX,
        initial=1_000,
        help_text=f"A pilot is free: a grant of at most {PILOT_CREDITS_MAX:,}, which needs no second person.",
    )
    reason = OneLine(
        label="Reason",
        max_length=REASON_MAX,
        widget=text_input(),
        help_text="Why these credits are given. It is sealed in the ledger for good, and the customer reads it.",
        error_messages={"required": "Say why these credits are given, such as: pilot agreed in the call."},
    )
    max_items = whole_number(
        "Items in a batch",
        most=ITEMS_MAX,
        initial=50,
        help_text=f"At most. {ADVISED_LEAST} to {ADVISED_MOST} are advised.",
    )
    rate_limit = whole_number("Requests a minute", most=RATE_MAX, initial=60)
    max_open_batches = whole_number("Open batches", most=OPEN_MAX, initial=100, help_text="At the same time.")
    webhook_url = UrlField()
    sink = forms.BooleanField(
        label="Our sink",
        required=False,
        help_text="An internal test endpoint instead, whose page shows what arrives. It meets no criterion: their own "
        "endpoint has to receive.",
    )
    starts_at = MomentField(
        label="Clock starts, UTC",
        required=False,
        help_text="Empty: now. Else a time to come, when they are ready.",
    )
    hours = whole_number("Hours", most=HOURS_MOST, initial=48, help_text="Within which the three criteria are met.")
    key_expires_at = MomentField(
        label="Keys end, UTC",
        required=False,
        help_text="From then on the pilot's API keys no longer work. Empty: never.",
        error_messages={"invalid": "Write a time in UTC, such as 2026-12-31 00:00, or nothing."},
    )
    override_reason = forms.CharField(
        label="Override, because",
        required=False,
        max_length=OVERRIDE_MAX,
        widget=text_input(),
        help_text="Why this customer is onboarded without a fresh green preflight. It stands on the pilot's page.",
    )

    def __init__(self, *given: Any, lead: Lead | None, fresh: bool, now: datetime, **more: Any) -> None:
        super().__init__(*given, **more)
        self.lead, self.now = lead, now
        self.fields["webhook_url"].required = False
        if fresh:
            del self.fields["override_reason"]

    def groups(self) -> Iterator[tuple[str, list[forms.BoundField]]]:
        """Yield the fields that are seen, under what they are about."""
        for title, names in GROUPS.items():
            if fields := [self[name] for name in names if name in self.fields]:
                yield title, fields

    def order(self) -> PilotOrder:
        """Return what is ordered."""
        asked = {name: value for name, value in self.cleaned_data.items() if name != "token"}
        return PilotOrder(**{"override_reason": "", **asked}, lead=self.lead)

    def blame(self, field: str, fault: str) -> None:
        """Say what is wrong with a field, or with all where it has none here."""
        self.add_error(field if field in self.fields else None, fault)


class KeyHandoverForm(KeyForm):
    """A new key for the customer of a pilot, with a pilot's scopes. It goes into a link, not onto a page."""

    mode = forms.ChoiceField(label="Mode", choices=[(mode.value, mode.value) for mode in Mode])

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **{"auto_id": "key-%s", **more})
        for name in ("scopes", "budget_credits", "allowed_networks"):
            del self.fields[name]

    def order(self) -> KeyOrder:
        """Return what is ordered."""
        return KeyOrder(
            name=self.cleaned_data["name"],
            scopes=DEFAULT_SCOPES,
            expires_at=self.cleaned_data["expires_at"],
            budget_credits=None,
            allowed_networks=(),
        )
