"""The probes: each minute, is the system ready; every few minutes, does a test batch go through. Safe to call often.

They ask from inside, at the address that customers use. What lies between a customer and that address is not measured:
docs/decisions/0046-availability.md.
"""

from datetime import datetime

from django.conf import settings

from batches.sla.asking import ask_readiness
from batches.sla.models import MINUTE, Probe, minute_of
from batches.sla.trial_batches import judge_trials, order_trial


def probe(*, now: datetime, base: str = "") -> None:
    """Ask what this minute was not asked yet, and write down what came of it. Two at once leave one row.

    `base` is where the probes go in; without it, where SLA_PROBE_URL says, and else where customers do.
    """
    base = base or settings.SLA_PROBE_URL or settings.PUBLIC_BASE_URL
    probe_readiness(now=now, base=base)
    if settings.SLA_BATCH_MINUTES:
        judge_trials(now=now)
        order_trial(now=now, base=base)


def probe_readiness(*, now: datetime, base: str) -> None:
    """Ask whether the system is ready, once a minute."""
    minute = minute_of(now)
    if Probe.objects.of_readiness().filter(minute=minute).exists():
        return
    answer = ask_readiness(base)
    Probe.objects.record(
        Probe(
            minute=minute,
            kind=Probe.Kind.READINESS,
            ok=answer.ok,
            latency_ms=answer.latency_ms,
            detail=answer.detail,
            holds_from=minute,
            holds_until=minute + MINUTE,
        )
    )
