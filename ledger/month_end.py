"""What the ledger knows about a customer's month beside its statement: corrections, its seal, what is fixed."""

from datetime import timedelta

from django.utils.http import urlencode

from ledger.intervals import Month
from ledger.models import BillingDetails, Entry, MonthFile, SealLeaf, Wallet
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


def fixed(wallet: Wallet, month: Month) -> MonthFile | None:
    """Return what the run of a month fixed of a wallet, the usage invoice loaded. The run's months are those of UTC."""
    files = MonthFile.objects.filter(period=month.month, wallet=wallet)
    return files.select_related("usage_invoice").first()


def wants_usage_invoice(wallet: Wallet) -> bool:
    """Say whether each month's end makes an invoice of what was used."""
    return BillingDetails.objects.filter(organization=wallet.organization_id, usage_invoices=True).exists()


def entries_through(leaf: SealLeaf, statement: Statement) -> str:
    """Return the query for the entries from the start of a statement through the sealed one, as files.

    The program that compares a seal with a file wants that entry in it, which may be of the month after.
    """
    sealed = Entry.objects.filter(wallet=statement.wallet, seq=leaf.seq).values_list("created_at", flat=True).first()
    if sealed is None:
        return ""  # It is gone, which the check of the books says; all that is left is offered.
    # In a month without entries the sealed one came before it.
    after, before = min(statement.interval.starts_at or sealed, sealed), sealed + timedelta(microseconds=1)
    given = {"created_after": timestamp(after) or "", "created_before": timestamp(before) or ""}
    return f"?{urlencode({'mode': statement.wallet.mode, **given})}"
