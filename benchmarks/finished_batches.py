"""Finished batches by the hundred thousand, with right books: written by SQL in whole sets, the triggers off.

Each wallet gets one grant, and batches one after the other of which the last item failed: reserve, settle, refund. The
batches of all wallets alternate, as they do in a running system, so that a wallet's rows lie scattered in the tables.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

ITEM_CREDITS = 10
TABLES = (
    *("credit_ledger", "ledger_wallet", "ledger_creditrequest", "ledger_period", "ledger_periodbalance"),
    *("ledger_seal", "ledger_sealleaf", "batches_batch", "batches_item", "batches_output", "batches_proof"),
    *("webhooks_event", "webhooks_delivery"),
)


def add_finished_batches(
    *,
    first_wallet: int,
    wallets: int,
    batches_per_wallet: int,
    items_per_batch: int,
    since: datetime | None = None,
    span: timedelta = timedelta(hours=300),
    chained: bool = True,
) -> None:
    """Add wallets from number `first_wallet` on, each with so many finished batches, in one transaction.

    The batches follow each other within `span`, from `since` on: else from before the end of the month before last. The
    books are right, but for the chains where they are not asked for: of a hundred thousand batches they take minutes.
    """
    from django.db import connection, transaction

    from batches.proofs import ITEMS_SHA256

    whole = ITEM_CREDITS * items_per_batch
    statements = Path(__file__).with_suffix(".sql").read_text().replace("ITEMS_SHA256", ITEMS_SHA256)
    values = {
        "first": first_wallet,
        "last": first_wallet + wallets - 1,
        "turns": batches_per_wallet,
        "since": since,
        "span": span.total_seconds(),
        "chained": chained,
        "items": items_per_batch,
        "whole": whole,
        "charged": whole - ITEM_CREDITS,
        "failed": ITEM_CREDITS,
        "funds": whole * batches_per_wallet,
        **_right_to_funds(whole * batches_per_wallet),
    }
    with transaction.atomic(), unguarded(), connection.cursor() as cursor:
        cursor.execute(statements, values)


def _right_to_funds(credits: int) -> dict[str, str | None]:
    """Return on what basis each wallet's grant is: a pilot's, or, when it is more than that may be, two people's."""
    from customers.services import create_staff
    from ledger.models import PILOT_CREDITS_MAX
    from sora2.ids import new_id

    if credits <= PILOT_CREDITS_MAX:
        return {"basis": "pilot", "asks": None, "decides": None}
    asks, decides = (create_staff(username=new_id("usr"), role=role)[0] for role in ("finance", "finance approver"))
    return {"basis": "two_people", "asks": asks.pk, "decides": decides.pk}


@contextmanager
def unguarded() -> Iterator[None]:
    """Switch the triggers off, foreign keys among them, and on again."""
    from django.db import connection

    from sora2.checks import TRIGGERS

    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        yield
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
        for table, trigger in TRIGGERS:
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")
