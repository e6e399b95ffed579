"""The forms with which our own people change models and prices. What they refuse, they refuse in words."""

import copy
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import model_to_dict

from batches.catalogue import SIMULATOR
from batches.catalogue_models import NAME
from batches.catalogue_pages import Offer
from batches.models import CatalogueModel, PriceList, ProviderRoute
from batches.offering import NewPrice
from sora2.forms import MomentField, PlainForm, text_input, whole_number
from sora2.seen import seen_name

# What the database holds of a small whole number.
SMALL_MAX = 32_767
SECONDS_MAX = 3600
SIZE = re.compile(r"[1-9][0-9]{1,4}x[1-9][0-9]{1,4}")
# The address of the page that makes a new one.
NEW = "new"


def new_name(value: str, *, what: str, exists: bool) -> str:
    """Return a name that is free. Raises ValidationError."""
    NAME(value)
    if exists or value == NEW:
        raise ValidationError(f"There is a {what} of this name already." if exists else "Take another name.")
    return value


class ListField(forms.CharField):
    """Some values, separated by commas, each once."""

    def to_python(self, value: Any) -> Any:
        """Return the values as texts."""
        return [part for part in re.split(r"[,\s]+", super().to_python(value) or "") if part]

    def prepare_value(self, value: Any) -> Any:
        """Return the values as they are written here."""
        return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


# --- models --------------------------------------------------------------------------------------------------------


class ModelForm(PlainForm):
    """A model on offer. `seen` is what it was when the form was opened: who comes second is told so."""

    seen = forms.CharField(required=False, widget=forms.HiddenInput)
    name = forms.CharField(
        label="Name", max_length=60, widget=text_input(), help_text="What customers order. It cannot be changed later."
    )
    route = forms.ChoiceField(
        label="Route", required=False, help_text="Where live items go. Test items always go to the simulator."
    )
    provider_model = forms.CharField(
        label="Provider's name",
        required=False,
        max_length=200,
        widget=text_input(),
        help_text="What the provider calls it. Empty: the same name.",
    )
    seconds = ListField(
        label="Lengths, seconds", widget=text_input(inputmode="text"), help_text="Separated by commas, such as 4, 8, 12"
    )
    default_seconds = whole_number("Usual length", most=SECONDS_MAX, help_text="Of an item that names none.")
    sizes = ListField(
        label="Sizes", widget=text_input(), help_text="Separated by commas, such as 1280x720. The first is the usual."
    )
    deadline_seconds = whole_number(
        "Deadline, seconds",
        required=False,
        help_text="How long the provider may take over a clip. Empty: ITEM_DEADLINE_SECONDS.",
    )
    deprecated_at = MomentField(
        label="Deprecated from",
        required=False,
        help_text="Time in UTC, or now. From then on orders are taken, with a warning.",
    )
    sunset_at = MomentField(
        label="Retired from",
        required=False,
        help_text="Time in UTC, or now. From then on orders are refused, and what waits is refunded.",
    )
    replacement = forms.ChoiceField(label="Replacement", required=False, help_text="What to order instead.")
    position = whole_number("Place in the list", most=SMALL_MAX, least=0, initial=0)

    def __init__(self, *given: Any, model: CatalogueModel, now: datetime, **more: Any) -> None:
        self.model, self.is_new = model, model._state.adding
        shown = {} if self.is_new else {**model_to_dict(model), "seen": fingerprint(model)}
        super().__init__(*given, **{"initial": shown, **more})
        if not self.is_new:
            del self.fields["name"]
        for field in self.fields.values():
            if isinstance(field, MomentField):
                field.now = now.replace(microsecond=0)
        routes = ProviderRoute.objects.exclude(pk=SIMULATOR).order_by("name").values_list("name", flat=True)
        others = CatalogueModel.objects.exclude(pk=model.pk).order_by("position", "name").values_list("name", flat=True)
        _choose(self.fields["route"], "the usual: openai where it has an address", routes)
        _choose(self.fields["replacement"], "none", others)

    def clean_name(self) -> str:
        """Return a name that no model has."""
        name: str = self.cleaned_data["name"]
        return new_name(name, what="model", exists=CatalogueModel.objects.filter(pk=name).exists())

    def clean_seconds(self) -> list[int]:
        """Return the lengths, the shortest first."""
        texts: list[str] = self.cleaned_data["seconds"]
        if wrong := [text for text in texts if not (text.isascii() and text.isdigit() and len(text) < 6)]:
            raise ValidationError(f"This is no whole number of seconds: {', '.join(wrong)}.")
        lengths = sorted(set(map(int, texts)))
        if lengths[0] < 1 or lengths[-1] > SECONDS_MAX:
            raise ValidationError(f"A clip has 1 to {SECONDS_MAX:,} seconds.")
        return lengths

    def clean_sizes(self) -> list[str]:
        """Return the sizes, in the order in which they were written."""
        sizes = list(dict.fromkeys(self.cleaned_data["sizes"]))
        if wrong := [size for size in sizes if not SIZE.fullmatch(size)]:
            raise ValidationError(f"This is no size in pixels, such as 1280x720: {', '.join(wrong)}.")
        return sizes

    def clean(self) -> dict[str, Any]:
        """Refuse what was written about a model that somebody has changed since."""
        cleaned: dict[str, Any] = self.cleaned_data
        if not self.is_new and cleaned.get("seen") != fingerprint(self.model):
            raise ValidationError(
                "Somebody has changed this model since you opened the page, and nothing of yours is saved. "
                "Open the page again, and look at what it is now."
            )
        return cleaned

    def changed(self) -> CatalogueModel:
        """Return the model as it would be."""
        after = copy.copy(self.model)
        given = {name: value for name, value in self.cleaned_data.items() if name != "seen"}
        for name in ("route", "replacement"):
            given[f"{name}_id"] = given.pop(name) or None
        for name in ("deprecated_at", "sunset_at"):
            given[name] = _same_second(getattr(self.model, name), given[name])
        for name, value in given.items():
            setattr(after, name, value)
        return after


def fingerprint(model: CatalogueModel) -> str:
    """Return a text that is another one when any field is."""
    return seen_name({name: str(value) for name, value in model_to_dict(model).items()})


def _choose(field: forms.Field, empty: str, names: Iterable[str]) -> None:
    if isinstance(field, forms.ChoiceField):
        field.choices = [("", empty), *((name, name) for name in names)]


def _same_second(before: datetime | None, after: datetime | None) -> datetime | None:
    """Return the time as it was where only its fraction of a second, which the form does not show, is another."""
    is_same = before is not None and after is not None and before.replace(microsecond=0) == after
    return before if is_same else after


# --- prices --------------------------------------------------------------------------------------------------------


class PricesForm(PlainForm):
    """A new price list: two figures for each model, and from when on it is in force and why."""

    version = forms.CharField(
        label="Version",
        max_length=40,
        widget=text_input(),
        help_text="Such as its date. Batches keep it, and customers see it.",
    )
    effective_from = MomentField(
        label="In force from", help_text="Time in UTC, or now. Batches accepted before keep their prices."
    )
    reason = forms.CharField(
        label="Reason",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Only our own people see it.",
    )

    def __init__(self, *given: Any, offers: Sequence[Offer], now: datetime, **more: Any) -> None:
        super().__init__(*given, **more)
        self.offers, self.now = offers, now
        moment = self.fields["effective_from"]
        if isinstance(moment, MomentField):
            moment.now = now
        for offer in offers:
            credits, seconds = names_of_price(offer.row.name)
            priced = offer.priced
            self.fields[credits] = whole_number(f"{offer.row.name}: credits", initial=priced and priced.credits)
            base = priced.base_seconds if priced else offer.row.default_seconds
            self.fields[seconds] = whole_number(f"{offer.row.name}: for seconds", most=SECONDS_MAX, initial=base)

    def clean_version(self) -> str:
        """Return a version that no list has."""
        version: str = self.cleaned_data["version"]
        return new_name(version, what="price list", exists=PriceList.objects.filter(pk=version).exists())

    def clean_effective_from(self) -> datetime:
        """Return a time to come, or this moment."""
        at: datetime = self.cleaned_data["effective_from"]
        if at < self.now:
            raise ValidationError("Prices cannot change in the past. Take a time to come, or now.")
        return at

    def terms(self) -> list[forms.BoundField]:
        """Return the fields that are not prices."""
        return [self[name] for name in self.base_fields]

    def rows(self) -> list[tuple[Offer, forms.BoundField, forms.BoundField]]:
        """Return each model with its two fields."""
        named = [(offer, *names_of_price(offer.row.name)) for offer in self.offers]
        return [(offer, self[credits], self[seconds]) for offer, credits, seconds in named]

    def prices(self) -> list[NewPrice]:
        """Return what was written."""
        return [
            NewPrice(offer.row.name, *(self.cleaned_data[name] for name in names_of_price(offer.row.name)))
            for offer in self.offers
        ]


def names_of_price(model: str) -> tuple[str, str]:
    """Return the names of a model's two fields."""
    return f"{model} credits", f"{model} seconds"
