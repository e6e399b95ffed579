"""From a pilot to an enterprise, in one act: the plan, the end of the pilot, and the lead's last step.

It is open once the customer has asked for it by itself, and that was recorded: it is observed and not pushed.
"""

from datetime import datetime

from django.db import transaction

from customers.models import Organization, User
from customers.plans import Terms, change_plan
from pilots.leads import advance
from pilots.models import OPENS_TRANSITION, Lead, Pilot, Signal
from pilots.pilot_acts import close_by_contract
from pilots.signals import transition_opened_by


class NotAsked(Exception):
    """The customer has not asked for a contract; the message says which signals would say that it has."""


@transaction.atomic
def upgrade(
    *,
    organization: Organization,
    terms: Terms,
    contract_reference: str,
    reason: str,
    by: User,
    seen: str,
    now: datetime,
    lesson: str = "",
) -> bool:
    """Make a pilot an enterprise on these terms; say whether this call did.

    Its pilot is closed as it is judged now, with what we learned from it, and its lead has come to the contract: both
    where there are any. Raises NotAsked, and what `customers.plans.change_plan` raises.
    """
    if transition_opened_by(organization) is None:
        raise NotAsked(not_asked())
    changed = change_plan(
        organization=organization,
        terms=terms,
        contract_reference=contract_reference,
        reason=reason,
        by=by,
        seen=seen,
        now=now,
    )
    if not changed:
        return False
    for pilot in Pilot.objects.filter(organization=organization):
        close_by_contract(pilot=pilot, lesson=lesson, by=by, now=now)
    for lead in Lead.objects.filter(organization=organization):
        advance(lead=lead, stage=Lead.Stage.CONTRACT, by=by, now=now, note=f"Contract {contract_reference}")
    return True


def not_asked() -> str:
    """Say which signals open the way from a pilot to an enterprise."""
    opening = " or ".join(f"“{code.label}”" for code in Signal.Code if code in OPENS_TRANSITION)
    return f"The customer has not asked for a contract yet. Once it does, record the signal: {opening}."
