"""Onboarding: a pilot is a customer's first 48 hours, from activation to the three success criteria."""

from dataclasses import replace
from typing import Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from customers.access import Access
from customers.models import Organization, OwnedQuerySet, User
from pilots.lead_models import KIND_OF as KIND_OF
from pilots.lead_models import OPENS_TRANSITION as OPENS_TRANSITION
from pilots.lead_models import Lead as Lead
from pilots.lead_models import LeadStep as LeadStep
from pilots.lead_models import Signal as Signal
from pilots.lead_models import SignalKind as SignalKind
from pilots.mail_models import SalesMail as SalesMail
from pilots.preflight_models import Preflight as Preflight
from sora2.ids import new_id


def new_pilot_id() -> str:
    return new_id("pil")


class PilotQuerySet(OwnedQuerySet["Pilot"]):
    def within(self, access: Access) -> Self:
        """Keep the pilots of organizations that `access` reaches: a pilot is the organization's, whatever the mode."""
        return super().within(replace(access, mode=None))


class Pilot(models.Model):
    """A pilot of an organization; its clock starts at `activated_at`."""

    id = models.CharField(primary_key=True, max_length=30, default=new_pilot_id, editable=False)
    organization = models.OneToOneField(Organization, on_delete=models.PROTECT, related_name="pilot")
    credits = models.BigIntegerField()
    activated_at = models.DateTimeField(default=timezone.now)
    deadline = models.DateTimeField()
    created_by = models.CharField(max_length=40)
    # On what it was provisioned: a fresh green preflight, or somebody's word why without.
    preflight = models.ForeignKey(Preflight, on_delete=models.PROTECT, null=True, related_name="pilots")
    override_reason = models.CharField(max_length=600, blank=True, default="", db_default="not recorded")
    # Closed by our people: how it stood then, and what we learned.
    closed_at = models.DateTimeField(null=True, editable=False)
    closed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+", editable=False)
    outcome = models.CharField(max_length=9, blank=True, default="", db_default="", editable=False)
    lesson = models.TextField(blank=True, default="", db_default="", editable=False)

    objects = PilotQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(preflight__isnull=False) | ~Q(override_reason=""), name="pilots_pilot_preflight_or_reason"
            ),
            models.CheckConstraint(
                condition=Q(closed_at=None, closed_by=None, outcome="")
                | (Q(closed_at__isnull=False, closed_by__isnull=False) & ~Q(outcome="")),
                name="pilots_pilot_closed_whole",
            ),
            models.CheckConstraint(condition=Q(deadline__gt=F("activated_at")), name="pilots_pilot_has_time"),
        ]

    def __str__(self) -> str:
        return f"pilot of {self.organization_id}"


class PilotFailure(models.Model):
    """Somebody of ours saw one of the conditions 2 to 4 by which a pilot fails. The first one is the clock's."""

    class Condition(models.IntegerChoices):
        """In words for both sides; docs/enterprise/pilot.md has the same."""

        NO_BATCH = 1, "No batch ran in time"
        WEBHOOK = 2, "The webhook did not arrive, or was misunderstood"
        RECONCILIATION = 3, "Finance could not complete the reconciliation"
        DEMO_OR_API = 4, "Somebody had to ask: “Is the demo the same as the API?”"

    pilot = models.ForeignKey(Pilot, on_delete=models.PROTECT, related_name="failures")
    condition = models.PositiveSmallIntegerField(choices=Condition)
    note = models.CharField(max_length=600)
    recorded_at = models.DateTimeField()
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    # It was a mistake, and why.
    withdrawn_at = models.DateTimeField(null=True, editable=False)
    withdrawn_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+", editable=False)
    withdrawn_reason = models.CharField(max_length=600, blank=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(condition__in=[2, 3, 4]), name="pilots_pilotfailure_of_people"),
            models.UniqueConstraint(
                fields=["pilot", "condition"],
                condition=Q(withdrawn_at=None),
                name="pilots_pilotfailure_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pilot_id}: condition {self.condition}"


class Tick(models.Model):
    """Something on a checklist that no system can see was done, says a person. Undone, it stays as it was."""

    class Side(models.TextChoices):
        CUSTOMER = "customer"
        STAFF = "staff"

    pilot = models.ForeignKey(Pilot, on_delete=models.PROTECT, related_name="ticks")
    item = models.CharField(max_length=40)
    side = models.CharField(max_length=8, choices=Side)
    note = models.CharField(max_length=600, blank=True)
    ticked_at = models.DateTimeField()
    ticked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    undone_at = models.DateTimeField(null=True, editable=False)
    undone_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+", editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pilot", "item"], condition=Q(undone_at=None), name="pilots_tick_once"),
        ]

    def __str__(self) -> str:
        return f"{self.pilot_id}: {self.item}"


class ReviewAnswer(models.Model):
    """What the customer answered to a question of the review. A later answer to the same one follows it."""

    pilot = models.ForeignKey(Pilot, on_delete=models.PROTECT, related_name="answers")
    question = models.CharField(max_length=40)
    answer = models.TextField()
    answered_by = models.CharField(max_length=150, blank=True)
    at = models.DateTimeField()
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        indexes = [models.Index(fields=["pilot", "question", "-at"], name="pilots_reviewanswer_latest")]

    def __str__(self) -> str:
        return f"{self.pilot_id}: {self.question}"
