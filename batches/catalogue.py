"""The models on offer, what they cost, and the route that runs them.

A model's name is an alias: which provider makes the video is the route's business.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from django.conf import settings

from batches.providers import Provider
from batches.providers.openai_videos import OpenAIVideos
from customers.models import Mode

PRICE_VERSION = "2026-01-24"
DEFAULT_MODEL = "sora-2"


@dataclass(frozen=True)
class Model:
    """A model on offer: `credits` for `base_seconds`, longer clips in proportion, rounded up to a whole credit."""

    name: str
    credits: int
    base_seconds: int
    seconds: tuple[int, ...]
    default_seconds: int
    sizes: tuple[str, ...]

    @property
    def default_size(self) -> str:
        """Return the size of an item that names none."""
        return self.sizes[0]

    def price(self, seconds: int) -> int:
        """Return the credits of one clip of `seconds`."""
        return -(-self.credits * seconds // self.base_seconds)


WIDE, TALL = "1280x720", "720x1280"
MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model("sora-2", 10, 4, (4, 8, 12), 4, (WIDE, TALL)),
        Model("sora-2-pro", 30, 4, (4, 8, 12), 4, (WIDE, TALL, "1792x1024", "1024x1792")),
        Model("veo-3", 97, 8, (4, 6, 8), 8, (WIDE, TALL, "1920x1080", "1080x1920")),
    )
}


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


@dataclass(frozen=True)
class Route:
    """Where jobs go. `max_in_flight` bounds the items that the provider has at once; `deadline_seconds` is how long
    it may take over one, from its first submit.
    """

    name: str
    base_url: str
    api_key: str
    max_in_flight: int
    deadline_seconds: float


def routes() -> Sequence[Route]:
    """Return the routes that the settings define, those that customers pay for first."""
    simulator = Route(
        SIMULATOR,
        settings.PROVIDER_SIMULATOR_BASE_URL,
        "",
        settings.PROVIDER_SIMULATOR_MAX_IN_FLIGHT,
        min(settings.PROVIDER_SIMULATOR_DEADLINE_SECONDS, settings.ITEM_DEADLINE_SECONDS),
    )
    if not settings.PROVIDER_OPENAI_BASE_URL:
        return [simulator]
    openai = Route(
        OPENAI,
        settings.PROVIDER_OPENAI_BASE_URL,
        settings.PROVIDER_OPENAI_API_KEY,
        settings.PROVIDER_OPENAI_MAX_IN_FLIGHT,
        settings.ITEM_DEADLINE_SECONDS,
    )
    return [openai, simulator]


def route_of(mode: Mode | str) -> str:
    """Return the route that runs items of `mode`: test mode is always the simulator's."""
    return OPENAI if mode == Mode.LIVE and settings.PROVIDER_OPENAI_BASE_URL else SIMULATOR


def provider_of(route: str) -> Provider:
    """Return the adapter for a route. Raises LookupError when the settings no longer define it."""
    for candidate in routes():
        if candidate.name == route:
            return _adapter(candidate)
    raise LookupError(f"No provider is configured for the route {route!r}: set PROVIDER_OPENAI_BASE_URL.")


@functools.lru_cache(maxsize=8)
def _adapter(route: Route) -> Provider:
    """One adapter, with its connections, per process and route."""
    return OpenAIVideos(
        route.base_url,
        api_key=route.api_key,
        submit_timeout_seconds=settings.SUBMIT_TIMEOUT_SECONDS,
        download_timeout_seconds=settings.DOWNLOAD_TIMEOUT_SECONDS,
    )
