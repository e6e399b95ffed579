"""What the tab of handovers shows: what was handed over to a pilot's customer, by whom, and what became of it."""

from dataclasses import dataclass
from datetime import datetime

from django.shortcuts import get_object_or_404

from customers.access import Access
from customers.models import Handover, Mode
from customers.naming import names_of
from pilots.models import Pilot
from pilots.pages import reached_pilot

SHOWN = 100


@dataclass(frozen=True)
class HandedOver:
    """Secrets that were handed over, their state, who did it, and whether somebody may still be given a new link."""

    handover: Handover
    state: str
    by: str
    renewable: bool


def handed_over(access: Access, pilot: Pilot, *, now: datetime) -> list[HandedOver]:
    """Return the latest handovers to a pilot's customer, newest first."""
    rows = list(Handover.objects.filter(organization=pilot.organization_id).order_by("-id")[:SHOWN])
    names = names_of(access, (row.made_by for row in rows))
    return [
        HandedOver(row, row.state(now), names.get(row.made_by, row.made_by), renewable=bool(row.content_encrypted))
        for row in rows
    ]


def reached_handover(access: Access, *, pilot_id: str, handover_id: str) -> tuple[Pilot, Handover]:
    """Return a pilot that somebody reaches and a handover to its customer. Raises Http404."""
    pilot = reached_pilot(access, pilot_id=pilot_id)
    handovers = Handover.objects.select_related("organization").filter(organization=pilot.organization_id)
    return pilot, get_object_or_404(handovers, pk=handover_id)


def usual_end(pilot: Pilot, now: datetime) -> datetime | None:
    """Return when a further key is to end: as the latest of the customer's keys does; None for never."""
    keys = pilot.organization.keys.filter(mode=Mode.LIVE).usable(now)
    return keys.order_by("-id").values_list("expires_at", flat=True).first()
