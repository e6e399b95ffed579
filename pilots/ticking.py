"""The verbs of a checklist: tick what no system can see, and take a tick back. Who and when stays on record."""

from datetime import datetime

from django.db import transaction

from customers.models import User
from customers.services import audit
from pilots.checklist_items import Item
from pilots.models import Pilot, Tick


@transaction.atomic
def tick(*, pilot: Pilot, item: Item, by: User, now: datetime, note: str = "") -> bool:
    """Say that a line is done; say whether nobody had before."""
    Pilot.objects.select_for_update(no_key=True).get(pk=pilot.pk)
    if Tick.objects.filter(pilot=pilot, item=item.key, undone_at=None).exists():
        return False
    Tick.objects.create(pilot=pilot, item=item.key, side=item.side, note=note, ticked_at=now, ticked_by=by)
    _audit(pilot, item, by, "tick", note)
    return True


@transaction.atomic
def undo(*, pilot: Pilot, item: Item, by: User, now: datetime) -> bool:
    """Take the tick of a line back; say whether there was one."""
    standing = Tick.objects.filter(pilot=pilot, item=item.key, undone_at=None)
    if not standing.update(undone_at=now, undone_by=by):
        return False
    _audit(pilot, item, by, "untick", "")
    return True


def _audit(pilot: Pilot, item: Item, by: User, act: str, note: str) -> None:
    detail = {"item": item.key, **({"note": note} if note else {})}
    audit(actor=by.pk, action=f"pilot.{act}", organization_id=pilot.organization_id, subject=pilot.pk, detail=detail)
