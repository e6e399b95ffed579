"""The sandbox's play money: a test wallet that cannot pay is filled first, so that nobody has to ask for more.

A fill is a grant like any other, with its request and its entry; its reference is the wallet's and the entry's number,
so two at once are one. Live wallets are never filled.
"""

from customers.models import Mode
from ledger.models import CreditRequest, Wallet
from ledger.services import Movement, grant_on_basis

# What a fill brings the available credits to. Who wants to see 402 orders a batch that costs more.
LEVEL_CREDITS = 100_000


def spendable(wallet: Wallet) -> int:
    """Return what an order may cost at most as the wallet now is; a test wallet's fill is counted."""
    return max(wallet.available, LEVEL_CREDITS) if wallet.mode == Mode.TEST else wallet.available


def fill(*, wallet: Wallet, credits: int) -> None:
    """Fill a test wallet up to the level if it cannot pay `credits` and could then.

    To be called in the transaction that spends them, right before: a refusal takes the fill back with it, and whoever
    comes meanwhile waits, and finds it done.
    """
    if wallet.mode != Mode.TEST or credits > LEVEL_CREDITS:
        return
    locked = Wallet.objects.select_for_update(no_key=True).get(pk=wallet.pk)
    if locked.available >= credits:
        return
    movement = Movement(
        wallet_id=locked.pk,
        reference=f"{locked.pk}:sandbox:{locked.last_seq + 1}",
        actor="system",
        reason="The sandbox was filled up",
    )
    grant_on_basis(movement=movement, amount=LEVEL_CREDITS - locked.available, basis=CreditRequest.Basis.SANDBOX)
