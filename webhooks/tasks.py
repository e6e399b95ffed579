"""The bells of telling. A task carries no state, and may be lost, doubled or late."""

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from sora2.slots import work_in_slot
from webhooks import sinks
from webhooks.delivery import deliver_due


@shared_task(name="webhooks.deliver")
def deliver() -> None:
    """Deliver what is due, in a part of this machine's processes: receivers may be slow."""
    processes = max(1, settings.WORKER_PROCESSES // 4)
    work_in_slot("webhooks.deliver", lambda ours: deliver_due(ours.give_back), of=processes)


@shared_task(name="webhooks.purge_sinks")
def purge_sinks() -> None:
    """Drop what came to the internal sinks too long ago."""
    sinks.purge(now=timezone.now())
