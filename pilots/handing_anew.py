"""What was lost is handed over anew to a pilot's customer: a key, or the first password. Never under a contract.

There a key orders with credits that were paid for, and the customer's own administrators make keys and let people in.
"""

from datetime import datetime

from django.db import transaction

from customers.handing_over import hand_over_new_key, hand_over_new_password
from customers.issuing import KeyOrder
from customers.models import Handover, Mode, Organization, Plan
from pilots.models import Pilot


class UnderContract(Exception):
    """The customer is no pilot any more."""


@transaction.atomic
def new_key(
    *, pilot: Pilot, mode: Mode, order: KeyOrder, key_id: str, actor: str, now: datetime
) -> tuple[Handover, str]:
    """Hand a new key over, as `hand_over_new_key` does. Raises UnderContract, MadeBefore, TooManyKeys."""
    organization = _in_pilot(pilot)
    return hand_over_new_key(organization=organization, mode=mode, order=order, key_id=key_id, actor=actor, now=now)


@transaction.atomic
def new_password(*, pilot: Pilot, actor: str, now: datetime) -> tuple[Handover, str]:
    """Hand a new first password over, as `hand_over_new_password` does. Raises UnderContract, SignedInBefore."""
    return hand_over_new_password(organization=_in_pilot(pilot), actor=actor, now=now)


def _in_pilot(pilot: Pilot) -> Organization:
    """Return the customer, locked: whoever changes its plan at this moment comes before, or after."""
    organization = Organization.objects.select_for_update(no_key=True).get(pk=pilot.organization_id)
    if organization.plan != Plan.PILOT:
        raise UnderContract
    return organization
