"""What was measured of the service, minute by minute, as rows. Part of batches.models, which imports this."""

from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import F, Q

from customers.models import ApiKey, Organization

DETAIL_MAX = 300
MINUTE = timedelta(minutes=1)


def minute_of(at: datetime) -> datetime:
    """Return the minute that an instant lies in."""
    return at.replace(second=0, microsecond=0)


class ProbeQuerySet(models.QuerySet["Probe"]):
    def of_batches(self) -> Self:
        """Keep the probes by test batches."""
        return self.filter(kind=Probe.Kind.BATCH)

    def of_readiness(self) -> Self:
        """Keep the probes of readiness."""
        return self.filter(kind=Probe.Kind.READINESS)

    def record(self, probe: "Probe") -> None:
        """Write down what a probe found, unless this minute has one of its kind: then that one counts."""
        probe.detail = " ".join(probe.detail.replace("\0", "").split())[:DETAIL_MAX]
        self.bulk_create([probe], ignore_conflicts=True)


class Probe(models.Model):
    """What one probe found, of the minute (UTC) in which it was begun. Written once, and never changed.

    What it says holds for the minutes from `holds_from` on, until before `holds_until` or the next one of its kind:
    of readiness for that minute alone, of a batch from the minute in which its end was seen, until it is too old.
    """

    class Kind(models.TextChoices):
        READINESS = "readiness", "Readiness"
        BATCH = "batch", "Test batch"

    minute = models.DateTimeField()
    kind = models.CharField(max_length=9, choices=Kind)
    ok = models.BooleanField()
    latency_ms = models.PositiveIntegerField(null=True)
    detail = models.CharField(max_length=DETAIL_MAX, blank=True)
    holds_from = models.DateTimeField()
    holds_until = models.DateTimeField()

    objects = ProbeQuerySet.as_manager()

    class Meta:
        db_table = "batches_slaprobe"
        constraints = [
            models.UniqueConstraint(fields=["kind", "minute"], include=["ok"], name="batches_slaprobe_once"),
            models.CheckConstraint(condition=Q(kind__in=["readiness", "batch"]), name="batches_slaprobe_kind_known"),
            models.CheckConstraint(condition=Q(ok=True) | ~Q(detail=""), name="batches_slaprobe_says_why"),
            models.CheckConstraint(condition=Q(holds_from__gte=F("minute")), name="batches_slaprobe_not_ahead"),
        ]
        indexes = [
            # The test batches that failed, and until when each of them counts.
            models.Index(fields=["holds_from"], condition=Q(kind="batch"), name="batches_slaprobe_of_batches"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} at {self.minute:%Y-%m-%d %H:%M}: {'ok' if self.ok else self.detail}"


class Prober(models.Model):
    """The organization of our own whose test batches are probes, with its key. The last row counts."""

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, related_name="+")
    secret_encrypted = models.TextField()
    made_at = models.DateTimeField()

    class Meta:
        db_table = "batches_slaprober"

    def __str__(self) -> str:
        return f"prober {self.organization_id}"
