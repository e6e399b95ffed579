"""On what terms a customer is with us, and how they came about, as rows. Part of customers.models, which imports it."""

from django.db import models
from django.db.models import Q


class Plan(models.TextChoices):
    """A plan sets limits and how fast we answer. What the system promises of credits is the same under each."""

    PILOT = "pilot"  # -> ENTERPRISE
    ENTERPRISE = "enterprise"


class PlanChange(models.Model):
    """A customer's plan or its terms changed: by whom, under which contract, from what to what. Never changed itself.

    `before` and `after` are the terms by name: `max_items_per_batch`, `rate_limit_per_minute`, `max_open_batches`,
    `support_response_hours`.
    """

    organization = models.ForeignKey("customers.Organization", on_delete=models.PROTECT, related_name="plan_changes")
    at = models.DateTimeField()
    by = models.ForeignKey("customers.User", on_delete=models.PROTECT, related_name="+")
    plan_before = models.CharField(max_length=10, choices=Plan)
    plan_after = models.CharField(max_length=10, choices=Plan)
    contract_reference = models.CharField(max_length=100)
    reason = models.CharField(max_length=600)
    before = models.JSONField()
    after = models.JSONField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(plan_before__in=["pilot", "enterprise"], plan_after="enterprise"),
                name="customers_planchange_forward",
            ),
            models.CheckConstraint(condition=~Q(contract_reference=""), name="customers_planchange_contract"),
        ]
        indexes = [models.Index(fields=["organization", "-at"], name="customers_planchange_by_org")]

    def __str__(self) -> str:
        return f"{self.organization_id}: {self.plan_before} to {self.plan_after}"
