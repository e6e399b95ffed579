"""Books in the middle of much, and faults in them as only the owner of the tables makes them: past all triggers."""

import contextlib
import io
import json
from typing import Any

from django.core.management import CommandError, call_command
from django.db import connection

from batches.failures import FailureType
from batches.models import Batch
from customers.models import Mode, User
from ledger.approvals import approve, request_credits
from ledger.models import Entry, Wallet
from tests.factories import Account, end_batch, make_batch

GUARDED = (
    *("credit_ledger", "ledger_wallet", "ledger_creditrequest", "ledger_period", "ledger_periodbalance"),
    *("ledger_seal", "ledger_sealleaf", "batches_batch", "batches_item", "batches_output", "batches_proof"),
    *("webhooks_event", "webhooks_delivery", "customers_apikey"),
)
HOOK = "https://example.com/hook"
HASH = """
    ledger_entry_hash(prev_hash, wallet_id, seq, entry_id, created_at, kind, amount, available_after, reserved_after,
                      settled_after, reference, request_id, actor, reason)
"""
REWIND = """
    UPDATE ledger_wallet w
    SET available = e.available_after, reserved = e.reserved_after, settled = e.settled_after, last_seq = e.seq,
        last_entry_at = e.created_at, prev_hash = e.prev_hash, head_hash = e.hash
    FROM credit_ledger e
    WHERE w.id = %s AND e.wallet_id = w.id AND e.seq = (SELECT max(seq) FROM credit_ledger WHERE wallet_id = w.id)
"""


def busy_wallet(account: Account) -> Wallet:
    """Return a live wallet in the middle of much: 1,000 granted, 50 by adjustment, 120 settled, 20 held."""
    asks, decides = (User.objects.create(username=name) for name in ("asks", "decides"))
    wallet = account.wallets[Mode.LIVE]
    goodwill = request_credits(
        wallet=wallet, kind=Entry.Kind.ADJUSTMENT_IN, amount=50, reason="Goodwill", requested_by=asks
    )
    approve(request=goodwill, decided_by=decides)
    end_batch(make_batch(account.test_api, 2))
    end_batch(make_batch(account.api, 10, request_id="partial", webhook_url=HOOK), failed={7: FailureType.TIMEOUT})
    end_batch(make_batch(account.api, 3, request_id="completed"))
    make_batch(account.api, 2, request_id="open")
    assert account.figures() == (910, 20, 120)
    return wallet


def batch_of(request_id: str) -> Batch:
    return Batch.objects.get(request_id=request_id)


def entry_of(batch: Batch, kind: str) -> Entry:
    return Entry.objects.get(reference=batch.pk, kind=kind)


def tamper(statement: str, *values: Any) -> None:
    """Run a statement past all triggers, constraint triggers and foreign keys; they stay off until the test's end."""
    unguard(*GUARDED)
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        assert cursor.rowcount > 0, "nothing was tampered with"


def unguard(*tables: str, trigger: str = "ALL") -> None:
    """Switch triggers off, when those that wait for the commit have had their say."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")


def cut(entry: Entry) -> None:
    """Cut off the last entry of a wallet, and make the wallet fit what is left."""
    tamper("DELETE FROM credit_ledger WHERE entry_id = %s", entry.pk)
    tamper(REWIND, entry.wallet_id)


def rewrite(entry: Entry, **fields: Any) -> None:
    """Change the last entry of a wallet (if nothing is said, its reason), and make hash and wallet fit it."""
    for name, value in (fields or {"reason": "Gift"}).items():
        tamper(f"UPDATE credit_ledger SET {name} = %s WHERE entry_id = %s", value, entry.pk)
    tamper(f"UPDATE credit_ledger SET hash = {HASH} WHERE entry_id = %s", entry.pk)
    tamper(REWIND, entry.wallet_id)


def last_entry(wallet: Wallet) -> Entry:
    """Return the entry with the highest number."""
    return Entry.objects.filter(wallet=wallet).latest("seq")


def found() -> dict[tuple[str, str], str]:
    """Run the command; return the sentence of each row by its invariant, without the first word, and its subject."""
    out = io.StringIO()
    with contextlib.suppress(CommandError):
        call_command("reconcile", "--json", stdout=out)
    rows = json.loads(out.getvalue())["discrepancies"]
    return {(row["invariant"].removeprefix("invariant_"), row["subject"]): row["detail"] for row in rows}
