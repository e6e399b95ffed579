"""What the ledger knows about a customer's month beside its statement: corrections, and the seal that covers it."""

from datetime import timedelta

from ledger.models import Entry, SealLeaf
from ledger.statements import Statement
from sora2.times import timestamp

ADJUSTMENTS = (Entry.Kind.ADJUSTMENT_IN, Entry.Kind.ADJUSTMENT_OUT)


def adjustments(statement: Statement, *, limit: int) -> list[Entry]:
    """Return the first adjustments of a statement's interval. Served by credit_ledger_by_kind."""
    entries = Entry.objects.filter(
        wallet=statement.wallet, kind__in=ADJUSTMENTS, seq__gt=statement.before, seq__lte=statement.through
    )
    return list(entries.order_by("seq")[:limit])


def sealed_by(statement: Statement) -> SealLeaf | None:
    """Return the wallet's head under the first seal over the last entry of a statement, the seal loaded.

    Served by ledger_sealleaf_once: a wallet has at most one leaf for each hour.
    """
    leaves = SealLeaf.objects.filter(wallet=statement.wallet, seq__gte=max(statement.through, 1))
    return leaves.select_related("seal").order_by("seal_id").first()


def entries_through(leaf: SealLeaf, statement: Statement) -> dict[str, str]:
    """Return the filters of an export from the start of a statement through the sealed entry, and none after it.

    The program that compares a seal with a file wants that entry in it, which may be of the month after.
    """
    last = Entry.objects.filter(wallet=statement.wallet, seq=leaf.seq).values_list("created_at", flat=True).first()
    after, before = statement.interval.starts_at, last + timedelta(microseconds=1) if last else None
    return {"created_after": timestamp(after) or "", "created_before": timestamp(before) or ""}
