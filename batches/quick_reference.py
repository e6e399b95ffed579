"""Finance's quick reference of the onboarding document, with the figures of a customer's own latest batch."""

from dataclasses import dataclass
from datetime import datetime

from batches.head_pages import why_of
from batches.models import FINAL_STATES, Batch, SignOff
from customers.access import Access
from ledger.models import Entry
from ledger.pages import Equation, held_equation
from sora2.listing import created_within


@dataclass(frozen=True)
class QuickReference:
    """A final batch in the three steps: the balance before it, what it reserved, settled and refunded, and the sum.

    `before` is the entry before its reserve; None where that was the wallet's first.
    """

    batch: Batch
    before: Entry | None
    equation: Equation
    signed: SignOff | None


def quick_reference(
    shown: Access, *, starts_at: datetime | None = None, ends_at: datetime | None = None
) -> QuickReference | None:
    """Return the latest final batch that `shown` reaches, of those created between; None without one."""
    final = Batch.objects.within(shown).filter(state__in=FINAL_STATES)
    batch = created_within(final, after=starts_at, before=ends_at, prefix="bat").order_by("-pk").first()
    if batch is None:
        return None
    entries = list(Entry.objects.about(batch.pk).filter(wallet_id=batch.wallet_id))
    reserve = next((entry for entry in entries if entry.kind == Entry.Kind.RESERVE), None)
    return QuickReference(
        batch=batch,
        before=Entry.objects.filter(wallet_id=batch.wallet_id, seq=reserve.seq - 1).first() if reserve else None,
        equation=held_equation(entries, final=True, where=why_of(batch)),
        signed=SignOff.objects.filter(batch=batch).order_by("signed_at", "pk").first(),
    )
