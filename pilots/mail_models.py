"""What our people wrote to a lead or a customer, as it went out, as rows. Part of pilots.models, which imports this."""

from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from customers.models import Organization, User
from pilots.lead_models import Lead
from sora2.ids import new_id


def new_mail_id() -> str:
    return new_id("mai")


class SalesMailQuerySet(models.QuerySet["SalesMail"]):
    def about(self, *, lead: Lead | None, organization_id: str | None) -> Self:
        """Keep what was written to a lead, to a customer, or to what was the one and is the other."""
        nobody = Q(pk__in=[])
        to_lead = Q(lead=lead) if lead else nobody
        return self.filter(to_lead | (Q(organization=organization_id) if organization_id else nobody))

    def gone(self) -> Self:
        """Keep what went out: sent, or copied and sent by hand."""
        return self.filter(Q(way=SalesMail.Way.COPIED) | Q(sent_at__isnull=False))


class SalesMail(models.Model):
    """A mail as it was sent, or copied to be sent elsewhere. A one-time link in it is kept without its token."""

    class Way(models.TextChoices):
        SENT = "sent"
        COPIED = "copied"

    id = models.CharField(primary_key=True, max_length=30, default=new_mail_id, editable=False)
    lead = models.ForeignKey(Lead, on_delete=models.PROTECT, null=True, related_name="mails")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, null=True, related_name="sales_mails")
    template = models.CharField(max_length=30)
    recipients = ArrayField(models.EmailField())
    subject = models.CharField(max_length=300)
    body = models.TextField()
    way = models.CharField(max_length=6, choices=Way)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    # Of a sent one: when the mail server took it; until then, what was wrong the last time.
    sent_at = models.DateTimeField(null=True)
    fault = models.CharField(max_length=300, blank=True)

    objects = SalesMailQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(lead__isnull=False) | Q(organization__isnull=False), name="pilots_salesmail_to_somebody"
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-id"], name="pilots_salesmail_by_org"),
            models.Index(fields=["lead", "-id"], name="pilots_salesmail_by_lead"),
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def state(self) -> str:
        """Return how it stands: `copied`, `sent`, or `not sent`."""
        return "copied" if self.way == self.Way.COPIED else "sent" if self.sent_at else "not sent"
