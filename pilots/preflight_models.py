"""The runs of the preflight, as rows. Part of pilots.models, which imports this."""

from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import Q

from customers.models import Organization
from sora2.ids import new_id

# A green preflight is fresh for so long: until then a customer may be onboarded on its word.
FRESH = timedelta(hours=24)


def new_preflight_id() -> str:
    return new_id("pfl")


class PreflightQuerySet(models.QuerySet["Preflight"]):
    def fresh(self, now: datetime) -> Self:
        """Keep the green ones that are recent enough to onboard a customer on, the latest first."""
        return self.filter(ok=True, ended_at__gt=now - FRESH).order_by("-ended_at")


class Preflight(models.Model):
    """One run of the internal checklist against the running system. `ok` is null while it runs or waits.

    `checks` is a list of `{"name", "ok", "seconds", "detail"}` in the order of the run. `organization` is our own, in
    whose test mode it ran.
    """

    id = models.CharField(primary_key=True, max_length=30, default=new_preflight_id, editable=False)
    requested_at = models.DateTimeField()
    requested_by = models.CharField(max_length=40)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    ok = models.BooleanField(null=True)
    checks = models.JSONField(default=list)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, null=True, related_name="+")

    objects = PreflightQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ok=None, ended_at=None) | Q(ok__isnull=False, ended_at__isnull=False),
                name="pilots_preflight_ended_with_word",
            ),
        ]

    def __str__(self) -> str:
        return self.pk

    @property
    def seconds(self) -> float | None:
        """Return how long it took; None while it has not ended."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()
