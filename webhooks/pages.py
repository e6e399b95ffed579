"""What the pages of others show of telling: of a batch on its own page, of all endpoints on home; and a sink's page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Count, Max, Prefetch, Q
from django.shortcuts import get_object_or_404
from django.urls import reverse

from customers.access import Access, Permission
from sora2.templatetags.figures import short_url
from webhooks.bodies import Body, body_of, without_credits
from webhooks.delivery_pages import Carried, carried, loaded
from webhooks.endpoint_pages import FAILING
from webhooks.health import disabled_at
from webhooks.models import (
    ONE_PER_ITEM,
    Attempt,
    Delivery,
    DeliveryQuerySet,
    Endpoint,
    Event,
    EventType,
    Sink,
    SinkMessage,
)

MESSAGES_SHOWN = 50
# What was given up longer ago wants nobody's attention on home any more.
GIVEN_UP_LATELY = timedelta(days=30)


# --- of a batch ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """An event about the whole of something, what it says, and its deliveries."""

    event: Event
    body: Body
    deliveries: list[Carried]


@dataclass(frozen=True)
class Ends:
    """How many deliveries tell of the ends of items, by event and state."""

    event: str
    state: str
    count: int


@dataclass(frozen=True)
class Telling:
    """All that was told about something: the events about the whole, and how many about its parts."""

    events: list[Told]
    ends: list[Ends]


@dataclass(frozen=True)
class Acknowledgement:
    """How far the telling of a batch's end has come: `wanted` by anybody, acknowledged `at`, some of it `untried`, some
    of it `waiting` for another try or its first.
    """

    wanted: bool
    at: datetime | None
    untried: bool
    waiting: bool


def told_about(access: Access, *, reference: str, now: datetime) -> Telling:
    """Return what was told about a reference; as many queries whatever the number of its parts."""
    events = Event.objects.within(access).filter(reference=reference, part="").order_by("pk")
    deliveries = loaded(Delivery.objects.order_by("pk"))
    grouped = Delivery.objects.within(access).about(reference).filter(event__type__in=ONE_PER_ITEM)
    counted = grouped.order_by().values_list("event__type", "state").annotate(Count("pk"))
    return Telling(
        events=[
            Told(
                event=event,
                body=body_of(access, event),
                deliveries=[carried(delivery, now=now) for delivery in event.deliveries.all()],
            )
            for event in events.prefetch_related(Prefetch("deliveries", deliveries))
        ],
        ends=sorted((Ends(*row) for row in counted), key=lambda ends: (ends.event, ends.state)),
    )


def acknowledgement(*, reference: str) -> Acknowledgement:
    """Return how far the telling of the end of the batch `reference` has come."""
    # Served by webhooks_batch_completed_once: of what is told of the items there are thousands.
    ended = Delivery.objects.about(reference).filter(event__type=EventType.BATCH_COMPLETED)
    first = Attempt.objects.taken().filter(delivery__in=ended).order_by("at").first()
    waiting = Q(state=Delivery.State.PENDING)
    untried = waiting & Q(attempts_made=0)
    deliveries = ended.exclude(state=Delivery.State.SKIPPED)
    count = deliveries.aggregate(
        wanted=Count("pk"), untried=Count("pk", filter=untried), waiting=Count("pk", filter=waiting)
    )
    at = first.ended_at if first else None
    return Acknowledgement(at=at, **{name: bool(number) for name, number in count.items()})


# --- on home -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trouble:
    """Something about webhooks that wants a look: one sentence, whose it is, since when, and where to look."""

    sentence: str
    who: str
    at: datetime
    address: str


@dataclass(frozen=True)
class Load:
    """How many endpoints fail, or were disabled for it, the first of them, and how much was given up lately."""

    failing: int
    first: Endpoint | None
    given_up: int
    troubles: list[Trouble]


def load(access: Access, *, now: datetime, limit: int) -> Load:
    """Return how telling goes, with up to `limit` troubles of each kind."""
    failing = Endpoint.objects.within(access).filter(FAILING)
    first = list(failing.select_related("organization").order_by("failing_since", "pk")[:limit])
    # Served by webhooks_delivery_given_up. A test that failed is nobody's message.
    given_up = Delivery.objects.within(access).filter(
        state=Delivery.State.EXHAUSTED, created_at__gte=now - GIVEN_UP_LATELY
    )
    given_up = given_up.exclude(event__type=EventType.WEBHOOK_TEST)
    return Load(
        failing=failing.count(),
        first=first[0] if first else None,
        given_up=given_up.count(),
        troubles=[
            *_of_endpoints(first, now),
            *_of_the_mended(given_up, limit),
            *_of_own_addresses(access, given_up, limit),
        ],
    )


def _of_endpoints(endpoints: Sequence[Endpoint], now: datetime) -> Iterable[Trouble]:
    """What is not taken, and when that ends in being disabled; what was disabled for it."""
    pending = Delivery.objects.filter(lane__in=[endpoint.pk for endpoint in endpoints], state=Delivery.State.PENDING)
    waiting = dict(pending.order_by().values_list("lane").annotate(Count("pk")))
    for endpoint in endpoints:
        since, ends_at = endpoint.failing_since or now, disabled_at(endpoint)
        where = short_url(endpoint.url)
        if ends_at is None:
            sentence = f"{where} is disabled: {endpoint.disabled_reason}. Nothing is sent there until it is enabled."
        else:
            count = waiting.get(endpoint.pk, 0)
            wait = f"{count:,} message{' waits' if count == 1 else 's wait'}"
            sentence = (
                f"{where} takes nothing since {_clock(since, now)}: {wait}. "
                f"It is disabled on {_clock(ends_at, now)} if that goes on."
            )
        yield Trouble(sentence, endpoint.organization.name, since, reverse("admin:endpoint", args=[endpoint.pk]))


def _of_the_mended(given_up: DeliveryQuerySet, limit: int) -> Iterable[Trouble]:
    """What an endpoint that does not fail has missed. While one fails, that is said of it already."""
    missed = given_up.filter(endpoint__enabled=True, endpoint__failing_since=None).order_by()
    grouped = missed.values_list("endpoint", "endpoint__url", "organization__name")
    for pk, url, name, count, latest in grouped.annotate(Count("pk"), latest=Max("created_at")).order_by("-latest")[
        :limit
    ]:
        what = f"{count:,} message{' was' if count == 1 else 's were'} given up"
        sentence = f"{what} and never reached {short_url(url)}, which does not fail now: replay what it missed."
        yield Trouble(sentence, name, latest, reverse("admin:endpoint", args=[pk]))


def _of_own_addresses(access: Access, given_up: DeliveryQuerySet, limit: int) -> Iterable[Trouble]:
    """What batches sent to addresses of their own, which have no health."""
    # Their lanes are digests, and so come before those of endpoints in webhooks_delivery_lane_due.
    failing = Delivery.objects.within(access).filter(
        state=Delivery.State.PENDING, lane__lt="w", endpoint=None, attempts_made__gt=1
    )
    for rows, what in (
        (given_up.filter(endpoint=None), "could not be delivered"),
        (failing, "is not delivered yet"),
    ):
        for delivery in rows.select_related("event", "organization").order_by("-created_at", "-pk")[:limit]:
            sentence = (
                f"{delivery.event.type} {what} after {delivery.attempts_made} attempts to {short_url(delivery.url)}."
            )
            address = reverse("admin:delivery", args=[delivery.pk])
            yield Trouble(sentence, delivery.organization.name, delivery.created_at, address)


def _clock(at: datetime, now: datetime) -> str:
    is_today = at.astimezone(UTC).date() == now.astimezone(UTC).date()
    return f"{at.astimezone(UTC):{'%H:%M' if is_today else '%Y-%m-%d %H:%M'}} UTC"


# --- a sink --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arrived:
    """What came to an internal test endpoint; of the body what somebody may see, None where that is not known."""

    message: SinkMessage
    body: str | None


@dataclass(frozen=True)
class Sunk:
    """An internal test endpoint and what came to it, newest first."""

    sink: Sink
    messages: list[Arrived]
    more: bool


def sunk(access: Access, *, token: str) -> Sunk:
    """Return what came to an internal test endpoint. Raises Http404 for what somebody does not reach."""
    endpoints = Endpoint.objects.within(access).select_related("organization", "sink")
    endpoint = get_object_or_404(endpoints, sink__token=token)
    sink = endpoint.sink
    sink.endpoint = endpoint
    messages = list(sink.messages.order_by("-received_at", "-pk")[: MESSAGES_SHOWN + 1])
    arrived = [Arrived(message, _seen(access, message.body)) for message in messages[:MESSAGES_SHOWN]]
    return Sunk(sink, arrived, len(messages) > MESSAGES_SHOWN)


def _seen(access: Access, body: str) -> str | None:
    """Return what came, which may be anything, as far as somebody may see it."""
    if access.may(Permission.LEDGER_READ):
        return body
    try:
        return without_credits(body)
    except (ValueError, RecursionError):
        return None
