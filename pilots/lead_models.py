"""Whom we talk to before and after they are customers, as rows. Part of pilots.models, which imports this."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from customers.models import Organization, User
from sora2.ids import new_id


def new_lead_id() -> str:
    return new_id("lea")


class Lead(models.Model):
    """A company that may become a customer, and how far it is. With a pilot it is an organization too."""

    class Stage(models.TextChoices):
        """The five steps of the sale, in their order."""

        COLD_MAIL = "cold_mail"
        REPLY = "reply"
        CALL = "call"
        PILOT = "pilot"
        CONTRACT = "contract"

    id = models.CharField(primary_key=True, max_length=30, default=new_lead_id, editable=False)
    company = models.CharField(max_length=200)
    contact_name = models.CharField(max_length=150)
    contact_email = models.EmailField()
    stage = models.CharField(max_length=10, choices=Stage, default=Stage.COLD_MAIL)
    organization = models.OneToOneField(Organization, on_delete=models.PROTECT, null=True, related_name="lead")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    # Given up, and why; it can be taken up again.
    lost_at = models.DateTimeField(null=True, editable=False)
    lost_reason = models.CharField(max_length=600, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(stage__in=["cold_mail", "reply", "call", "pilot", "contract"]),
                name="pilots_lead_stage_known",
            ),
            models.CheckConstraint(condition=Q(lost_at=None) | ~Q(lost_reason=""), name="pilots_lead_lost_with_reason"),
        ]
        indexes = [models.Index(fields=["stage", "-id"], name="pilots_lead_by_stage")]

    def __str__(self) -> str:
        return self.company


class LeadStep(models.Model):
    """Something that happened to a lead: it moved to a stage, was lost or taken up again (`stage` stays), or a note."""

    lead = models.ForeignKey(Lead, on_delete=models.PROTECT, related_name="steps")
    at = models.DateTimeField()
    by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    stage = models.CharField(max_length=10, choices=Lead.Stage)
    note = models.CharField(max_length=600, blank=True)

    class Meta:
        indexes = [models.Index(fields=["lead", "-at", "-id"], name="pilots_leadstep_by_lead")]

    def __str__(self) -> str:
        return f"{self.lead_id}: {self.stage}"


class SignalKind(models.TextChoices):
    """What a signal says."""

    UPGRADE = "upgrade"
    HEALTH = "health"
    DANGER = "danger"


class Signal(models.Model):
    """Something that the customer said or asked by itself, written down: it is observed and not pushed.

    About a lead, a customer, or both.
    """

    class Code(models.TextChoices):
        MORE_CONCURRENCY = "more_concurrency", "Can concurrency be higher?"
        MORE_EVENTS = "more_events", "Can we get another webhook event?"
        CONTRACT_OR_SLA = "contract_or_sla", "Do we need a contract / SLA?"
        ASKS_PRICING = "asks_pricing", "The customer asks about pricing by itself"
        ASKS_PILOT = "asks_pilot", "The customer asks for a pilot"
        ASKS_PREPAID = "asks_prepaid", "The customer asks about enterprise prepaid"
        FINANCE_APPROVES = "finance_approves", "The customer says: finance team needs to approve"
        ONLY_PRICE = "only_price", "The customer asks about the price only, not what it does"
        FREE_THOUSAND = "free_thousand", "The customer wants to try 1000 for free"
        JUST_LOOKING = "just_looking", "The customer says: we are just looking"

    lead = models.ForeignKey(Lead, on_delete=models.PROTECT, null=True, related_name="signals")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, null=True, related_name="signals")
    code = models.CharField(max_length=20, choices=Code)
    note = models.CharField(max_length=600, blank=True)
    seen_at = models.DateTimeField()
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(lead__isnull=False) | Q(organization__isnull=False), name="pilots_signal_about_somebody"
            ),
        ]
        indexes = [models.Index(fields=["organization", "-seen_at"], name="pilots_signal_by_org")]

    def __str__(self) -> str:
        return self.code

    @property
    def kind(self) -> SignalKind:
        """Return what it says."""
        return KIND_OF[Signal.Code(self.code)]


KIND_OF = {
    Signal.Code.MORE_CONCURRENCY: SignalKind.UPGRADE,
    Signal.Code.MORE_EVENTS: SignalKind.UPGRADE,
    Signal.Code.CONTRACT_OR_SLA: SignalKind.UPGRADE,
    Signal.Code.ASKS_PRICING: SignalKind.HEALTH,
    Signal.Code.ASKS_PILOT: SignalKind.HEALTH,
    Signal.Code.ASKS_PREPAID: SignalKind.HEALTH,
    Signal.Code.FINANCE_APPROVES: SignalKind.HEALTH,
    Signal.Code.ONLY_PRICE: SignalKind.DANGER,
    Signal.Code.FREE_THOUSAND: SignalKind.DANGER,
    Signal.Code.JUST_LOOKING: SignalKind.DANGER,
}
# What a customer asks when it is ready to go from a pilot to a contract.
OPENS_TRANSITION = frozenset({Signal.Code.CONTRACT_OR_SLA, Signal.Code.ASKS_PREPAID})
