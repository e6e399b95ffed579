"""The bells of telling. A task carries no state, and may be lost, doubled or late."""

from celery import shared_task
from django.utils import timezone

from webhooks import sinks
from webhooks.delivery import deliver_due


@shared_task(name="webhooks.deliver")
def deliver() -> None:
    """Deliver what is due."""
    deliver_due()


@shared_task(name="webhooks.purge_sinks")
def purge_sinks() -> None:
    """Drop what came to the internal sinks too long ago."""
    sinks.purge(now=timezone.now())
