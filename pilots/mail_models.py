"""What our people wrote to a lead or a customer, as it went out, as rows. Part of pilots.models, which imports this."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from customers.models import Organization, User
from pilots.lead_models import Lead
from sora2.ids import new_id


def new_mail_id() -> str:
    return new_id("mai")


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
