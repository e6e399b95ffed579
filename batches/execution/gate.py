"""The gate of a route: how much may be submitted to it now, and how it learns that its provider is down.

Four things hold items back, and none of them fails one: an operator's pause, the circuit breaker, a provider that
asked for patience, and the route's limits. What waits, waits until its deadline.

The breaker opens after some failures in a row that speak of the provider, not of the item. While it is open one item
at a time goes out as a probe, at growing intervals; the first that is taken closes it. Polling goes on all the while.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from structlog import get_logger

from batches.catalogue import Route
from batches.failures import FailureType
from batches.models import RouteHealth
from batches.providers import Accepted, Ambiguous, NotAccepted, SubmitOutcome

log = get_logger(__name__)

# Failures in a row, from all items together, that open the breaker.
FAILURES_IN_A_ROW = 5
PROBE_FIRST_SECONDS, PROBE_MOST_SECONDS = 2.0, 60.0
HOLD_MOST_SECONDS = 60.0
# What speaks of the provider rather than of the item.
OF_THE_PROVIDER = {
    FailureType.NETWORK_ERROR,
    FailureType.CAPACITY,
    FailureType.PROVIDER_ERROR,
    FailureType.PROVIDER_AUTH,
}

# One statement: the limits of a route as they stand. Served by batches_item_in_flight and batches_attempt_by_time.
ROOM = """
    SELECT h.opened_at, h.probe_at, h.held_until,
           (SELECT count(*) FROM batches_item WHERE route = %(route)s AND stage IN ('lookup', 'poll')),
           CASE WHEN %(per_minute)s THEN (
               SELECT count(*) FROM batches_attempt
               WHERE route = %(route)s AND submitted_at > %(now)s - interval '60 seconds') ELSE 0 END
    FROM (SELECT) one LEFT JOIN batches_routehealth h ON h.route = %(route)s
"""


def room(route: Route, *, now: datetime) -> int:
    """Return how many items may be submitted now; to be called by the route's one claimer, in its transaction.

    While the breaker is open that is one whenever a probe is due.
    """
    if route.is_paused:
        return 0
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"route": route.name, "now": now, "per_minute": route.submits_per_minute is not None}
        cursor.execute(ROOM, values)
        opened_at, probe_at, held_until, in_flight, lately = cursor.fetchone()
    free: int = min(
        route.max_in_flight - in_flight,
        route.max_in_flight if route.submits_per_minute is None else route.submits_per_minute - lately,
    )
    if held_until is not None and held_until > now:
        return 0
    if opened_at is None or free <= 0:
        return max(0, free)
    return int(probe_at <= now)


def learn(route: Route, outcomes: Iterable[SubmitOutcome], *, now: datetime) -> datetime | None:
    """Judge a route by what its provider said to some submits; return when to probe it while its breaker is open.

    To be called in the transaction that records them. Costs one look where nothing changes.
    """
    said = list(outcomes)
    known = RouteHealth.objects.filter(pk=route.name).first()
    if not _is_news(route, said, known):
        return known.probe_at if known and known.opened_at else None
    with transaction.atomic():
        RouteHealth.objects.bulk_create([RouteHealth(route=route.name)], ignore_conflicts=True)
        health = RouteHealth.objects.select_for_update().get(pk=route.name)
        _judge(route, health, said, now)
        health.save()
    return health.probe_at if health.opened_at else None


def is_down(route: Route, outcome: SubmitOutcome) -> bool:
    """Say whether an outcome speaks of a provider that is down.

    A scripted provider's answers speak of the prompt: there, only that none came at all counts.
    """
    match outcome:
        case NotAccepted(failure=failure, answered=answered):
            return failure in OF_THE_PROVIDER and not (route.is_scripted and answered)
        case Ambiguous():
            return not route.is_scripted
    return False


def is_refused(route: Route, outcome: SubmitOutcome) -> bool:
    """Say whether the provider, being down, certainly did not take the item."""
    return isinstance(outcome, NotAccepted) and is_down(route, outcome)


def _is_up(outcome: SubmitOutcome) -> bool:
    """Say whether an outcome shows that the provider works: it took or refused the item, or asked for patience."""
    if isinstance(outcome, NotAccepted):
        return outcome.answered and outcome.failure not in OF_THE_PROVIDER
    return isinstance(outcome, Accepted)


def _is_news(route: Route, said: list[SubmitOutcome], known: RouteHealth | None) -> bool:
    if any(is_down(route, outcome) or _wait_of(route, outcome) for outcome in said):
        return True
    is_troubled = known is not None and (known.failures > 0 or known.opened_at is not None)
    return is_troubled and any(_is_up(outcome) for outcome in said)


def _judge(route: Route, health: RouteHealth, said: list[SubmitOutcome], now: datetime) -> None:
    wait = max((_wait_of(route, outcome) for outcome in said), default=0.0)
    if wait:
        until = now + timedelta(seconds=min(wait, HOLD_MOST_SECONDS))
        health.held_until = max(health.held_until or until, until)
    if any(_is_up(outcome) for outcome in said):
        _close(route, health)
        return
    down = [outcome for outcome in said if is_down(route, outcome)]
    if down:
        _count(route, health, down, now)


def _close(route: Route, health: RouteHealth) -> None:
    if health.opened_at is not None:
        log.warning("batches.breaker_closed", route=route.name, opened_at=health.opened_at.isoformat())
    health.failures = health.probes = 0
    health.opened_at = health.probe_at = None


def _count(route: Route, health: RouteHealth, down: list[SubmitOutcome], now: datetime) -> None:
    """Count failures; open the breaker after some in a row, at once when our own key is refused."""
    last = down[-1]
    kind = last.failure if isinstance(last, NotAccepted) else FailureType.AMBIGUOUS_SUBMIT
    detail = "" if isinstance(last, Accepted) else last.detail
    health.failures += len(down)
    health.last_failure, health.last_detail = kind.value, detail[:500]
    if health.opened_at is not None:
        health.probes += 1
    elif health.failures >= FAILURES_IN_A_ROW or kind == FailureType.PROVIDER_AUTH:
        health.opened_at, health.probes = now, 0
        log.error("batches.breaker_opened", route=route.name, failure=kind.value, failures=health.failures)
    if health.opened_at is not None:
        pause = min(PROBE_MOST_SECONDS, PROBE_FIRST_SECONDS * 2**health.probes)
        health.probe_at = now + timedelta(seconds=pause)


def _wait_of(route: Route, outcome: SubmitOutcome) -> float:
    """Return for how many seconds the provider wants no more submits at all; a script means its own item only."""
    if isinstance(outcome, NotAccepted) and outcome.failure == FailureType.RATE_LIMITED and not route.is_scripted:
        return outcome.retry_after_seconds or 0.0
    return 0.0


# --- whether it answers when asked about its jobs ------------------------------------------------------------------


def heard(route: Route, *, answered: bool, now: datetime) -> datetime | None:
    """Note whether a provider answers polls; return since when it has not."""
    rows = RouteHealth.objects.filter(pk=route.name)
    since = rows.values_list("unanswered_since", flat=True).first()
    if answered and since is not None:
        rows.update(unanswered_since=None)
    if answered:
        return None
    if since is None:
        RouteHealth.objects.bulk_create(
            [RouteHealth(route=route.name, unanswered_since=now)],
            update_conflicts=True,
            unique_fields=["route"],
            update_fields=["unanswered_since"],
        )
    return since or now


def health_by_route() -> Mapping[str, RouteHealth]:
    """Return the health of every route that ever had trouble."""
    return {health.route: health for health in RouteHealth.objects.all()}


def postpone_probe(route: Route, *, now: datetime) -> None:
    """Move the next probe on: one is under way. Whoever sends it may die, so it is not the last."""
    later = now + timedelta(seconds=PROBE_MOST_SECONDS)
    RouteHealth.objects.filter(pk=route.name, opened_at__isnull=False).update(probe_at=later)
