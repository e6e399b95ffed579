"""The bells of the engine. A task carries no state: it drains what is due, and may be lost, doubled or late."""

import contextlib
from collections.abc import Callable

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from batches import alerts, orphans, reconciliation, retention, stopping
from batches.catalogue import Route, route_named, routes
from batches.execution.collect import collect_due
from batches.execution.lookup import look_up_due
from batches.execution.poll import poll_due
from batches.execution.submit import submit_due
from batches.finalization import finalize_ended
from batches.sla import probing
from ledger.reconciliation import UnderWay
from sora2 import bell
from sora2.slots import slot, work_in_slot


@shared_task(name="batches.submit")
def submit(route: str | None = None) -> None:
    """Submit what is due on a route; without one, on every route."""
    _on(route, "batches.submit", submit_due)


@shared_task(name="batches.poll")
def poll(route: str | None = None) -> None:
    """Poll what is due on a route; without one, on every route."""
    _on(route, "batches.poll", lambda found, _: poll_due(found))


@shared_task(name="batches.collect")
def collect(route: str | None = None) -> None:
    """Collect what is due on a route; without one, on every route."""
    _on(route, "batches.collect", collect_due, of=max(1, settings.WORKER_PROCESSES // 4))


@shared_task(name="batches.lookup")
def lookup(route: str | None = None) -> None:
    """Look up what is ambiguous on a route; without one, on every route."""
    _on(route, "batches.lookup", lambda found, _: look_up_due(found))


@shared_task(name="batches.sweep")
def sweep() -> None:
    """End what must not go on, and finalize what a dead worker left unfinalized."""
    now = timezone.now()
    stopping.fail_what_must_not_be_submitted(now=now)
    finalize_ended(now=now)


@shared_task(name="batches.waiting")
def waiting() -> None:
    """End what waits in vain. It looks at every open item: once a minute, not with each sweep."""
    stopping.fail_what_waits_in_vain(routes=[route.name for route in routes()], now=timezone.now())


@shared_task(name="batches.credits_low")
def credits_low() -> None:
    """Tell the customers whose wallet has fallen below its threshold."""
    alerts.tell_low_credits(now=timezone.now())


@shared_task(name="batches.reconcile", soft_time_limit=1800, time_limit=1830)
def reconcile() -> None:
    """Check every invariant and keep the result, unless somebody is at it."""
    with contextlib.suppress(UnderWay):
        reconciliation.reconcile(now=timezone.now())


@shared_task(name="batches.probe_availability")
def probe_availability() -> None:
    """Measure whether the system is available in this minute."""
    probing.probe(now=timezone.now())


@shared_task(name="batches.purge_outputs")
def purge_outputs() -> None:
    """Delete the videos that customers' policies have ended, and files that no record names."""
    with slot("batches.purge_outputs") as ours:
        if ours is not None:
            retention.purge_outputs(now=timezone.now())
            orphans.remove_orphans(now=timezone.now())


def _on(name: str | None, task: str, work: Callable[[Route, Callable[[], None]], int], *, of: int = 1) -> None:
    """Do the work on a route, in at most `of` processes of this machine; without one, ring for each route.

    So a provider that is slow holds up no other one. The work is told how to let another process take over.
    """
    if name is None:
        for route in routes():
            bell.ring(task, route=route.name)
        return
    found = route_named(name)
    if found is not None:
        work_in_slot(f"{task} {name}", lambda ours: work(found, ours.give_back), of=of)
