"""What the pages show of endpoints: how they do, what that means, and what happens next."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, QuerySet
from django.shortcuts import get_object_or_404

from customers.access import Access
from customers.account_pages import reached_organization
from customers.models import Organization
from sora2.pages import Rows, rows_after
from webhooks.delivery_pages import Log, Tried, Wanted, log
from webhooks.health import Health, disabled_at, health_of
from webhooks.models import (
    Attempt,
    DefaultSecret,
    Delivery,
    DeliveryQuerySet,
    Endpoint,
    EndpointQuerySet,
    Notice,
)
from webhooks.replay import Range
from webhooks.rotation import seen_of

ENDPOINTS_SHOWN, DELIVERIES_SHOWN, NOTICES_SHOWN = 50, 25, 20
# What did not arrive is counted up to here on the endpoint's page; before a replay it is counted exactly.
COUNTED_AT_MOST = 10_000

# Those that somebody must look at: they fail, or were disabled for it.
FAILING = Q(deleted_at=None, failing_since__isnull=False)
NOTICES: Mapping[str, str] = {
    Notice.Kind.FAILING: "it is failing",
    Notice.Kind.ABOUT_TO_BE_DISABLED: "it will be disabled",
    Notice.Kind.DISABLED: "it was disabled",
}


@dataclass(frozen=True)
class EndpointState:
    """An endpoint, its figures, and what they come to at this moment."""

    endpoint: Endpoint
    health: Health
    now: datetime

    @property
    def words(self) -> list[str]:
        """Return the state in a word, or two: what fails may be paused as well."""
        endpoint = self.endpoint
        if endpoint.deleted_at is not None:
            return ["deleted"]
        if not endpoint.enabled:
            return ["disabled"]
        state = "failing" if endpoint.failing_since else "healthy"
        return [state, "paused"] if self.is_paused else [state]

    @property
    def is_deleted(self) -> bool:
        """Say whether it was deleted: nothing can be asked of it any more."""
        return self.endpoint.deleted_at is not None

    @property
    def is_failing(self) -> bool:
        """Say whether it fails, and is tried on."""
        return self.endpoint.enabled and self.endpoint.failing_since is not None

    @property
    def is_paused(self) -> bool:
        """Say whether nothing is sent to it for a while."""
        return self.endpoint.pauses_until(self.now) is not None

    @property
    def disabled_by_us(self) -> bool:
        """Say whether it was disabled because it failed, or said that it wants nothing any more."""
        endpoint = self.endpoint
        return not endpoint.enabled and not self.is_deleted and endpoint.failing_since is not None

    @property
    def disabled_at(self) -> datetime | None:
        """Return when it is disabled if it goes on failing."""
        return disabled_at(self.endpoint)

    @property
    def next_attempt_at(self) -> datetime | None:
        """Return when something is sent next; None without anything, or while that is now."""
        at = self.health.next_attempt_at
        return at if at is not None and at > self.now else None

    @property
    def signs_twice(self) -> bool:
        """Say whether the secret before this one signs too."""
        return self.endpoint.rotates_until(self.now) is not None


# --- the list ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WantedEndpoints:
    """Which endpoints to list; the empty text is no restriction. `customer` is part of a name, or an id."""

    customer: str = ""
    mode: str = ""
    state: str = ""


STATES: Mapping[str, str] = {
    "failing": "failing, or disabled for it",
    "paused": "paused",
    "disabled": "disabled",
    "healthy": "healthy",
    "deleted": "deleted",
}


@dataclass(frozen=True)
class EndpointList:
    """Some endpoints, newest first; how many there are, and fail, of the customers and the mode asked for.

    `customer` is the only one that the filter names, or that somebody belongs to.
    """

    rows: list[EndpointState]
    page: Rows[Endpoint]
    count: int
    failing: int
    customer: Organization | None


def endpoint_list(access: Access, *, wanted: WantedEndpoints, cursor: str, now: datetime) -> EndpointList:
    """Return the endpoints that somebody reaches and wants; deleted ones only where they are asked for."""
    customers = _customers(access, wanted.customer)
    rows = Endpoint.objects.within(access)
    if wanted.customer:
        rows = rows.filter(organization__in=customers)
    if wanted.mode:
        rows = rows.filter(mode=wanted.mode)
    chosen = _in_state(rows, wanted.state, now)
    page = rows_after(chosen.select_related("organization"), key="-id", cursor=cursor, size=ENDPOINTS_SHOWN)
    health = health_of(page.rows, now=now)
    few = list(customers[:2]) if wanted.customer or access.organization_ids is not None else []
    return EndpointList(
        rows=[EndpointState(endpoint, health[endpoint.pk], now) for endpoint in page.rows],
        page=page,
        count=chosen.count(),
        failing=rows.filter(FAILING).count(),
        customer=few[0] if len(few) == 1 else None,
    )


def _customers(access: Access, text: str) -> QuerySet[Organization]:
    rows = Organization.objects.within(access).order_by("name", "pk")
    return rows.matching(text) if text else rows


def _in_state(rows: EndpointQuerySet, state: str, now: datetime) -> EndpointQuerySet:
    if state == "deleted":
        return rows.exclude(deleted_at=None)
    rows = rows.present()
    match state:
        case "failing":
            return rows.filter(FAILING)
        case "paused":
            return rows.filter(enabled=True, paused_until__gt=now)
        case "disabled":
            return rows.filter(enabled=False)
        case "healthy":
            return rows.filter(enabled=True, failing_since=None)
    return rows if not state else rows.none()


# --- an endpoint ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """A mail about the endpoint: what it said in a few words, and the mail."""

    words: str
    notice: Notice


@dataclass(frozen=True)
class EndpointPage:
    """An endpoint in full.

    `undelivered` counts what a replay of all that did not arrive would send, up to COUNTED_AT_MOST: then it is the
    least (`is_least`).
    """

    state: EndpointState
    last_failure: Tried | None
    undelivered: int
    is_least: bool
    notices: list[Told]
    log: Log
    sink: str

    @property
    def endpoint(self) -> Endpoint:
        """Return its row."""
        return self.state.endpoint

    @property
    def seen(self) -> str:
        """Return what a form brings back to say which secret it was opened with."""
        return seen_of(self.endpoint)


def endpoint_page(
    access: Access, *, endpoint_id: str, state: str, event: str, cursor: str, now: datetime
) -> EndpointPage:
    """Return what an endpoint's page shows, with its deliveries in a state, of an event. Raises Http404."""
    endpoint = reached_endpoint(access, endpoint_id=endpoint_id)
    wanted = Wanted(endpoint=endpoint.pk, state=state, event=event)
    undelivered = 0 if endpoint.deleted_at else _ended(Range(endpoint, undelivered=True))[:COUNTED_AT_MOST].count()
    return EndpointPage(
        state=state_of(endpoint, now=now),
        last_failure=_last_failure(endpoint),
        undelivered=undelivered,
        is_least=undelivered == COUNTED_AT_MOST,
        notices=[
            Told(NOTICES.get(notice.kind, notice.kind), notice)
            for notice in endpoint.notices.order_by("-created_at", "-pk")[:NOTICES_SHOWN]
        ],
        log=log(access, wanted=wanted, cursor=cursor, now=now, size=DELIVERIES_SHOWN),
        sink=endpoint.sink.token if hasattr(endpoint, "sink") else "",
    )


def reached_endpoint(access: Access, *, endpoint_id: str, present: bool = False) -> Endpoint:
    """Return an endpoint that somebody reaches, or a `present` one: not deleted. Raises Http404."""
    rows = Endpoint.objects.within(access).select_related("organization", "sink")
    return get_object_or_404(rows.present() if present else rows, pk=endpoint_id)


def state_of(endpoint: Endpoint, *, now: datetime) -> EndpointState:
    """Return how one endpoint does."""
    return EndpointState(endpoint, health_of([endpoint], now=now)[endpoint.pk], now)


def _last_failure(endpoint: Endpoint) -> Tried | None:
    """Return what came of the last attempt of an endpoint that fails."""
    if endpoint.failing_since is None:
        return None
    # Served by webhooks_attempt_by_endpoint.
    attempts = Attempt.objects.filter(endpoint=endpoint, at__gte=endpoint.failing_since, duration_ms__isnull=False)
    last = attempts.order_by("-at", "-pk").first()
    return Tried(last) if last else None


# --- changing, deleting ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AtStake:
    """How many messages wait for an endpoint, and how many deliveries are on record of it, up to COUNTED_AT_MOST."""

    pending: int
    deliveries: int
    is_least: bool


def at_stake(endpoint: Endpoint, *, now: datetime) -> AtStake:
    """Return what moving an endpoint takes along, and its end skips."""
    on_record = endpoint.deliveries.order_by()[:COUNTED_AT_MOST].count()
    return AtStake(
        pending=health_of([endpoint], now=now)[endpoint.pk].pending,
        deliveries=on_record,
        is_least=on_record == COUNTED_AT_MOST,
    )


# --- a replay ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """How many deliveries of an event would be sent again, by how they ended."""

    event: str
    state: str
    count: int


@dataclass(frozen=True)
class Outcomes:
    """What a replay would send again, exactly."""

    rows: list[Outcome]

    @property
    def count(self) -> int:
        """Return how many messages."""
        return sum(row.count for row in self.rows)

    @property
    def delivered(self) -> int:
        """Return how many of them have arrived before."""
        return sum(row.count for row in self.rows if row.state == Delivery.State.DELIVERED)


def outcomes(wanted: Range) -> Outcomes:
    """Count what a replay would send again."""
    counted = _ended(wanted).order_by().values_list("event__type", "state").annotate(Count("pk"))
    return Outcomes(sorted((Outcome(*row) for row in counted), key=lambda row: (row.event, row.state)))


def _ended(wanted: Range) -> DeliveryQuerySet:
    endpoint = wanted.endpoint
    # Organization and mode are the endpoint's: naming them lets webhooks_delivery_undelivered serve.
    return wanted.deliveries().filter(organization=endpoint.organization_id, mode=endpoint.mode)


# --- secrets -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SecretPage:
    """An organization's default secret, as far as it is shown: `seen` names it, `row` is None without one."""

    organization: Organization
    row: DefaultSecret | None
    now: datetime

    @property
    def signs_twice(self) -> bool:
        """Say whether the secret before this one signs too."""
        return self.row is not None and self.row.rotates_until(self.now) is not None

    @property
    def seen(self) -> str:
        """Return what a form brings back to say which secret it was opened with."""
        return seen_of(self.row) if self.row else ""


def secret_page(access: Access, *, organization_id: str, now: datetime) -> SecretPage:
    """Return what the page of an organization's default secret shows. Raises Http404."""
    organization = reached_organization(access, organization_id=organization_id)
    return SecretPage(organization, DefaultSecret.objects.filter(organization=organization).first(), now)
