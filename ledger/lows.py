"""Wallets that are low: posting marks when one falls below its threshold; here the marks are read, and ticked off.

A mark is taken back by the posting that brings the wallet up again, so what is found here is still true.
"""

from django.db import transaction
from django.db.models import F, Q

from customers.services import audit
from ledger.models import Wallet, WalletQuerySet


@transaction.atomic
def set_threshold(*, wallet: Wallet, threshold: int | None, actor: str) -> None:
    """Set below how many available credits the wallet is low; None: never. The database judges it at once."""
    before = Wallet.objects.select_for_update(no_key=True).get(pk=wallet.pk).low_threshold
    if before == threshold:
        return
    Wallet.objects.filter(pk=wallet.pk).update(low_threshold=threshold)
    audit(
        actor=actor,
        action="wallet.low_threshold",
        organization_id=wallet.organization_id,
        mode=wallet.mode,
        subject=wallet.pk,
        detail={"old": before, "new": threshold},
    )


def low() -> WalletQuerySet:
    """Return the wallets with fewer available credits than their threshold. Served by ledger_wallet_low."""
    return Wallet.objects.filter(low_since__isnull=False)


def untold() -> list[Wallet]:
    """Return the wallets that have become low and whose owner has not been told so; with their organizations."""
    fresh = Q(low_since_told=None) | ~Q(low_since_told=F("low_since"))
    return list(low().filter(fresh).select_related("organization").order_by("pk"))


def tick_off(*, wallet: Wallet) -> bool:
    """Note that this crossing is told, in the caller's transaction; False when somebody else did, or it is over."""
    crossing = Wallet.objects.filter(pk=wallet.pk, low_since=wallet.low_since)
    return bool(crossing.exclude(low_since_told=wallet.low_since).update(low_since_told=wallet.low_since))
