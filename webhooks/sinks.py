"""The internal webhook address: it keeps what comes, bounded in size, rate, number and age, and says if it verifies."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import StrIndex

from customers.models import AuditEvent, Organization
from webhooks.endpoints import UrlTaken, create_endpoint
from webhooks.guarded import SINK_PATH
from webhooks.models import AttemptQuerySet, Endpoint, Sink, SinkMessage
from webhooks.signing import verify

BODY_MAX_BYTES = 256 * 1024
MESSAGES_PER_MINUTE = 120
MESSAGES_KEPT = 200
KEPT_FOR = timedelta(days=7)
# Of the headers those that matter are kept: a receiver's own concern, and little of it.
HEADERS = ("content-type", "user-agent")
HEADER_PREFIX = "webhook-"
HEADERS_MAX, HEADER_MAX_CHARACTERS = 20, 1000


class SinkFlooded(Exception):
    """This sink has got as many messages as it takes in a minute; nothing was kept."""


@transaction.atomic
def create_sink(*, organization: Organization, mode: str, actor: str = "system") -> tuple[Sink, Endpoint, str]:
    """Create an endpoint at an internal address; return the sink, the endpoint and its secret.

    Raises ForbiddenTarget where PUBLIC_BASE_URL is no address that webhooks may be sent to, and TooManyEndpoints.
    """
    token = secrets.token_urlsafe(32)
    url = f"{settings.PUBLIC_BASE_URL}{SINK_PATH}{token}"
    endpoint, secret = create_endpoint(
        organization=organization, mode=mode, url=url, description="internal sink", actor=actor
    )
    return Sink.objects.create(token=token, endpoint=endpoint), endpoint, secret


@transaction.atomic
def create_only_sink(*, organization: Organization, mode: str, actor: str) -> tuple[Sink, Endpoint, str]:
    """The same, for an organization that has none in this mode. Raises UrlTaken for one that has."""
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
    there = Endpoint.objects.present().filter(organization=organization, mode=mode, sink__isnull=False).first()
    if there is not None:
        raise UrlTaken(there.pk)
    return create_sink(organization=organization, mode=mode, actor=actor)


def sink_of_token(token: str) -> Sink | None:
    """Return the sink at this address, its endpoint loaded, or None."""
    return Sink.objects.select_related("endpoint").filter(pk=token).first()


def receive(*, sink: Sink, headers: Mapping[str, str], body: bytes, now: datetime) -> SinkMessage:
    """Keep one message and whether the secret of the sink's endpoint signed it. Raises SinkFlooded.

    The limit is counted without a lock: senders at the same moment can exceed it by as many as there are web
    threads, which the number of messages kept bounds anyway.
    """
    recent = sink.messages.filter(received_at__gt=now - timedelta(minutes=1)).count()
    if recent >= MESSAGES_PER_MINUTE:
        raise SinkFlooded
    message = SinkMessage.objects.create(
        sink=sink,
        received_at=now,
        headers=_kept(headers),
        body=_text(body.decode(errors="replace")),
        fault=verify(secrets=[sink.endpoint.secret], headers=headers, body=body),
    )
    superseded = messages_of(sink).values("pk")[MESSAGES_KEPT:]
    SinkMessage.objects.filter(pk__in=superseded).delete()
    return message


def elsewhere(attempts: AttemptQuerySet) -> AttemptQuerySet:
    """Keep the attempts that went to an address of the customer's own, and to no sink of ours.

    A delivery knows its latest address: it is judged by that, as a batch may name a sink as its `webhook_url`, and an
    endpoint that was a sink, or stood at the address of one, may have moved. What it took before went to the sink.
    """
    ours = Sink.objects.annotate(at=StrIndex(OuterRef("delivery__url"), F("token"))).filter(at__gt=0)
    moved = Endpoint.objects.filter(pk=OuterRef("delivery__endpoint"), sink__isnull=False, moved_at__gt=OuterRef("at"))
    # Only the log knows where any other endpoint was. Served by customers_audit_by_subject.
    left = AuditEvent.objects.exclude(subject="").filter(
        subject=OuterRef("delivery__endpoint"),
        action="webhook_endpoint.change",
        at__gt=OuterRef("at"),
        detail__old__url__icontains=SINK_PATH,
    )
    elsewhere_now = attempts.exclude(Q(delivery__url__contains=SINK_PATH) & Exists(ours))
    return elsewhere_now.exclude(Exists(moved)).exclude(Exists(left))


def messages_of(sink: Sink) -> QuerySet[SinkMessage]:
    """Return what came to the sink, newest first."""
    return sink.messages.order_by("-received_at", "-pk")


def purge(*, now: datetime) -> int:
    """Drop the messages that are too old; return how many."""
    dropped, _ = SinkMessage.objects.filter(received_at__lt=now - KEPT_FOR).delete()
    return dropped


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    named = {_text(name.lower()): _text(value[:HEADER_MAX_CHARACTERS]) for name, value in headers.items()}
    kept = [name for name in sorted(named) if name in HEADERS or name.startswith(HEADER_PREFIX)]
    return {name: named[name] for name in kept[:HEADERS_MAX]}


def _text(text: str) -> str:
    """Return `text` as PostgreSQL can keep it: it has no NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
