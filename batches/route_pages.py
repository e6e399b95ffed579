"""How the routes do: what their pages, finance's home and the metrics show. As many queries whatever their number."""

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.http import Http404

from batches.catalogue import OPENAI, SIMULATOR, LifeCycle, Route, life_cycle, routes, usual_route
from batches.execution.gate import health_by_route
from batches.failures import FailureType
from batches.models import CatalogueModel, ProviderRoute, RouteHealth, Stage
from customers.naming import names_for_staff
from sora2.crypto import UnreadableSecret, decrypt

# What waits is counted up to here where the answer must cost the same however much there is.
COUNTED_AT_MOST = 100_000

# What a provider did last, as whoever operates the route has to know it.
LAST_FAILURES: Mapping[str, str] = {
    FailureType.NETWORK_ERROR: "it could not be reached",
    FailureType.CAPACITY: "it had no capacity",
    FailureType.PROVIDER_ERROR: "it reported an error of its own",
    FailureType.PROVIDER_AUTH: "it refused our key",
    FailureType.AMBIGUOUS_SUBMIT: "it took a submit and never answered",
}


class Condition(StrEnum):
    """How a route does, in one word."""

    WORKS = "works"
    HELD = "held"
    SILENT = "silent"
    DOWN = "down"
    PAUSED = "paused"
    NOT_CONFIGURED = "not configured"


@dataclass(frozen=True)
class Load:
    """How many items a route has: waiting to be submitted, with the provider, to be fetched; and submits lately.

    `due_at` is, by stage, when the oldest item that nobody has claimed was due. `is_least`: more may wait.
    """

    waiting: int = 0
    in_flight: int = 0
    collecting: int = 0
    lately: int = 0
    due_at: Mapping[str, datetime] = field(default_factory=dict)
    is_least: bool = False

    @property
    def open(self) -> int:
        """Return all open items of the route."""
        return self.waiting + self.in_flight + self.collecting

    def late_seconds(self, stage: str, *, now: datetime) -> float:
        """Return how long the oldest item has been due for a stage; 0 when nothing is."""
        due_at = self.due_at.get(stage)
        return max(0.0, (now - due_at).total_seconds()) if due_at else 0.0


@dataclass(frozen=True)
class RouteState:
    """A route as it stands in its row, what the workers know of it, and the live models that it runs.

    `route` is None without an address, or with a key that cannot be read.
    """

    row: ProviderRoute
    route: Route | None
    health: RouteHealth
    models: tuple[str, ...]
    load: Load
    now: datetime
    paused_by: str = ""

    @property
    def name(self) -> str:
        """Return the route's name."""
        return self.row.name

    @property
    def condition(self) -> Condition:
        """Return the worst that is true of the route."""
        if self.route is None:
            return Condition.NOT_CONFIGURED
        if self.row.paused_at is not None:
            return Condition.PAUSED
        if self.health.opened_at is not None:
            return Condition.DOWN
        if self.is_held:
            return Condition.HELD
        return Condition.WORKS if self.health.unanswered_since is None else Condition.SILENT

    @property
    def is_shut(self) -> bool:
        """Say whether nothing is submitted until somebody acts, or the provider is back."""
        return self.condition in (Condition.NOT_CONFIGURED, Condition.PAUSED, Condition.DOWN)

    @property
    def shut_since(self) -> datetime:
        """Return since when nothing is submitted, as far as it is known."""
        if self.condition == Condition.NOT_CONFIGURED:
            return min(self.load.due_at.values(), default=self.now)
        return self.row.paused_at or self.health.opened_at or self.now

    @property
    def is_held(self) -> bool:
        """Say whether the provider has asked for patience."""
        return self.health.held_until is not None and self.health.held_until > self.now

    @property
    def unanswered_seconds(self) -> float:
        """Return for how long the provider has not answered about its jobs; 0 when it does."""
        since = self.health.unanswered_since
        return (self.now - since).total_seconds() if since else 0.0

    @property
    def last_failure(self) -> str:
        """Return in words what the provider did when it last failed."""
        known = self.health.last_failure
        return LAST_FAILURES.get(known, known.replace("_", " "))

    @property
    def last_detail(self) -> str:
        """Return the provider's own words for it. Some repeat the key that they refuse."""
        key = self.route.api_key if self.route else ""
        return self.health.last_detail.replace(key, "(the key)") if key else self.health.last_detail

    @property
    def address(self) -> str:
        """Return where the route goes, without what may be secret in an address."""
        return _shown(self.row.base_url or _address_in_environment(self.row))

    @property
    def address_from(self) -> str:
        """Return where the address comes from, in words."""
        if self.row.base_url:
            return "set here"
        return "from the environment" if self.address else "none"

    @property
    def key_from(self) -> str:
        """Return where the provider's key comes from, in words; never the key."""
        row = self.row
        if row.api_key_encrypted:
            return "stored, encrypted" if _is_readable(row) else "stored, and cannot be read"
        if row.api_key_variable and os.environ.get(row.api_key_variable):
            return f"from ${row.api_key_variable}"
        usual = "from the environment" if row.name == OPENAI and settings.PROVIDER_OPENAI_API_KEY else "none"
        return f"{usual}: ${row.api_key_variable} is not set" if row.api_key_variable else usual


# --- all routes ----------------------------------------------------------------------------------------------------

# Served by batches_item_due, which holds only what is with providers or to be fetched.
AT_PROVIDERS = """
    SELECT route, stage, count(*), min(due_at) FROM batches_item
    WHERE stage IN ('lookup', 'poll', 'collect') GROUP BY route, stage
"""
# Reads every item that waits: for who looks at the routes on purpose.
ALL_WAITING = "SELECT route, 'submit', count(*), min(due_at) FROM batches_item WHERE stage = 'submit' GROUP BY route"
# Served by batches_item_to_submit, the oldest batches first: there stands what a shut route holds back.
OLDEST_WAITING = """
    SELECT route, 'submit', count(*), min(due_at)
    FROM (SELECT route, due_at FROM batches_item WHERE stage = 'submit' ORDER BY batch_id, index LIMIT %(most)s) oldest
    GROUP BY route
"""
# Served by batches_attempt_by_time.
LATELY = """
    SELECT route, count(*) FROM batches_attempt
    WHERE route = ANY(%(routes)s) AND submitted_at > %(now)s - interval '60 seconds' GROUP BY route
"""


def all_routes(*, now: datetime) -> list[RouteState]:
    """Return every route with all its figures, exactly counted, those that customers pay for first."""
    states = _states(now)
    lately = dict(_rows(LATELY, routes=[state.name for state in states], now=now))
    loads = _loads(ALL_WAITING)
    return [
        replace(state, load=replace(loads.get(state.name, Load()), lately=lately.get(state.name, 0)))
        for state in states
    ]


def route_state(*, name: str, now: datetime) -> RouteState:
    """Return one route with all its figures. Raises Http404."""
    found = next((state for state in all_routes(now=now) if state.name == name), None)
    if found is None:
        raise Http404
    return found


def watched_routes(*, now: datetime) -> list[RouteState]:
    """Return every route with its load, for the metrics. Of what waits, at most COUNTED_AT_MOST items are counted."""
    return _with_loads(_states(now))


def routes_in_use(*, now: datetime) -> list[RouteState]:
    """Return the routes that run live models, and those that are shut while they have items: for finance's home.

    Items are only counted when some route is shut, of those that wait at most COUNTED_AT_MOST.
    """
    states = _states(now)
    if any(state.is_shut for state in states):
        states = _with_loads(states)
    return [state for state in states if state.models or (state.is_shut and state.load.open)]


def _states(now: datetime) -> list[RouteState]:
    """Return every route as yet without its load."""
    rows = sorted(ProviderRoute.objects.order_by("name"), key=lambda row: (row.name == SIMULATOR, row.name != OPENAI))
    usable = {route.name: route for route in routes()}
    health = health_by_route()
    models = _live_models(now)
    names = names_for_staff(row.paused_by for row in rows)
    return [
        RouteState(
            row=row,
            route=usable.get(row.name),
            health=health.get(row.name, RouteHealth(route=row.name)),
            models=tuple(models.get(row.name, ())),
            load=Load(),
            now=now,
            paused_by=names.get(row.paused_by, row.paused_by),
        )
        for row in rows
    ]


def _live_models(now: datetime) -> Mapping[str, list[str]]:
    """Return the live models that are not retired, by the route that new items of them take."""
    usual = usual_route()
    found = defaultdict(list)
    for model in CatalogueModel.objects.order_by("position", "name"):
        if life_cycle(model, now) != LifeCycle.RETIRED:
            found[model.route_id or usual].append(model.name)
    return found


def _with_loads(states: list[RouteState]) -> list[RouteState]:
    loads = _loads(OLDEST_WAITING)
    is_least = sum(load.waiting for load in loads.values()) >= COUNTED_AT_MOST
    return [replace(state, load=replace(loads.get(state.name, Load()), is_least=is_least)) for state in states]


def _loads(waiting: str) -> Mapping[str, Load]:
    found: dict[str, dict[str, tuple[int, datetime]]] = defaultdict(dict)
    for route, stage, count, due_at in _rows(f"{AT_PROVIDERS} UNION ALL {waiting}", most=COUNTED_AT_MOST):
        found[route][stage] = count, due_at
    return {route: _load(by_stage) for route, by_stage in found.items()}


def _load(by_stage: Mapping[str, tuple[int, datetime]]) -> Load:
    count = {stage: by_stage[stage][0] if stage in by_stage else 0 for stage in Stage.values}
    return Load(
        waiting=count[Stage.SUBMIT],
        in_flight=count[Stage.LOOKUP] + count[Stage.POLL],
        collecting=count[Stage.COLLECT],
        due_at={stage: due_at for stage, (_, due_at) in by_stage.items()},
    )


def _rows(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    named: Mapping[str, Any] = values
    with connection.cursor() as cursor:
        cursor.execute(sql, named)
        return list(cursor.fetchall())


# --- what a row says -----------------------------------------------------------------------------------------------


def _address_in_environment(row: ProviderRoute) -> str:
    known: Mapping[str, str] = {
        OPENAI: settings.PROVIDER_OPENAI_BASE_URL,
        SIMULATOR: settings.PROVIDER_SIMULATOR_BASE_URL,
    }
    return known.get(row.name, "")


def _shown(url: str) -> str:
    """Return an address without what may stand in it of a user, a password, or a key."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _is_readable(row: ProviderRoute) -> bool:
    try:
        decrypt(row.api_key_encrypted)
    except UnreadableSecret:
        return False
    return True
