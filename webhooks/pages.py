"""What the pages show of telling: events as sent, their deliveries attempt by attempt, and what came to a sink."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Prefetch, Q
from django.http import Http404

from customers.access import Access
from sora2.canonical import sha256_hex
from webhooks.models import Attempt, Delivery, Endpoint, Event, Sink, SinkMessage

MESSAGES_SHOWN = 50
ANSWER_SHOWN = 300
DELIVERED = range(200, 300)


@dataclass(frozen=True)
class Told:
    """An event: its exact text, the same in lines, and the deliveries that carry it."""

    event: Event
    lines: str
    sha256: str
    deliveries: list["Carried"]


@dataclass(frozen=True)
class Carried:
    """A delivery with its attempts; `sink` is the token of the internal endpoint it goes to, if it does."""

    delivery: Delivery
    attempts: list["Tried"]
    sink: str

    @property
    def state(self) -> str:
        """Return the state in one word: a pending delivery that was tried is failing."""
        tried = self.delivery.state == Delivery.State.PENDING and self.delivery.attempts_made > 0
        return "failing" if tried else self.delivery.state


@dataclass(frozen=True)
class Tried:
    """One attempt, with the beginning of what was answered."""

    attempt: Attempt
    answer: str
    cut: bool


@dataclass(frozen=True)
class Acknowledgement:
    """How far the telling about a reference has come: `wanted` by anybody, acknowledged `at`, some of it `untried`."""

    wanted: bool
    at: datetime | None
    untried: bool


@dataclass(frozen=True)
class Load:
    """The deliveries that somebody should know of: not tried yet, failing so far, given up."""

    waiting: int
    failing: int
    exhausted: int


@dataclass(frozen=True)
class Sunk:
    """An internal test endpoint and what came to it, newest first."""

    sink: Sink
    messages: list[SinkMessage]
    more: bool


def told_about(access: Access, *, reference: str) -> list[Told]:
    """Return the events about a reference with their deliveries and attempts."""
    attempts = Prefetch("attempts", Attempt.objects.order_by("number"))
    deliveries = Delivery.objects.select_related("endpoint__sink").order_by("pk").prefetch_related(attempts)
    events = Event.objects.within(access).filter(reference=reference).order_by("pk")
    return [_told(event) for event in events.prefetch_related(Prefetch("deliveries", deliveries))]


def acknowledgement(*, reference: str) -> Acknowledgement:
    """Return how far the telling about `reference` has come."""
    acknowledged = Attempt.objects.filter(
        delivery__event__reference=reference, status_code__gte=DELIVERED.start, status_code__lt=DELIVERED.stop
    )
    first = acknowledged.order_by("at").first()
    untried = Q(state=Delivery.State.PENDING, attempts_made=0)
    deliveries = Delivery.objects.about(reference).exclude(state=Delivery.State.SKIPPED)
    count = deliveries.aggregate(wanted=Count("pk"), untried=Count("pk", filter=untried))
    at = first.at + timedelta(milliseconds=first.duration_ms or 0) if first else None
    return Acknowledgement(bool(count["wanted"]), at, bool(count["untried"]))


def load(access: Access) -> Load:
    """Return how many deliveries wait, fail or were given up."""
    pending = Q(state=Delivery.State.PENDING)
    found = Delivery.objects.within(access).aggregate(
        waiting=Count("pk", filter=pending & Q(attempts_made=0)),
        failing=Count("pk", filter=pending & Q(attempts_made__gt=0)),
        exhausted=Count("pk", filter=Q(state=Delivery.State.EXHAUSTED)),
    )
    return Load(**found)


def undelivered(access: Access, *, limit: int) -> list[Delivery]:
    """Return the newest deliveries that fail or were given up, with their events and customers."""
    rows = Delivery.objects.within(access).filter(
        Q(state=Delivery.State.EXHAUSTED) | Q(state=Delivery.State.PENDING, attempts_made__gt=1)
    )
    return list(rows.select_related("event__organization").order_by("-pk")[:limit])


def sunk(access: Access, *, token: str) -> Sunk:
    """Return what came to an internal test endpoint. Raises Http404 for what somebody does not reach."""
    endpoints = Endpoint.objects.within(access).select_related("organization", "sink")
    endpoint = endpoints.filter(sink__token=token).first()
    if endpoint is None:
        raise Http404
    sink = endpoint.sink
    sink.endpoint = endpoint
    messages = list(sink.messages.order_by("-received_at", "-pk")[: MESSAGES_SHOWN + 1])
    return Sunk(sink, messages[:MESSAGES_SHOWN], len(messages) > MESSAGES_SHOWN)


def _told(event: Event) -> Told:
    return Told(
        event=event,
        lines=json.dumps(json.loads(event.body), indent=2, ensure_ascii=False),
        sha256=sha256_hex(event.body),
        deliveries=[_carried(delivery) for delivery in event.deliveries.all()],
    )


def _carried(delivery: Delivery) -> Carried:
    sink = getattr(delivery.endpoint, "sink", None)
    return Carried(
        delivery=delivery,
        attempts=[_tried(attempt) for attempt in delivery.attempts.all()],
        sink=sink.token if sink else "",
    )


def _tried(attempt: Attempt) -> Tried:
    return Tried(attempt, attempt.response[:ANSWER_SHOWN], len(attempt.response) > ANSWER_SHOWN)
