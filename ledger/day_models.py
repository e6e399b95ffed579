"""The figures of days as rows. Part of ledger.models, which imports this."""

from django.db import models

from customers.models import OwnedQuerySet


class WalletDayQuerySet(OwnedQuerySet["WalletDay"]):
    organization_path = "wallet__organization_id"
    mode_path = "wallet__mode"


class WalletDay(models.Model):
    """What entries of a wallet that are dated on a day (UTC) moved: those past `after_seq`, through `through_seq`.

    Added up from the entries, and nothing by itself: `ledger.days` adds those that came since, and whoever reads adds
    those that are not in here yet. A wallet's rows follow each other without a gap, from its first entry on; each but
    the last is for good. What comes in and goes out is rare, and is not among the figures.
    """

    # Served by ledger_walletday_once.
    wallet = models.ForeignKey("ledger.Wallet", on_delete=models.PROTECT, related_name="+", db_index=False)
    day = models.DateField()
    after_seq = models.BigIntegerField()
    through_seq = models.BigIntegerField()
    # How many entries, and their credits.
    reserves = models.BigIntegerField()
    settles = models.BigIntegerField()
    refunds = models.BigIntegerField()
    reserved = models.BigIntegerField()
    settled = models.BigIntegerField()
    refunded = models.BigIntegerField()

    objects = WalletDayQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["wallet", "day"], name="ledger_walletday_once"),
        ]
        # The days of all wallets.
        indexes = [models.Index(fields=["day"], name="ledger_walletday_by_day")]

    def __str__(self) -> str:
        return f"{self.wallet_id} on {self.day}"
