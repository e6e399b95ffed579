"""The form of an account's settings."""

import re
from dataclasses import asdict
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import ProhibitNullCharactersValidator, validate_email
from django.db.models import EmailField
from django.http import QueryDict

from customers.account_settings import EMAILS_MOST, Settings
from sora2.forms import PlainForm, text_input
from sora2.zones import zone_names

ADDRESS_LONGEST = EmailField().max_length or 0
# How much of a text that is not understood is said back, and how many of them are.
SHOWN, FAULTS_SHOWN = 60, 10


class EmailsField(forms.Field):
    """E-mail addresses, one a line or separated by commas; one that is named twice counts once."""

    widget = forms.Textarea(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        """Return addresses as they are written here."""
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:
        """Return the addresses in their order. Raises ValidationError with all that are none."""
        ProhibitNullCharactersValidator()(value)
        written = [text for text in re.split(r"[\s,;]+", value or "") if text]
        faults = [f"{text[:SHOWN]!r} is no e-mail address." for text in written if not _is_address(text)]
        if faults:
            raise ValidationError(faults[:FAULTS_SHOWN])
        found: dict[str, str] = {}
        for text in written:
            found.setdefault(text.casefold(), text)
        if len(found) > EMAILS_MOST:
            raise ValidationError(f"These are {len(found):,} addresses; {EMAILS_MOST} are kept at most.")
        return list(found.values())


class SettingsForm(PlainForm):
    """Whom to tell, and the time zone. `seen` are the settings that the form was opened with."""

    contact_email = forms.EmailField(
        label="Contact",
        required=False,
        max_length=ADDRESS_LONGEST,
        widget=text_input(inputmode="email"),
        help_text="Of the account in general. Told of whatever has no addresses of its own below.",
        error_messages={"invalid": "This is no e-mail address."},
    )
    technical_emails = EmailsField(
        label="Technical",
        required=False,
        help_text=f"Told when webhooks do not arrive. One a line, at most {EMAILS_MOST}. "
        "Empty: the contact, and your administrators and developers.",
    )
    finance_emails = EmailsField(
        label="Finance",
        required=False,
        help_text=f"Told when live credits run low. One a line, at most {EMAILS_MOST}. "
        "Empty: the contact, or without one your administrators and finance people.",
    )
    time_zone = forms.CharField(
        label="Time zone",
        max_length=50,
        widget=text_input(list="zones"),
        help_text="Where the months of your statements begin and end, such as Europe/Berlin.",
        error_messages={"required": "Write a time zone, such as Europe/Berlin, or UTC."},
    )
    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    def clean_time_zone(self) -> str:
        """Return the zone's name."""
        zone: str = self.cleaned_data["time_zone"]
        if zone not in zone_names():
            raise ValidationError(f"{zone!r} is no time zone: write it like Europe/Berlin, or UTC.")
        return zone

    def settings(self) -> Settings:
        """Return what is wanted."""
        return Settings(**{name: value for name, value in self.cleaned_data.items() if name != "seen"})

    def differences(self, now: Settings) -> list[tuple[str, str]]:
        """Return what is otherwise now than it is wanted: the field's label, and how it is."""
        wanted = asdict(self.settings())
        differing = {name: value for name, value in asdict(now).items() if value != wanted[name]}
        return [
            (str(self.fields[name].label), ", ".join(value) if isinstance(value, list) else value)
            for name, value in differing.items()
        ]

    def show_again(self, now: Settings) -> None:
        """Let the form be sent again by who has seen how the settings are now."""
        self.data = {**self.data.dict(), "seen": now.seen} if isinstance(self.data, QueryDict) else self.data


def _is_address(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return len(text) <= ADDRESS_LONGEST
