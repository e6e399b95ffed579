"""What the pages show of deliveries: the log of them, one in full, and every attempt in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from django.db.models import Prefetch, Q
from django.shortcuts import get_object_or_404

from customers.access import Access
from customers.models import Organization
from sora2.ids import is_id
from sora2.pages import Rows, rows_after
from webhooks.bodies import Body, body_of
from webhooks.models import Attempt, Delivery, DeliveryQuerySet, Endpoint, EventType, Trigger
from webhooks.sent import Check, Head, check_of, head_of

DELIVERIES_SHOWN = 50
ANSWER_SHOWN = 300
# A filter of the log beside the types themselves: whatever somebody waits for, and no test.
ALL_BUT_TESTS = "all but tests"
# What is due so soon is worth waiting for before one's eyes.
SOON = timedelta(seconds=10)

TRIGGERS: Mapping[str, str] = {
    Trigger.AUTO: "automatic",
    Trigger.MANUAL: "by hand",
    Trigger.TEST: "test",
    Trigger.RANGE: "replay",
}
# An error as whoever mends the receiver has to know it.
ERRORS: Mapping[str, str] = {
    "forbidden_target": "the address may not be called: it is not on the public internet",
    "dns": "the name does not resolve",
    "tls": "the TLS handshake failed, or the certificate is not valid for the name",
    "timeout": "no whole answer within 20 seconds",
    "connection_refused": "nobody listens there",
    "connection_reset": "the connection broke off",
    "unreachable": "no connection to it",
    "invalid_response": "what came was no HTTP answer",
    "no_secret": "the secret cannot be read on our side: ours to mend",
    "worker_lost": "our worker died: it may have arrived or not",
}


# --- attempts ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tried:
    """One attempt, in words, with the beginning of what was answered."""

    attempt: Attempt

    @property
    def trigger(self) -> str:
        """Return what asked for it."""
        return TRIGGERS.get(self.attempt.trigger, self.attempt.trigger)

    @property
    def was_taken(self) -> bool:
        """Say whether the receiver took it."""
        return self.attempt.was_taken

    @property
    def error(self) -> str:
        """Return why it was not taken; empty when it was."""
        attempt, code = self.attempt, self.attempt.status_code
        if attempt.error:
            return ERRORS.get(attempt.error, attempt.error.replace("_", " "))
        if code is None:
            return "under way"
        return "" if self.was_taken else _refusal(code)

    @property
    def said(self) -> str:
        """Return the outcome in a word or two, for a list."""
        if self.attempt.error:
            return self.attempt.error.replace("_", " ")
        return "under way" if self.attempt.status_code is None else f"HTTP {self.attempt.status_code}"

    @property
    def in_words(self) -> str:
        """Return the outcome with what it means: `HTTP 503: service unavailable`."""
        return f"{self.said}: {self.error}" if self.error not in ("", self.said) else self.said

    @property
    def signed_at(self) -> int:
        """Return the header `webhook-timestamp` of it."""
        return int(self.attempt.at.timestamp())

    @property
    def answer(self) -> str:
        """Return the beginning of the answer."""
        return self.attempt.response[:ANSWER_SHOWN]

    @property
    def cut(self) -> bool:
        """Say whether more was answered than is shown."""
        return len(self.attempt.response) > ANSWER_SHOWN


def _refusal(code: int) -> str:
    if code == HTTPStatus.GONE:
        return "gone: it wants nothing any more"
    if 300 <= code < 400:
        return "redirects are not followed"
    try:
        return HTTPStatus(code).phrase.lower()
    except ValueError:
        return "not taken"


# --- a delivery ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Carried:
    """A delivery with its attempts, as it stands now. Its endpoint is loaded, if it has one, with its sink."""

    delivery: Delivery
    attempts: list[Tried]
    now: datetime

    @property
    def in_flight(self) -> bool:
        """Say whether an attempt is under way: then nothing can be asked of it."""
        return self.delivery.lease is not None

    @property
    def state(self) -> str:
        """Return the state in one word: what failed since it was last sent anew is being retried."""
        delivery = self.delivery
        if delivery.state != Delivery.State.PENDING:
            return delivery.state
        if self.in_flight:
            return "sending"
        return "retrying" if delivery.attempts_made > delivery.attempts_before else delivery.state

    @property
    def sink(self) -> str:
        """Return the token of the internal endpoint that it goes to, or nothing."""
        sink = getattr(self.delivery.endpoint, "sink", None)
        return sink.token if sink else ""

    @property
    def is_shut(self) -> bool:
        """Say whether nothing can be sent: its endpoint is disabled or deleted."""
        return self.delivery.endpoint is not None and not self.delivery.endpoint.enabled

    @property
    def paused_until(self) -> datetime | None:
        """Return until when its endpoint is paused, if it is."""
        return self.delivery.endpoint.pauses_until(self.now) if self.delivery.endpoint else None

    @property
    def next_at(self) -> datetime | None:
        """Return when it is tried next; None while that is now, or never."""
        due_at = self.delivery.due_at
        if due_at is None or self.in_flight or self.is_shut:
            return None
        at = max(due_at, self.paused_until or due_at)
        return at if at > self.now else None

    @property
    def act(self) -> str:
        """Return what somebody may ask of it, in a word; empty while nothing can be sent."""
        if self.is_shut or self.in_flight:
            return ""
        return "Send now" if self.delivery.state == Delivery.State.PENDING else "Redeliver"

    @property
    def taken_after(self) -> timedelta | None:
        """Return how long after it was written it was first taken; None while it was not."""
        taken = (tried.attempt.ended_at for tried in self.attempts if tried.was_taken)
        return next((at - self.delivery.created_at for at in taken if at), None)

    @property
    def is_live(self) -> bool:
        """Say whether it changes by itself in a moment."""
        if self.delivery.state != Delivery.State.PENDING or self.is_shut:
            return False
        return self.in_flight or self.next_at is None or self.next_at <= self.now + SOON


def loaded(deliveries: DeliveryQuerySet) -> DeliveryQuerySet:
    """Load each with its endpoint and its attempts in order, as Carried wants them."""
    attempts = Prefetch("attempts", Attempt.objects.order_by("number"))
    return deliveries.select_related("endpoint__sink").prefetch_related(attempts)


def carried(delivery: Delivery, *, now: datetime) -> Carried:
    """Return a delivery that was loaded by `loaded`."""
    return Carried(delivery, [Tried(attempt) for attempt in delivery.attempts.all()], now)


@dataclass(frozen=True)
class Shown:
    """A delivery in full. `heads` are those of its attempts, the latest first; `check` is of the latest that was
    sent, if its signature was kept; `about_batch` the batch that it is about, if any.
    """

    carried: Carried
    body: Body
    heads: list[Head]
    check: Check | None
    about_batch: str


def delivery_page(access: Access, *, delivery_id: str, now: datetime) -> Shown:
    """Return what a delivery's page shows. Raises Http404 for what somebody does not reach."""
    delivery = reached_delivery(access, delivery_id=delivery_id)
    event, found = delivery.event, carried(delivery, now=now)
    body = body_of(access, event)
    heads = [head_of(tried.attempt, event_id=event.pk) for tried in reversed(found.attempts)]
    return Shown(
        carried=found,
        body=body,
        heads=heads,
        check=check_of(heads, body),
        about_batch=event.reference if is_id(event.reference, "bat") else "",
    )


def reached_delivery(access: Access, *, delivery_id: str) -> Delivery:
    """Return a delivery that somebody reaches, with all that belongs to it. Raises Http404."""
    deliveries = loaded(Delivery.objects.within(access)).select_related("event", "organization", "endpoint__sink")
    return get_object_or_404(deliveries, pk=delivery_id)


# --- the log -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """Which deliveries to list; the empty text is no restriction.

    `customer` is part of a name, or an id; `about` the id of a batch or an event.
    """

    customer: str = ""
    mode: str = ""
    state: str = ""
    event: str = ""
    endpoint: str = ""
    about: str = ""
    undelivered: str = ""

    @property
    def about_batch(self) -> str:
        """Return the batch that they are to be about, if they are."""
        return self.about if is_id(self.about, "bat") else ""

    @property
    def is_undelivered(self) -> bool:
        """Say whether those that arrived are left out."""
        return bool(self.undelivered)


@dataclass(frozen=True)
class Logged:
    """One delivery in a list, and its last attempt, if there was one."""

    carried: Carried
    last: Tried | None
    about_batch: str


@dataclass(frozen=True)
class Log:
    """Some deliveries, newest first."""

    rows: list[Logged]
    page: Rows[Delivery]


def endpoints_to_choose(access: Access, wanted: Wanted) -> list[Endpoint]:
    """Return the endpoints that a customer's person filters by: those there are, and the chosen one in any case."""
    offered = Q(deleted_at=None, mode=wanted.mode) if wanted.mode else Q(deleted_at=None)
    return list(Endpoint.objects.within(access).filter(offered | Q(pk=wanted.endpoint)).order_by("url", "pk"))


def log(access: Access, *, wanted: Wanted, cursor: str, now: datetime, size: int) -> Log:
    """Return the deliveries that somebody reaches and wants. Bodies and answers are not read."""
    rows = _chosen(Delivery.objects.within(access), wanted)
    rows = rows.select_related("event", "organization", "endpoint__sink").defer("event__body")
    page = rows_after(rows, key="-id", cursor=cursor, size=size)
    ids = [delivery.pk for delivery in page.rows]
    newest = Attempt.objects.filter(delivery__in=ids).order_by("delivery_id", "-number").distinct("delivery_id")
    last = {attempt.delivery_id: Tried(attempt) for attempt in newest.defer("response")}
    logged = [
        Logged(
            carried=Carried(delivery, [], now),
            last=last.get(delivery.pk),
            about_batch=delivery.event.reference if is_id(delivery.event.reference, "bat") else "",
        )
        for delivery in page.rows
    ]
    return Log(logged, page)


def _chosen(rows: DeliveryQuerySet, wanted: Wanted) -> DeliveryQuerySet:
    if wanted.customer:
        named = Organization.objects.filter(Q(pk=wanted.customer) | Q(name__icontains=wanted.customer))
        rows = rows.filter(organization__in=named)
    if wanted.mode:
        rows = rows.filter(mode=wanted.mode)
    if wanted.state:
        rows = rows.filter(state=wanted.state)
    if wanted.event == ALL_BUT_TESTS:
        rows = rows.exclude(event__type=EventType.WEBHOOK_TEST)
    elif wanted.event:
        rows = rows.filter(event__type=wanted.event)
    if wanted.endpoint:
        rows = rows.filter(endpoint=wanted.endpoint)
    if wanted.about:
        is_event = is_id(wanted.about, "evt")
        rows = rows.filter(event=wanted.about) if is_event else rows.about(wanted.about)
    if wanted.undelivered:
        rows = rows.exclude(state=Delivery.State.DELIVERED)
    return rows
