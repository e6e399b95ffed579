"""Sign-offs as rows. Part of batches.models, which imports this."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from customers.models import OwnedQuerySet
from sora2.ids import new_id

NOTE_MAX = 600


def new_sign_off_id() -> str:
    return new_id("sgn")


class Side(models.TextChoices):
    """Whose finance has signed a batch off: the customer's, or ours for them."""

    CUSTOMER = "customer"
    STAFF = "staff"


class SignOffQuerySet(OwnedQuerySet["SignOff"]):
    organization_path = "batch__organization_id"
    mode_path = "batch__mode"


class SignOff(models.Model):
    """A person's word that a final batch reconciles: reserved = settled + refunded, with the figures as they were seen.

    Once for each side, and for good: the database refuses figures that are not the ledger's, and every change.
    """

    id = models.CharField(primary_key=True, max_length=30, default=new_sign_off_id, editable=False)
    batch = models.ForeignKey("batches.Batch", on_delete=models.PROTECT, related_name="sign_offs")
    side = models.CharField(max_length=8, choices=Side)
    signed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    # The role that entitled them then; people change.
    role = models.CharField(max_length=20)
    note = models.CharField(max_length=NOTE_MAX, blank=True)
    reserved = models.BigIntegerField()
    settled = models.BigIntegerField()
    refunded = models.BigIntegerField()
    proof_sha256 = models.CharField(max_length=64)
    signed_at = models.DateTimeField(default=timezone.now)

    objects = SignOffQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch", "side"], name="batches_signoff_once_per_side"),
            models.CheckConstraint(condition=Q(side__in=["customer", "staff"]), name="batches_signoff_side_known"),
            models.CheckConstraint(
                condition=Q(reserved=F("settled") + F("refunded")), name="batches_signoff_reconciled"
            ),
            models.CheckConstraint(condition=Q(side="customer") | ~Q(note=""), name="batches_signoff_staff_says_why"),
        ]

    def __str__(self) -> str:
        return f"sign-off of {self.batch_id} by the {self.side}"
