"""What the page of prices shows: the catalogue as it is, price lists to come, the package, and an estimate."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms

from batches.catalogue import Catalogue, LifeCycle, Model, NothingOnOffer, catalogue
from batches.models import PriceList
from ledger.packages import LIST_PRICE, PREPAID
from sora2.forms import whole_number

CLIPS_MOST = 1_000_000


@dataclass(frozen=True)
class Clip:
    """A clip of one length: its credits, and what they cost at the list price and out of the package."""

    seconds: int
    credits: int

    @property
    def listed(self) -> int:
        """Return its price at the list price, in cents."""
        return LIST_PRICE.cents(self.credits)

    @property
    def prepaid(self) -> int:
        """Return what its credits have cost in the package, in cents."""
        return PREPAID.cents_of(self.credits)


@dataclass(frozen=True)
class Offer:
    """A model on offer and its clips; `base` is the clip that its price is for, and what the package buys of it."""

    model: Model
    clips: list[Clip]

    @property
    def base(self) -> Clip:
        """Return the clip that the price is for."""
        return Clip(self.model.base_seconds, self.model.credits)

    @property
    def bought(self) -> int:
        """Return how many of those the package buys, about."""
        return PREPAID.clips(self.model.credits)

    @property
    def cents_bought(self) -> int | None:
        """Return what one of them then costs, in cents."""
        return PREPAID.cents_per_clip(self.model.credits)


@dataclass(frozen=True)
class Change:
    """A price that is to come, beside the one of now; None where there is none now."""

    model: str
    before: Model | None
    after: Model


@dataclass(frozen=True)
class ToCome:
    """The next price list: its version, from when on it counts, and what it changes."""

    version: str
    at: datetime
    changes: list[Change]


@dataclass(frozen=True)
class Prices:
    """The prices in force, under which version and since when; what may be ordered, what no more, and what comes."""

    version: str
    since: datetime
    offers: list[Offer]
    retired: list[Model]
    to_come: ToCome | None


def prices(*, now: datetime) -> Prices | None:
    """Return the prices in force at `now`; None while there are none."""
    try:
        offered = catalogue(now=now)
    except NothingOnOffer:
        return None
    in_force = PriceList.objects.get(pk=offered.price_version)
    return Prices(
        version=in_force.version,
        since=in_force.effective_from,
        offers=[Offer(model, [Clip(n, model.price(n)) for n in model.seconds]) for model in offered.offered],
        retired=[model for model in offered.models.values() if model.status == LifeCycle.RETIRED],
        to_come=_to_come(offered, now=now),
    )


def _to_come(offered: Catalogue, *, now: datetime) -> ToCome | None:
    following = PriceList.objects.filter(effective_from__gt=now).order_by("effective_from", "-created_at").first()
    if following is None:
        return None
    then = catalogue(now=following.effective_from)
    changes = [Change(name, offered.models.get(name), model) for name, model in then.models.items()]
    return ToCome(following.version, following.effective_from, [change for change in changes if _is_change(change)])


def _is_change(change: Change) -> bool:
    before, after = change.before, change.after
    if after.status == LifeCycle.RETIRED:
        return False
    return before is None or (before.credits, before.base_seconds) != (after.credits, after.base_seconds)


# --- the estimate --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """What a number of clips costs."""

    model: str
    seconds: int
    count: int
    unit: int

    @property
    def whole(self) -> Clip:
        """Return all of them as one."""
        return Clip(self.seconds, self.count * self.unit)


class EstimateForm(forms.Form):
    """Which clips, and how many."""

    model = forms.ChoiceField(label="Model")
    seconds = forms.TypedChoiceField(label="Seconds", coerce=int)
    count = whole_number("Videos", most=CLIPS_MOST)

    def __init__(self, data: Mapping[str, Any], offers: list[Offer]) -> None:
        self.models = {offer.model.name: offer.model for offer in offers}
        first = offers[0].model
        given = {name: data[name] for name in ("model", "seconds", "count") if name in data}
        super().__init__({"model": first.name, "seconds": str(first.default_seconds), "count": "100", **given})
        self.fields["model"].choices = [(name, name) for name in self.models]  # type: ignore[attr-defined]
        lengths = sorted({seconds for model in self.models.values() for seconds in model.seconds})
        self.fields["seconds"].choices = [(str(n), str(n)) for n in lengths]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Refuse a length that the model does not make."""
        said = super().clean() or {}
        model, seconds = self.models.get(said.get("model", "")), said.get("seconds")
        if model and seconds and seconds not in model.seconds:
            *others, last = map(str, model.seconds)
            made = f"{', '.join(others)} or {last}" if others else last
            self.add_error("seconds", f"{model.name} makes clips of {made} seconds.")
        return said

    def estimate(self) -> Estimate | None:
        """Return what it comes to; None while the form has faults."""
        if not self.is_valid():
            return None
        said = self.cleaned_data
        model = self.models[said["model"]]
        return Estimate(model.name, said["seconds"], said["count"], model.price(said["seconds"]))
