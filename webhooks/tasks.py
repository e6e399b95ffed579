"""The bells of telling. A task carries no state, and may be lost, doubled or late."""

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from sora2.mailing import send_due
from sora2.slots import slot, work_in_slot
from webhooks import health, sinks
from webhooks.delivery import deliver_due
from webhooks.models import Notice


@shared_task(name="webhooks.deliver")
def deliver() -> None:
    """Deliver what is due, in a part of this machine's processes: receivers may be slow."""
    processes = 1 if settings.WORKER_PROCESSES < 4 else max(2, settings.WORKER_PROCESSES // 4)
    work_in_slot("webhooks.deliver", lambda ours: deliver_due(ours.give_back, ours.was_wanted), of=processes)


@shared_task(name="webhooks.judge_endpoints")
def judge_endpoints() -> None:
    """Warn of endpoints that fail, disable those that failed for too long, and send the mails about it."""
    with slot("webhooks.judge_endpoints") as ours:
        if ours is not None:
            health.judge(now=timezone.now())
            send_due(Notice, now=timezone.now())


@shared_task(name="webhooks.purge_sinks")
def purge_sinks() -> None:
    """Drop what came to the internal sinks too long ago."""
    sinks.purge(now=timezone.now())
