"""The bell of onboarding. The task carries no state, and may be lost, doubled or late."""

from celery import shared_task
from django.utils import timezone
from structlog import get_logger

from pilots import preflight

log = get_logger(__name__)

# A run ends by itself within its ten minutes; beyond that one that hangs is cut off, and clears away.
SOFT_SECONDS, HARD_SECONDS = 660, 720


@shared_task(name="pilots.preflight", soft_time_limit=SOFT_SECONDS, time_limit=HARD_SECONDS)
def run_preflight() -> None:
    """Run the preflight that was asked for first, if none runs."""
    taken = preflight.take(now=timezone.now())
    if taken is not None:
        ended = preflight.run(taken)
        log.info("preflight.ended", preflight=ended.pk, ok=ended.ok)
