"""The figures of days as rows. Part of ledger.models, which imports this."""

from django.db import models

from customers.models import OwnedQuerySet


class WalletDayQuerySet(OwnedQuerySet["WalletDay"]):
    organization_path = "wallet__organization_id"
    mode_path = "wallet__mode"


class WalletDay(models.Model):
    """What the entries of a wallet that are dated on a day (UTC) moved, up to and including the number `through_seq`.

    Added up from the entries, and nothing by itself: `ledger.days` adds those that came since, at any moment, and
    whoever reads adds those that are not in here yet. Once later days have rows, a row changes no more.
    """

    # Served by ledger_walletday_once.
    wallet = models.ForeignKey("ledger.Wallet", on_delete=models.PROTECT, related_name="+", db_index=False)
    day = models.DateField()
    through_seq = models.BigIntegerField()
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
