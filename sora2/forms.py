"""What the forms of the pages have in common: numbers and times are written as text, and read in words."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.signing import BadSignature, Signer

# What the database holds of a whole number.
MOST = 2_147_483_647


class PlainForm(forms.Form):
    """A form whose labels end without a colon."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **{"label_suffix": "", **more})


def text_input(**attributes: str) -> forms.TextInput:
    """Return an input for a line of text, without the browser's own suggestions."""
    return forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", **attributes})


class OneLine(forms.CharField):
    """A text in which spaces are single and lines are one."""

    def to_python(self, value: Any) -> str:
        """Return the text as it is stored."""
        return " ".join(str(super().to_python(value) or "").split())


class NewIdField(forms.CharField):
    """The id that a new thing will have, signed by us: a form that is sent twice makes one."""

    widget = forms.HiddenInput
    default_error_messages = {
        "required": "Open this form anew: its number is missing.",
        "invalid": "Open this form anew: it does not come from here.",
    }

    def __init__(self, new_id: Callable[[], str], *, salt: str) -> None:
        self.salt = salt
        super().__init__(initial=lambda: self._signer().sign(new_id()))

    def clean(self, value: Any) -> str:
        """Return the id."""
        try:
            return self._signer().unsign(super().clean(value))
        except BadSignature as error:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from error

    def _signer(self) -> Signer:
        # Made when it is used: without a SECRET_KEY the forms load all the same, and the system checks say what lacks.
        return Signer(salt=self.salt)


def whole_number(label: str, *, most: int = MOST, least: int = 1, **more: Any) -> forms.IntegerField:
    """Return a field for a whole number, written as text."""
    return forms.IntegerField(
        label=label,
        min_value=least,
        max_value=most,
        widget=text_input(inputmode="numeric"),
        error_messages={"invalid": "Write a whole number without separators."},
        **more,
    )


def overlap_field(does: str, *, usual: int, most: int) -> forms.IntegerField:
    """Return a field for how long the secret before `does` what it is for, once it was rotated."""
    return whole_number(
        "Overlap, hours",
        least=0,
        most=most,
        initial=usual,
        help_text=f"For how long the old secret {does} too, 0 to {most}. 0: it is useless at once, as after a leak.",
    )


class MomentField(forms.DateTimeField):
    """A time in UTC, or the word now."""

    default_error_messages = {"invalid": "Write a time in UTC, such as 2026-12-31 00:00, or now."}

    def __init__(self, **more: Any) -> None:
        super().__init__(widget=text_input(placeholder="2026-12-31 00:00"), **more)
        self.now: datetime | None = None

    def to_python(self, value: Any) -> datetime | None:
        """Return the time."""
        if isinstance(value, str):
            text = value.strip().removesuffix("UTC").strip()
            if text.lower() == "now" and self.now is not None:
                return self.now
            value = text
        at = super().to_python(value)
        try:
            return at and at.astimezone(UTC)
        except OverflowError as error:  # In its own zone a year that there is, and in UTC none.
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from error

    def prepare_value(self, value: Any) -> Any:
        """Return the time as it is written here."""
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else value
