"""Onboarding: a pilot is a customer's first 48 hours, from activation to the three success criteria."""

from dataclasses import replace
from typing import Self

from django.db import models
from django.utils import timezone

from customers.access import Access
from customers.models import Organization, OwnedQuerySet
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

    objects = PilotQuerySet.as_manager()

    def __str__(self) -> str:
        return f"pilot of {self.organization_id}"
