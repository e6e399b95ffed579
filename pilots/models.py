"""Onboarding: a pilot is a customer's first 48 hours, from activation to the three success criteria."""

from django.db import models
from django.utils import timezone

from customers.models import Organization
from sora2.ids import new_id


def new_pilot_id() -> str:
    return new_id("pil")


class Pilot(models.Model):
    """A pilot of an organization; its clock starts at `activated_at`."""

    id = models.CharField(primary_key=True, max_length=30, default=new_pilot_id, editable=False)
    organization = models.OneToOneField(Organization, on_delete=models.PROTECT, related_name="pilot")
    credits = models.BigIntegerField()
    activated_at = models.DateTimeField(default=timezone.now)
    deadline = models.DateTimeField()
    created_by = models.CharField(max_length=40)

    def __str__(self) -> str:
        return f"pilot of {self.organization_id}"
