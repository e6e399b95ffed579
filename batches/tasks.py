"""The bells of the engine. A task carries no state: it drains what is due, and may be lost, doubled or late."""

from celery import shared_task
from django.utils import timezone

from batches import reconciliation, services
from batches.catalogue import routes
from batches.execution.collect import collect_due
from batches.execution.lookup import look_up_due
from batches.execution.poll import poll_due
from batches.execution.submit import submit_due


@shared_task(name="batches.submit")
def submit() -> None:
    """Submit what is due, on every route."""
    for route in routes():
        submit_due(route)


@shared_task(name="batches.poll")
def poll() -> None:
    """Poll what is due, on every route."""
    for route in routes():
        poll_due(route)


@shared_task(name="batches.collect")
def collect() -> None:
    """Collect what is due, on every route."""
    for route in routes():
        collect_due(route)


@shared_task(name="batches.sweep")
def sweep() -> None:
    """Look up ambiguous submits, enforce batch deadlines, finalize what a dead worker left unfinalized."""
    for route in routes():
        look_up_due(route)
    services.expire_deadlines(now=timezone.now())
    services.finalize_ended(now=timezone.now())


@shared_task(name="batches.reconcile")
def reconcile() -> None:
    """Check every invariant and keep the result."""
    reconciliation.reconcile(now=timezone.now())
