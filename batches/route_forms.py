"""The forms with which our own people change routes. The provider's key goes in, and never comes out again."""

import copy
import re
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import model_to_dict

from batches.catalogue_forms import new_name
from batches.models import ProviderRoute
from sora2.forms import PlainForm, text_input, whole_number

KEY = re.compile(r"[\x21-\x7e]+")
# Only such variables: another one may hold a secret of our own, which no provider may be sent.
VARIABLE = re.compile(r"PROVIDER_[A-Z0-9_]+")


class LimitsForm(PlainForm):
    """How much a route may be given at once; empty is what the settings say."""

    max_in_flight = whole_number("In flight, at most", required=False, help_text="Empty: what the settings say.")
    submits_per_minute = whole_number("Submits a minute", required=False, help_text="At most. Empty: no limit.")

    def __init__(self, *given: Any, route: ProviderRoute, **more: Any) -> None:
        super().__init__(*given, **{"initial": model_to_dict(route), **more})
        self.route = route

    def changed(self) -> ProviderRoute:
        """Return the route with these limits."""
        after = copy.copy(self.route)
        after.max_in_flight = self.cleaned_data["max_in_flight"]
        after.submits_per_minute = self.cleaned_data["submits_per_minute"]
        return after


class ProviderForm(PlainForm):
    """Where a route goes. The key is only ever written: what is stored is not shown."""

    name = forms.CharField(label="Name", max_length=40, widget=text_input(), help_text="It cannot be changed later.")
    kind = forms.ChoiceField(label="Kind", choices=ProviderRoute.Kind.choices, help_text="What its provider speaks.")
    base_url = forms.CharField(
        label="Address",
        required=False,
        max_length=500,
        widget=text_input(inputmode="url", placeholder="https://host/v1"),
        help_text="Prompts and the key are sent there. Empty: what the environment says, of openai and simulator.",
    )
    new_key = forms.CharField(
        label="Key",
        required=False,
        max_length=2000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Stored encrypted, and never shown.",
    )
    forget_key = forms.BooleanField(label="Forget the stored key", required=False)
    api_key_variable = forms.CharField(
        label="Key's variable",
        required=False,
        max_length=100,
        widget=text_input(placeholder="PROVIDER_…_API_KEY"),
        help_text="Where no key is stored: the environment variable that holds it, for web and workers.",
    )

    def __init__(self, *given: Any, route: ProviderRoute, **more: Any) -> None:
        self.route, self.is_new = route, route._state.adding
        super().__init__(*given, **{"initial": model_to_dict(route), **more})
        if not self.is_new:
            del self.fields["name"]
        if route.api_key_encrypted:
            self.fields["new_key"].help_text += " Empty: the stored one stays."
        else:
            del self.fields["forget_key"]

    @property
    def key(self) -> str | None:
        """Return the new key, the empty text to forget the stored one, or None to keep it."""
        written: str = self.cleaned_data["new_key"]
        return written or ("" if self.cleaned_data.get("forget_key") else None)

    def clean_name(self) -> str:
        """Return a name that no route has."""
        name: str = self.cleaned_data["name"]
        return new_name(name, what="route", exists=ProviderRoute.objects.filter(pk=name).exists())

    def clean_base_url(self) -> str:
        """Return an address that is one, and holds no secret: it is shown, and written into the audit log."""
        url: str = self.cleaned_data["base_url"].rstrip("/")
        if not url:
            return url
        try:
            parts = urlsplit(url)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_address = False
        if not is_address or not url.isascii() or re.search(r"[\s\x00-\x1f]", url):
            raise ValidationError("Write an address such as https://host/v1.")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValidationError(
                "No user, password or parameter belongs in an address: it is shown, and written down."
            )
        return url

    def clean_new_key(self) -> str:
        """Return a key that can travel in a header."""
        key: str = self.cleaned_data["new_key"].strip()
        if key and not KEY.fullmatch(key):
            raise ValidationError("A key is one word of ASCII characters. Write it again.")
        return key

    def clean_api_key_variable(self) -> str:
        """Return a variable that may hold a provider's key."""
        name: str = self.cleaned_data["api_key_variable"].removeprefix("$")
        if name and not VARIABLE.fullmatch(name):
            raise ValidationError("Its name begins with PROVIDER_, and has capital letters, digits and _ only.")
        return name

    def clean(self) -> dict[str, Any]:
        """Refuse what says two things at once."""
        cleaned: dict[str, Any] = self.cleaned_data
        if cleaned.get("forget_key") and cleaned.get("new_key"):
            self.add_error("forget_key", "Either write a new key, or have the stored one forgotten.")
        return cleaned

    def changed(self) -> ProviderRoute:
        """Return the route as it would be, but for its key."""
        after = copy.copy(self.route)
        for name in ("name", "kind", "base_url", "api_key_variable"):
            if name in self.cleaned_data:
                setattr(after, name, self.cleaned_data[name])
        return after
