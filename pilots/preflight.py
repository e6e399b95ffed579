"""The runs of the preflight: ask for one, take it, run it, keep how each check went.

What is asked for stands in rows; one runs at a time. A run that its process did not survive counts as dead once it
should long be over, is shown as that, and is in nobody's way.
"""

import time
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from customers.services import audit
from pilots.models import Preflight
from pilots.preflight_account import account_of
from pilots.preflight_checks import LIMIT_SECONDS, Result, run_checks
from pilots.preflight_models import PreflightQuerySet
from sora2 import bell

# Beyond its limit a run has its last check to end and its account to clear away; then whoever ran it is gone.
DEAD_AFTER = timedelta(seconds=LIMIT_SECONDS) + timedelta(minutes=3)


class AlreadyRunning(Exception):
    """Another preflight runs; the message says since when."""


def ask(*, by: str, now: datetime) -> tuple[Preflight, bool]:
    """Ask for a run; return it, or the one that waits or runs already, and whether it is a new one."""
    with transaction.atomic():
        _in_turn()
        there = running(now) or Preflight.objects.filter(started_at=None).order_by("pk").first()
        preflight = there or _new(by=by, now=now)
        bell.ring("pilots.preflight")
    return preflight, there is None


def take(*, now: datetime) -> Preflight | None:
    """Take what was asked for first, to be run by the caller; None if nothing waits, or one runs."""
    with transaction.atomic():
        _in_turn()
        if running(now):
            return None
        asked = Preflight.objects.filter(started_at=None).order_by("pk").first()
        return asked and _start(asked, now)


def begin(*, by: str, now: datetime) -> Preflight:
    """Ask for a run and take it at once. Raises AlreadyRunning."""
    with transaction.atomic():
        _in_turn()
        if (other := running(now)) and other.started_at:
            raise AlreadyRunning(f"{other.pk} runs since {other.started_at:%Y-%m-%d %H:%M:%S} UTC: one runs at a time.")
        return _start(_new(by=by, now=now), now)


def run(preflight: Preflight) -> Preflight:
    """Make all checks of a run that was taken, write each down as it is made, and return the run as it ended."""
    began, results = time.monotonic(), list[Result]()
    try:
        with account_of(preflight) as account:
            for result in run_checks(account, reference=preflight.pk, began=began):
                results.append(result)
                _rows(preflight).update(checks=results)
    except BaseException as error:
        results.append(_broken(error, time.monotonic() - began))
        _end(preflight, results)
        raise
    _end(preflight, results)
    return Preflight.objects.get(pk=preflight.pk)


def running(now: datetime) -> Preflight | None:
    """Return the run that is on its way and not dead."""
    return Preflight.objects.filter(ended_at=None, started_at__gt=now - DEAD_AFTER).order_by("-pk").first()


def is_dead(preflight: Preflight, now: datetime) -> bool:
    """Say whether a run was begun so long ago that it cannot be running any more, and never ended."""
    return preflight.ended_at is None and preflight.started_at is not None and preflight.started_at <= now - DEAD_AFTER


def _in_turn() -> None:
    """Let one transaction at a time ask, or take."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('pilots_preflight'))")


def _new(*, by: str, now: datetime) -> Preflight:
    preflight = Preflight.objects.create(requested_at=now, requested_by=by)
    audit(actor=by, action="preflight.run", subject=preflight.pk)
    return preflight


def _start(preflight: Preflight, now: datetime) -> Preflight:
    Preflight.objects.filter(pk=preflight.pk).update(started_at=now)
    preflight.started_at = now
    return preflight


def _rows(preflight: Preflight) -> PreflightQuerySet:
    return Preflight.objects.filter(pk=preflight.pk, ended_at=None)


def _end(preflight: Preflight, results: list[Result]) -> None:
    ok = all(result["ok"] for result in results)
    _rows(preflight).update(ended_at=timezone.now(), ok=ok, checks=results)


def _broken(error: BaseException, seconds: float) -> Result:
    """Return what is kept of a run that was cut off, or could not begin."""
    detail = f"The run was cut off: {type(error).__name__}. Its account is cleared away. The log has the rest."
    return Result(name="run", ok=False, seconds=round(seconds, 2), detail=detail)
