"""The verbs about a pilot that is under way: move its start, record and withdraw a failure, close it.

Each waits for the lock on the pilot's row, does nothing the second time, and is written down with its why.
"""

from datetime import datetime
from typing import Any

from django.db import transaction

from customers.models import User
from customers.services import audit
from pilots.criteria import OF_PEOPLE, Status, judge
from pilots.models import Pilot, PilotFailure
from pilots.orders import AHEAD_MOST


class PilotRefused(Exception):
    """It cannot be done; the message says why."""


CLOSED = "It is closed, and stays as it was closed."


@transaction.atomic
def move_start(*, pilot: Pilot, at: datetime, reason: str, by: User, now: datetime) -> bool:
    """Let the clock begin at another time, and run as long as before; say whether that changes anything.

    Only before it has begun. Raises PilotRefused.
    """
    held = _held(pilot)
    if held.activated_at == at:
        return False
    if at < now:
        raise PilotRefused("A clock cannot begin in the past: give a time to come, or now.")
    if held.activated_at <= now:
        raise PilotRefused("The clock has begun: it cannot be moved any more.")
    if at > now + AHEAD_MOST:
        raise PilotRefused(f"A clock begins within {AHEAD_MOST.days} days: give an earlier time.")
    deadline = at + (held.deadline - held.activated_at)
    rows = Pilot.objects.filter(pk=held.pk, activated_at=held.activated_at, closed_at=None)
    if not rows.update(activated_at=at, deadline=deadline):
        raise PilotRefused(CLOSED)
    moved = {"old": held.activated_at.isoformat(), "new": at.isoformat(), "reason": reason}
    _audit(held, by, action="pilot.move_start", detail=moved)
    return True


@transaction.atomic
def record_failure(*, pilot: Pilot, condition: int, note: str, by: User, now: datetime) -> bool:
    """Write down that a pilot has failed by the second, third or fourth condition; say whether that is new.

    Raises PilotRefused.
    """
    held = _held(pilot)
    if condition not in OF_PEOPLE:
        raise PilotRefused("The clock says this one by itself.")
    if held.closed_at:
        raise PilotRefused(CLOSED)
    if held.activated_at > now:
        raise PilotRefused("The clock has not begun: nothing can have failed yet.")
    if held.failures.filter(condition=condition, withdrawn_at=None).exists():
        return False
    held.failures.create(condition=condition, note=note, recorded_at=now, recorded_by=by)
    _audit(held, by, action="pilot.record_failure", detail={"condition": condition, "note": note})
    return True


@transaction.atomic
def withdraw_failure(*, failure: PilotFailure, reason: str, by: User, now: datetime) -> bool:
    """Take a recorded failure back, since it was a mistake; it stays on record. Say whether it still held.

    Raises PilotRefused.
    """
    held = _held(failure.pilot)
    if held.closed_at:
        raise PilotRefused(CLOSED)
    rows = PilotFailure.objects.filter(pk=failure.pk, withdrawn_at=None)
    if not rows.update(withdrawn_at=now, withdrawn_by=by, withdrawn_reason=reason):
        return False
    _audit(held, by, action="pilot.withdraw_failure", detail={"condition": failure.condition, "reason": reason})
    return True


@transaction.atomic
def close_pilot(*, pilot: Pilot, seen: str, lesson: str, by: User, now: datetime) -> bool:
    """Close a pilot as it stands, with what we learned; it keeps that outcome for good. Say whether it was open.

    `seen` is how it stood when that was looked at. Raises PilotRefused.
    """
    held = _held(pilot)
    if held.closed_at:
        return False
    status = judge(pilot=held, now=now).status
    if fault := why_not_closed(status, held, now):
        raise PilotRefused(fault)
    if status != seen:
        raise PilotRefused(f"It stands otherwise by now: {status}. Look at it again.")
    _close(held, status, lesson, by, now)
    return True


@transaction.atomic
def close_by_contract(*, pilot: Pilot, lesson: str, by: User, now: datetime) -> bool:
    """Close a pilot as it stands, whether or not its time is over: a contract ends it. Say whether it was open."""
    held = _held(pilot)
    if held.closed_at:
        return False
    _close(held, judge(pilot=held, now=now).status, lesson, by, now)
    return True


def why_not_closed(status: Status, pilot: Pilot, now: datetime) -> str:
    """Return why a pilot that stands like this cannot be closed yet; the empty text when it can.

    A failure that was recorded while the clock runs does not stop it: the customer may succeed all the same.
    """
    if status == Status.SUCCEEDED or now > pilot.deadline:
        return ""
    if status == Status.SCHEDULED:
        return "It cannot be closed before its clock has begun."
    return "It cannot be closed while its clock runs: all three criteria may still be met."


def _close(held: Pilot, status: Status, lesson: str, by: User, now: datetime) -> None:
    rows = Pilot.objects.filter(pk=held.pk, closed_at=None)
    rows.update(closed_at=now, closed_by=by, outcome=status, lesson=lesson)
    _audit(held, by, action="pilot.close", detail={"outcome": status, "lesson": lesson})


def _held(pilot: Pilot) -> Pilot:
    """Return the pilot as it is now; whoever else acts on it waits until this is over."""
    return Pilot.objects.select_for_update(no_key=True).get(pk=pilot.pk)


def _audit(pilot: Pilot, by: User, *, action: str, detail: dict[str, Any]) -> None:
    audit(actor=by.pk, action=action, organization_id=pilot.organization_id, subject=pilot.pk, detail=detail)
