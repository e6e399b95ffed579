"""The mails about wallets that have become low. Part of ledger.models, which imports this."""

from django.db import models
from django.db.models import Q

from customers.models import OwnedQuerySet
from sora2.mailing import Mail


class LowNoticeQuerySet(OwnedQuerySet["LowNotice"]):
    organization_path = "wallet__organization_id"
    mode_path = "wallet__mode"


class LowNotice(Mail):
    """A mail to an organization's finance: its wallet is low since `low_since`. One for each crossing."""

    # Served by ledger_lownotice_once.
    wallet = models.ForeignKey("ledger.Wallet", on_delete=models.PROTECT, related_name="+", db_index=False)
    low_since = models.DateTimeField()

    objects = LowNoticeQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["wallet", "low_since"], name="ledger_lownotice_once")]
        indexes = [models.Index(fields=["due_at"], condition=Q(sent_at=None), name="ledger_lownotice_unsent")]

    def __str__(self) -> str:
        return f"{self.wallet_id} low since {self.low_since}"
