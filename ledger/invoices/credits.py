"""What invoices do to a customer's wallet: a paid one brings its credits in, a credit note takes some out.

Two people stand behind each, as behind every credit: who asked for the money, and who says that it has come.
"""

from datetime import datetime

from customers.models import Mode, User
from ledger.invoices.models import Invoice
from ledger.models import CreditRequest, Entry
from ledger.services import Movement, adjust_out, grant, open_wallets


def grant_credits(*, invoice: Invoice, by: User, now: datetime) -> Entry:
    """Bring in the credits of an invoice that has just become paid, in the caller's transaction."""
    bought = f"package {invoice.package}" if invoice.package else "credits at list price"
    movement = _approved(
        invoice,
        kind=Entry.Kind.GRANT,
        reason=f"{invoice.number} paid: {bought}",
        people=(invoice.issued_by_id, by.pk),
        at=(invoice.issued_at or now, now),
    )
    return grant(movement=movement, amount=invoice.credits)


def take_credits_back(*, note: Invoice, corrected: Invoice, by: User, now: datetime) -> Entry:
    """Take out the credits that a credit note gives back the money for. Raises InsufficientCredits."""
    movement = _approved(
        note,
        kind=Entry.Kind.ADJUSTMENT_OUT,
        reason=f"{note.number} gives back credits of {corrected.number}",
        about=corrected.pk,
        people=(note.created_by_id, by.pk),
        at=(note.created_at, now),
    )
    return adjust_out(movement=movement, amount=note.credits)


def _approved(
    invoice: Invoice,
    *,
    kind: Entry.Kind,
    reason: str,
    people: tuple[str | None, str],
    at: tuple[datetime, datetime],
    about: str = "",
) -> Movement:
    """Store the approved request that stands behind the movement, and return the movement."""
    wallet = open_wallets(organization=invoice.organization)[Mode.LIVE]
    CreditRequest.objects.create(
        wallet=wallet,
        kind=kind,
        amount=invoice.credits,
        reference=invoice.pk,
        about=about,
        reason=reason,
        basis=CreditRequest.Basis.INVOICE,
        state=CreditRequest.State.APPROVED,
        requested_by_id=people[0],
        requested_at=at[0],
        decided_by_id=people[1],
        decided_at=at[1],
    )
    return Movement(wallet_id=wallet.pk, reference=invoice.pk, actor=people[1], reason=reason)
