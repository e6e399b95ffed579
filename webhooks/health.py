"""The health of endpoints: how they do, who is told when one fails, and which is disabled in the end.

An endpoint's row knows since when it has failed and until when it is paused (webhooks.delivery writes that); the
figures are read off its attempts. One that did nothing but fail for five days, with two events given up at least, is
disabled. Its organization's contacts are told a day after it began to fail, a day before it would be disabled, and when
it is: a mail is a row first, so that none is lost.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Exists, OuterRef
from django.template.loader import render_to_string
from structlog import get_logger

from customers.contacts import technical_contacts
from customers.services import audit
from webhooks.models import Delivery, Endpoint, EventType, Notice

log = get_logger(__name__)

FAILING_AFTER = timedelta(days=1)
LAST_WARNING_AFTER = timedelta(days=4)
DISABLED_AFTER = timedelta(days=5)
EXHAUSTED_LEAST = 2

FIGURES_OVER = timedelta(hours=24)


class HealthState(StrEnum):
    """An endpoint's health in one word."""

    HEALTHY = "healthy"
    FAILING = "failing"
    PAUSED = "paused"
    DISABLED = "disabled"


@dataclass(frozen=True)
class Health:
    """How an endpoint does. The figures are of the attempts that ended in the last 24 hours, None without any."""

    attempts: int
    succeeded: int
    p50_ms: int | None
    p95_ms: int | None
    pending: int
    next_attempt_at: datetime | None

    @property
    def success_rate(self) -> float | None:
        """Return the share of attempts that were taken, 0 to 1."""
        return self.succeeded / self.attempts if self.attempts else None


UNKNOWN = Health(attempts=0, succeeded=0, p50_ms=None, p95_ms=None, pending=0, next_attempt_at=None)

# Served by webhooks_attempt_by_endpoint.
FIGURES = """
    SELECT endpoint_id, count(*), count(*) FILTER (WHERE error = '' AND status_code BETWEEN 200 AND 299),
           percentile_disc(0.5) WITHIN GROUP (ORDER BY duration_ms),
           percentile_disc(0.95) WITHIN GROUP (ORDER BY duration_ms)
    FROM webhooks_attempt
    WHERE endpoint_id = ANY(%s) AND at > %s AND duration_ms IS NOT NULL
    GROUP BY endpoint_id
"""
# Served by webhooks_delivery_lane_due.
WAITING = """
    SELECT lane, count(*), min(due_at) FROM webhooks_delivery WHERE lane = ANY(%s) AND state = 'pending' GROUP BY lane
"""


def health_of(endpoints: Iterable[Endpoint], *, now: datetime) -> Mapping[str, Health]:
    """Return the health of each endpoint by its id; two queries, however many there are."""
    by_id = {endpoint.pk: endpoint for endpoint in endpoints}
    with connection.cursor() as cursor:
        cursor.execute(FIGURES, [list(by_id), now - FIGURES_OVER])
        figures = {row[0]: row[1:] for row in cursor.fetchall()}
        cursor.execute(WAITING, [list(by_id)])
        waiting = {row[0]: row[1:] for row in cursor.fetchall()}
    return {pk: _health(endpoint, figures.get(pk), waiting.get(pk)) for pk, endpoint in by_id.items()}


def _health(endpoint: Endpoint, figures: Any, waiting: Any) -> Health:
    attempts, succeeded, p50_ms, p95_ms = figures or (0, 0, None, None)
    pending, due_at = waiting or (0, None)
    if due_at is not None and endpoint.paused_until is not None:
        due_at = max(due_at, endpoint.paused_until)
    return Health(attempts, succeeded, p50_ms, p95_ms, pending, due_at)


def state_of(endpoint: Endpoint, *, now: datetime) -> HealthState:
    """Return an endpoint's health in one word: of several, what keeps most from it."""
    if not endpoint.enabled:
        return HealthState.DISABLED
    if endpoint.pauses_until(now):
        return HealthState.PAUSED
    return HealthState.HEALTHY if endpoint.failing_since is None else HealthState.FAILING


# What a failing or paused endpoint keeps waiting is not late: that is as it should be.
LATE = """
    SELECT count(*), min(d.due_at) FROM webhooks_delivery d LEFT JOIN webhooks_endpoint p ON p.id = d.endpoint_id
    WHERE d.state = 'pending' AND d.due_at <= %s AND p.failing_since IS NULL
      AND (p.paused_until IS NULL OR p.paused_until <= %s)
"""


def late(*, before: datetime) -> tuple[int, datetime | None]:
    """Return how many deliveries were due before then and nobody took them, and since when the first."""
    with connection.cursor() as cursor:
        cursor.execute(LATE, [before, before])
        count, since = cursor.fetchone()
    return count, since


def failing_by_mode() -> Mapping[str, int]:
    """Count the enabled endpoints that fail."""
    rows = Endpoint.objects.filter(enabled=True, failing_since__isnull=False).values("mode").annotate(count=Count("pk"))
    return {row["mode"]: row["count"] for row in rows}


# --- judging -------------------------------------------------------------------------------------------------------


def judge(*, now: datetime) -> int:
    """Write the notices that are due, and disable what failed for too long; return how many endpoints that were."""
    failing = Endpoint.objects.filter(failing_since__lte=now - FAILING_AFTER, enabled=True)
    disabled = sum(_judge(endpoint, now) for endpoint in failing.order_by("pk"))
    # An answer of 410 disables at once.
    told = Notice.objects.filter(
        endpoint=OuterRef("pk"), kind=Notice.Kind.DISABLED, failing_since=OuterRef("failing_since")
    )
    gone = Endpoint.objects.present().filter(~Exists(told), enabled=False, failing_since__isnull=False)
    for endpoint in gone.order_by("pk"):
        _tell(endpoint, Notice.Kind.DISABLED, now)
    return disabled


def disabled_at(endpoint: Endpoint) -> datetime | None:
    """Return when an endpoint that fails is disabled if it goes on, None while it works."""
    if endpoint.failing_since is None or not endpoint.enabled:
        return None
    return endpoint.failing_since + DISABLED_AFTER


def _judge(endpoint: Endpoint, now: datetime) -> bool:
    since = endpoint.failing_since
    if since is None:
        return False
    if since <= now - DISABLED_AFTER and _given_up(endpoint, since) >= EXHAUSTED_LEAST:
        return _disable(endpoint, since, now)
    last_warning = since <= now - LAST_WARNING_AFTER
    _tell(endpoint, Notice.Kind.ABOUT_TO_BE_DISABLED if last_warning else Notice.Kind.FAILING, now)
    return False


def _given_up(endpoint: Endpoint, since: datetime) -> int:
    """Count the events that were given up for it since; tests don't count."""
    rows = Delivery.objects.filter(endpoint=endpoint, state=Delivery.State.EXHAUSTED, attempts__at__gte=since)
    return rows.exclude(event__type=EventType.WEBHOOK_TEST).values("event").distinct().count()


def _disable(endpoint: Endpoint, since: datetime, now: datetime) -> bool:
    reason = f"nothing sent to it arrived since {since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    with transaction.atomic():
        # Unless it has worked, or somebody has changed it, at this very moment.
        same = Endpoint.objects.filter(pk=endpoint.pk, enabled=True, failing_since=since)
        if not same.update(enabled=False, disabled_reason=reason):
            return False
        endpoint.enabled, endpoint.disabled_reason = False, reason
        audit(
            actor="system",
            action="webhook_endpoint.disable",
            organization_id=endpoint.organization_id,
            mode=endpoint.mode,
            subject=endpoint.pk,
            detail={"reason": reason},
        )
        _tell(endpoint, Notice.Kind.DISABLED, now)
    log.warning("webhooks.endpoint_disabled", endpoint_id=endpoint.pk, failing_since=since.isoformat())
    return True


# --- telling -------------------------------------------------------------------------------------------------------


def _tell(endpoint: Endpoint, kind: Notice.Kind, now: datetime) -> None:
    """Write a notice, once for each spell of failures."""
    since = endpoint.failing_since
    if since is None or Notice.objects.filter(endpoint=endpoint, kind=kind, failing_since=since).exists():
        return
    organization = endpoint.organization
    context = {
        "kind": kind.value,
        "organization": organization,
        "endpoint": endpoint,
        "since": since,
        "disabled_at": disabled_at(endpoint),
        "waiting": Delivery.objects.filter(endpoint=endpoint, state=Delivery.State.PENDING).count(),
        "given_up": _given_up(endpoint, since),
        "dashboard": f"{settings.PUBLIC_BASE_URL}/admin/webhooks/endpoints/{endpoint.pk}",
        "support": settings.SUPPORT_EMAIL,
    }
    subject, _, body = render_to_string("mail/webhooks/notice.txt", context).partition("\n")
    row = Notice(
        endpoint=endpoint,
        kind=kind,
        failing_since=since,
        recipients=technical_contacts(organization),
        subject=subject.strip(),
        body=body.strip() + "\n",
        created_at=now,
        due_at=now,
    )
    Notice.objects.bulk_create([row], ignore_conflicts=True)
