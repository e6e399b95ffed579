"""The bells of the engine. A task carries no state: it drains what is due, and may be lost, doubled or late."""

import contextlib
from collections.abc import Callable

from celery import shared_task
from django.utils import timezone
from structlog import get_logger

from batches import alerts, reconciliation, services
from batches.catalogue import Route, routes
from batches.execution.collect import collect_due
from batches.execution.lookup import look_up_due
from batches.execution.poll import poll_due
from batches.execution.submit import submit_due
from batches.finalization import finalize_ended
from ledger.reconciliation import UnderWay

log = get_logger(__name__)


@shared_task(name="batches.submit")
def submit() -> None:
    """Submit what is due, on every route."""
    _on_each_route(submit_due)


@shared_task(name="batches.poll")
def poll() -> None:
    """Poll what is due, on every route."""
    _on_each_route(poll_due)


@shared_task(name="batches.collect")
def collect() -> None:
    """Collect what is due, on every route."""
    _on_each_route(collect_due)


@shared_task(name="batches.sweep")
def sweep() -> None:
    """End what must not go on, finalize what a dead worker left unfinalized, then look up ambiguous submits."""
    now = timezone.now()
    services.fail_what_must_not_be_submitted(now=now)
    finalize_ended(now=now)
    _on_each_route(look_up_due)


@shared_task(name="batches.unrouted")
def unrouted() -> None:
    """End what waits for a route that is gone. It looks at every open item: once a minute, not with each sweep."""
    services.fail_what_has_no_route(routes=[route.name for route in routes()], now=timezone.now())


@shared_task(name="batches.credits_low")
def credits_low() -> None:
    """Tell the customers whose wallet has fallen below its threshold."""
    alerts.tell_low_credits(now=timezone.now())


@shared_task(name="batches.reconcile", soft_time_limit=1800, time_limit=1830)
def reconcile() -> None:
    """Check every invariant and keep the result, unless somebody is at it."""
    with contextlib.suppress(UnderWay):
        reconciliation.reconcile(now=timezone.now())


def _on_each_route(work: Callable[[Route], int]) -> None:
    """Do the work on each route; trouble on one keeps no other from it, and is raised at the end."""
    trouble: list[Exception] = []
    for route in routes():
        try:
            work(route)
        except Exception as error:
            log.error("batches.route_failed", route=route.name, exc_info=error)
            trouble.append(error)
    if trouble:
        raise trouble[0]
