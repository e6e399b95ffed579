"""The verbs about leads: each moves through the five steps of the sale, and every step is written down."""

from datetime import datetime

from django.db import transaction

from customers.models import User
from pilots.models import Lead, LeadStep


@transaction.atomic
def advance(*, lead: Lead, stage: Lead.Stage, by: User | None, now: datetime, note: str = "") -> bool:
    """Put a lead on a stage, and write it down; say whether that changes anything."""
    if not Lead.objects.filter(pk=lead.pk).exclude(stage=stage).update(stage=stage):
        return False
    LeadStep.objects.create(lead=lead, at=now, by=by, stage=stage, note=note)
    lead.stage = stage
    return True
