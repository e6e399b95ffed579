"""The models on offer at a moment, what they cost, and the routes that run them: read from the rows that staff edit.

A model's name is an alias: which provider makes the video is the route's business. Changes: batches.offering.
"""

import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import cast

from django.conf import settings
from django.db.models import Q
from structlog import get_logger

from batches.catalogue_models import in_proportion
from batches.models import CatalogueModel, Price, PriceList, ProviderRoute
from batches.providers import Provider
from batches.providers.adapters import Kind, adapter
from customers.models import Mode
from sora2.crypto import UnreadableSecret, decrypt

log = get_logger(__name__)

DEFAULT_MODEL = "sora-2"


class LifeCycle(StrEnum):
    """Whether a model is taken: deprecated ones are, with a warning; retired ones are not."""

    ACTIVE = "active"
    DEPRECATED = "deprecated"
    RETIRED = "retired"


@dataclass(frozen=True)
class Model:
    """A model on offer: `credits` for `base_seconds`, longer clips in proportion, rounded up to a whole credit."""

    name: str
    credits: int
    base_seconds: int
    seconds: tuple[int, ...]
    default_seconds: int
    sizes: tuple[str, ...]
    status: LifeCycle = LifeCycle.ACTIVE
    deprecated_at: datetime | None = None
    sunset_at: datetime | None = None
    replacement: str | None = None

    @property
    def default_size(self) -> str:
        """Return the size of an item that names none."""
        return self.sizes[0]

    def price(self, seconds: int) -> int:
        """Return the credits of one clip of `seconds`."""
        return in_proportion(self.credits, base_seconds=self.base_seconds, seconds=seconds)


@dataclass(frozen=True)
class Catalogue:
    """What is on offer at a moment, by name, retired models too; and the version of its prices."""

    models: Mapping[str, Model]
    price_version: str

    @property
    def offered(self) -> list[Model]:
        """Return the models that may be ordered, in the catalogue's order."""
        return [model for model in self.models.values() if model.status != LifeCycle.RETIRED]


class NothingOnOffer(Exception):
    """There is no price list whose time has come: staff must write one."""


def catalogue(*, now: datetime) -> Catalogue:
    """Return what is on offer at `now`. Two queries. Raises NothingOnOffer.

    A model that the list in force does not name, because it came when that was written already, keeps its last price.
    """
    begun = PriceList.objects.filter(effective_from__lte=now).newest_first()
    in_force = begun.first()
    if in_force is None:
        raise NothingOnOffer
    newest = Price.objects.filter(price_list__in=begun).order_by(
        "model_id", "-price_list__effective_from", "-price_list__created_at"
    )
    prices = newest.distinct("model_id").select_related("model")
    ordered = sorted(prices, key=lambda price: (price.model.position, price.model_id))
    return Catalogue({price.model_id: model_of(price, now) for price in ordered}, in_force.version)


def priced_by(version: str) -> dict[str, Price]:
    """Return each model's price in a price list, or in the last one before that names it; two queries.

    Empty for a version that is not known.
    """
    prices = PriceList.objects.filter(pk=version).first()
    if prices is None:
        return {}
    at_once = Q(price_list__effective_from=prices.effective_from, price_list__created_at__lte=prices.created_at)
    until_then = Price.objects.filter(at_once | Q(price_list__effective_from__lt=prices.effective_from))
    newest = until_then.order_by("model_id", "-price_list__effective_from", "-price_list__created_at")
    return {price.model_id: price for price in newest.distinct("model_id")}


def model_of(price: Price, now: datetime) -> Model:
    """Return the model of a price as it is on offer at `now`."""
    row = price.model
    return Model(
        name=row.name,
        credits=price.credits,
        base_seconds=price.base_seconds,
        seconds=tuple(row.seconds),
        default_seconds=row.default_seconds,
        sizes=tuple(row.sizes),
        status=life_cycle(row, now),
        deprecated_at=row.deprecated_at,
        sunset_at=row.sunset_at,
        replacement=row.replacement_id,
    )


def life_cycle(row: CatalogueModel, now: datetime) -> LifeCycle:
    """Return where a model is in its life at `now`."""
    if row.sunset_at is not None and row.sunset_at <= now:
        return LifeCycle.RETIRED
    is_deprecated = row.deprecated_at is not None and row.deprecated_at <= now
    return LifeCycle.DEPRECATED if is_deprecated else LifeCycle.ACTIVE


@dataclass(frozen=True)
class Line:
    """One line of a price: `count` clips of one model and length, at `unit_credits` each."""

    model: str
    seconds: int
    count: int
    unit_credits: int

    @property
    def credits(self) -> int:
        """Return what the line costs."""
        return self.count * self.unit_credits


def price_lines(clips: Iterable[tuple[str, int, int]]) -> list[Line]:
    """Return the price lines of clips given as (model, seconds, unit credits), by model and length."""
    ordered = sorted(clips)
    return [Line(model, seconds, len(list(same)), unit) for (model, seconds, unit), same in groupby(ordered)]


# --- routes --------------------------------------------------------------------------------------------------------

SIMULATOR, OPENAI = "simulator", "openai"
MAX_IN_FLIGHT = 100
DEADLINE_MOST_SECONDS = 30 * 86_400.0


@dataclass(frozen=True)
class Route:
    """Where jobs go. `max_in_flight` bounds the items that the provider has at once, `submits_per_minute` (None: no
    limit) how fast they come; `deadline_seconds` is how long it may take over one at most, from its first submit.
    """

    name: str
    base_url: str
    api_key: str = field(repr=False)
    max_in_flight: int
    deadline_seconds: float
    kind: Kind = "openai"
    submits_per_minute: int | None = None
    is_paused: bool = False

    @property
    def is_scripted(self) -> bool:
        """Say whether its refusals come from marks in prompts: they say nothing about the provider's health."""
        return self.name == SIMULATOR


@dataclass(frozen=True)
class Terms:
    """How one model's items are run: what the provider calls the model, and how long it may take over a clip."""

    provider_model: str
    deadline_seconds: float


def routes() -> Sequence[Route]:
    """Return the routes that have an address, those that customers pay for first. One query."""
    found = [route for row in ProviderRoute.objects.order_by("name") if (route := _route(row))]
    return sorted(found, key=lambda route: (route.name == SIMULATOR, route.name != OPENAI))


def route_named(name: str) -> Route | None:
    """Return a route, or None when it is unknown or has no address."""
    return next((route for route in routes() if route.name == name), None)


def routing(mode: Mode | str) -> Mapping[str, str]:
    """Return the route of each model for new items of `mode`. Test mode is always the simulator's."""
    rows = CatalogueModel.objects.values_list("name", "route_id")
    if mode == Mode.TEST:
        return {name: SIMULATOR for name, _ in rows}
    usual = usual_route()
    return {name: own or usual for name, own in rows}


def usual_route() -> str:
    """Return the route of a live model that has none of its own: `openai` where that has an address, else the
    simulator. Outside DEBUG the check sora2.E007 asks for an address.
    """
    return OPENAI if settings.PROVIDER_OPENAI_BASE_URL or _has_address(OPENAI) else SIMULATOR


def terms(route: Route) -> Mapping[str, Terms]:
    """Return how each model's items are run on a route. The simulator knows our own names."""
    rows = CatalogueModel.objects.values_list("name", "provider_model", "deadline_seconds")
    return {
        name: Terms(
            provider_model=name if route.name == SIMULATOR else provider_model or name,
            deadline_seconds=float(min(deadline or settings.ITEM_DEADLINE_SECONDS, route.deadline_seconds)),
        )
        for name, provider_model, deadline in rows
    }


def retired_models(*, now: datetime) -> list[str]:
    """Return the models that nothing is submitted for any more."""
    return list(CatalogueModel.objects.filter(sunset_at__lte=now).values_list("name", flat=True))


def provider_of(route: Route) -> Provider:
    """Return the adapter for a route."""
    return _adapter(
        route.kind, route.base_url, route.api_key, settings.SUBMIT_TIMEOUT_SECONDS, settings.DOWNLOAD_TIMEOUT_SECONDS
    )


@functools.lru_cache(maxsize=32)
def _adapter(kind: Kind, base_url: str, api_key: str, submit_seconds: float, download_seconds: float) -> Provider:
    """One adapter, with its connections, per process and address."""
    return adapter(
        kind,
        base_url,
        api_key,
        submit_timeout_seconds=submit_seconds,
        download_timeout_seconds=download_seconds,
    )


def _route(row: ProviderRoute) -> Route | None:
    base_url, api_key, in_flight, deadline = _from_environment(row.name)
    base_url = row.base_url or base_url
    if not base_url:
        return None
    try:
        api_key = _key(row) or api_key
    except UnreadableSecret:
        log.error("batches.route_key_unreadable", route=row.name)
        return None
    return Route(
        name=row.name,
        base_url=base_url,
        api_key=api_key,
        max_in_flight=row.max_in_flight or in_flight,
        deadline_seconds=deadline,
        kind=cast(Kind, row.kind),
        submits_per_minute=row.submits_per_minute,
        is_paused=row.paused_at is not None,
    )


def _from_environment(name: str) -> tuple[str, str, int, float]:
    """Return what the settings say of a route: address, key, items in flight, and the most time for one."""
    if name == SIMULATOR:
        deadline = min(settings.PROVIDER_SIMULATOR_DEADLINE_SECONDS, settings.ITEM_DEADLINE_SECONDS)
        return settings.PROVIDER_SIMULATOR_BASE_URL, "", settings.PROVIDER_SIMULATOR_MAX_IN_FLIGHT, deadline
    if name == OPENAI:
        url, key = settings.PROVIDER_OPENAI_BASE_URL, settings.PROVIDER_OPENAI_API_KEY
        return url, key, settings.PROVIDER_OPENAI_MAX_IN_FLIGHT, DEADLINE_MOST_SECONDS
    return "", "", MAX_IN_FLIGHT, DEADLINE_MOST_SECONDS


def _key(row: ProviderRoute) -> str:
    if row.api_key_encrypted:
        return decrypt(row.api_key_encrypted)
    return os.environ.get(row.api_key_variable, "") if row.api_key_variable else ""


def _has_address(name: str) -> bool:
    return ProviderRoute.objects.filter(pk=name).exclude(base_url="").exists()
