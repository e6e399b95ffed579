"""Wallets and ledger entries as the outside world sees them."""

from typing import Any

from customers.models import Mode
from ledger.models import Entry, Wallet
from sora2.times import timestamp


def wallet_json(wallet: Wallet) -> dict[str, Any]:
    """Return the figures of a wallet: funded = available + reserved + settled."""
    return {
        "funded": wallet.funded,
        "available": wallet.available,
        "reserved": wallet.reserved,
        "settled": wallet.settled,
        "livemode": wallet.mode == Mode.LIVE,
    }


def entry_json(entry: Entry) -> dict[str, Any]:
    """Return an entry with all its sealed fields, in their order, and its hashes."""
    return {
        "wallet_id": entry.wallet_id,
        "seq": entry.seq,
        "entry_id": entry.pk,
        "created_at": timestamp(entry.created_at),
        "kind": entry.kind,
        "amount": entry.amount,
        "available_after": entry.available_after,
        "reserved_after": entry.reserved_after,
        "settled_after": entry.settled_after,
        "reference": entry.reference,
        "request_id": entry.request_id,
        "actor": entry.actor,
        "reason": entry.reason,
        "prev_hash": entry.prev_hash,
        "hash": entry.hash,
    }
