"""The forms about an API key: what a new one is to be, how its secret is replaced, its name, and why it ends."""

from datetime import datetime
from typing import Any

from django import forms
from django.db.models import BigIntegerField

from customers.access import DEFAULT_SCOPES, SCOPES, Permission
from customers.addresses import NoNetwork, read_network
from customers.intake import NAME_MAX, NETWORKS_MOST
from customers.issuing import OVERLAP_HOURS, OVERLAP_HOURS_MOST, KeyOrder
from customers.models import Mode, new_key_id
from sora2.forms import MomentField, NewIdField, PlainForm, overlap_field, text_input, whole_number

REASON_MAX = 600
MEANINGS = {
    Permission.BATCHES_READ: "See batches, their items and videos, and the models on offer.",
    Permission.BATCHES_WRITE: "Price, order, cancel and retry batches: it spends credits.",
    Permission.LEDGER_READ: "See the wallet, its entries, statements and proofs.",
    Permission.WEBHOOKS_READ: "See webhook endpoints and deliveries. Never a secret.",
    Permission.WEBHOOKS_WRITE: "Make, change, test and delete webhook endpoints, rotate their secrets, send again.",
    Permission.KEYS_WRITE: "Make, rotate and revoke API keys of the same mode.",
}


def name_field() -> forms.CharField:
    """Return a field for the name of a key."""
    return forms.CharField(
        label="Name",
        max_length=NAME_MAX,
        widget=text_input(),
        help_text="By which you know it: the program that uses it, for one.",
        error_messages={"required": "Give it a name, so that you know it again."},
    )


class KeyForm(PlainForm):
    """What a new key is to be. `token` is its id, signed: so that a form that is sent twice makes one key."""

    token = NewIdField(new_key_id, salt="customers.new_key")
    mode = forms.ChoiceField(widget=forms.HiddenInput, choices=Mode.choices)
    name = name_field()
    scopes = forms.MultipleChoiceField(
        label="It may",
        choices=[(str(scope), MEANINGS[scope]) for scope in SCOPES],
        initial=[str(scope) for scope in DEFAULT_SCOPES],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Tick at least one: a key that may do nothing is of no use."},
    )
    expires_at = MomentField(
        label="Expires, UTC",
        required=False,
        help_text="From then on it no longer works. Empty: never.",
        error_messages={"invalid": "Write a time in UTC, such as 2026-12-31 00:00, or nothing."},
    )
    budget_credits = whole_number(
        "Budget, credits",
        most=BigIntegerField.MAX_BIGINT,
        required=False,
        help_text="What all its batches may hold and be charged together. It cannot be raised later. Empty: no limit "
        "but the wallet.",
    )
    allowed_networks = forms.CharField(
        label="Networks",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "placeholder": "203.0.113.0/24"}),
        help_text="From where it works, one a line: 203.0.113.0/24, 2001:db8::/32, or a single address. Empty: from "
        "anywhere.",
    )

    def __init__(self, *given: Any, now: datetime, **more: Any) -> None:
        super().__init__(*given, **more)
        self.now = now

    def clean_expires_at(self) -> datetime | None:
        """Return when the key expires; that is yet to come."""
        at: datetime | None = self.cleaned_data["expires_at"]
        if at is not None and at <= self.now:
            raise forms.ValidationError("This is over. Write a time to come, or nothing.")
        return at

    def clean_allowed_networks(self) -> list[str]:
        """Return the networks, each once; whatever is wrong with a line is said with its number."""
        lines = self.cleaned_data["allowed_networks"].splitlines()
        read: dict[str, None] = {}
        faults = []
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    read[read_network(line)] = None
                except NoNetwork as error:
                    faults.append(f"Line {number}: {error}")
        if len(read) > NETWORKS_MOST:
            faults.append(f"These are {len(read)} networks; a key has {NETWORKS_MOST} at most.")
        if faults:
            raise forms.ValidationError(faults)
        return list(read)

    def order(self) -> KeyOrder:
        """Return what is ordered."""
        asked = self.cleaned_data
        return KeyOrder(
            name=asked["name"],
            scopes=[scope for scope in SCOPES if scope in asked["scopes"]],
            expires_at=asked["expires_at"],
            budget_credits=asked["budget_credits"],
            allowed_networks=asked["allowed_networks"],
        )


class RotateForm(PlainForm):
    """For how long the old secret works too. `seen` is the secret that the form was opened with."""

    seen = forms.CharField(widget=forms.HiddenInput)
    overlap_hours = overlap_field("works", usual=OVERLAP_HOURS, most=OVERLAP_HOURS_MOST)


class RenameForm(PlainForm):
    """Another name for a key."""

    name = name_field()


class RevokeForm(PlainForm):
    """Why a key ends; may stay empty."""

    reason = forms.CharField(
        label="Why",
        required=False,
        max_length=REASON_MAX,
        widget=text_input(),
        help_text="May stay empty. The record keeps your name, the time and this.",
    )
