"""Credits by two people: one asks, with a reason and its evidence, another decides. Posted on approval only.

The database refuses the same person, a second decision, and an entry without an approved request. Every step is in the
audit log, in the same transaction.
"""

from django.db import DatabaseError, transaction
from django.utils import timezone

from customers.models import User
from customers.services import audit
from ledger.models import CreditRequest, Entry, Wallet, new_credit_request_id
from ledger.services import LedgerError, Movement, adjust_in, adjust_out, grant, refusal_of

State = CreditRequest.State

POSTING = {
    Entry.Kind.GRANT: grant,
    Entry.Kind.ADJUSTMENT_IN: adjust_in,
    Entry.Kind.ADJUSTMENT_OUT: adjust_out,
}


class SamePerson(LedgerError):
    """Who asked cannot decide: a second person has to."""


class AlreadyDecided(LedgerError):
    """The request has been approved or rejected before."""


def request_credits(
    *,
    wallet: Wallet,
    kind: Entry.Kind,
    amount: int,
    reason: str,
    requested_by: User,
    evidence_url: str = "",
    reference: str = "",
    about: str = "",
    customer_request_id: str = "",
) -> CreditRequest:
    """Ask for a grant or an adjustment of `amount` credits; nothing is posted yet.

    A grant may have a `reference` of its own, such as an invoice's number; raises AlreadyPosted when that is taken.
    An adjustment may be `about` something, such as the batch that goodwill is given for, and bears the customer's own
    id of it.
    """
    pk = new_credit_request_id()
    try:
        with transaction.atomic():
            request = CreditRequest.objects.create(
                id=pk,
                wallet=wallet,
                kind=kind,
                amount=amount,
                reference=(reference if kind == Entry.Kind.GRANT else "") or pk,
                about=about,
                request_id=customer_request_id,
                reason=reason,
                evidence_url=evidence_url,
                basis=CreditRequest.Basis.TWO_PEOPLE,
                requested_by=requested_by,
            )
            _audit(request, requested_by, "credits.request")
    except DatabaseError as error:
        raise refusal_of(error) from error
    return request


def approve(*, request: CreditRequest, decided_by: User, note: str = "") -> Entry:
    """Approve a request and post its entry, in one transaction.

    Raises SamePerson, AlreadyDecided, InsufficientCredits, AlreadyPosted; then nothing has changed.
    """
    with transaction.atomic():
        _decide(request, State.APPROVED, decided_by, note)
        movement = Movement(
            wallet_id=request.wallet_id,
            reference=request.reference,
            request_id=request.request_id,
            actor=decided_by.pk,
            reason=f"{request.reason} ({request.about})" if request.about else request.reason,
        )
        entry = POSTING[Entry.Kind(request.kind)](movement=movement, amount=request.amount)
        _audit(request, decided_by, "credits.approve")
    return entry


def reject(*, request: CreditRequest, decided_by: User, note: str = "") -> None:
    """Reject a request. Raises SamePerson, AlreadyDecided."""
    with transaction.atomic():
        _decide(request, State.REJECTED, decided_by, note)
        _audit(request, decided_by, "credits.reject")


def _decide(request: CreditRequest, state: CreditRequest.State, decided_by: User, note: str) -> None:
    if request.requested_by_id == decided_by.pk:
        raise SamePerson("Who asked cannot decide: a second person has to.")
    decision = {"state": state, "decided_by": decided_by, "decided_at": timezone.now(), "note": note}
    if not CreditRequest.objects.filter(pk=request.pk, state=State.REQUESTED).update(**decision):
        request.refresh_from_db()
        raise AlreadyDecided(f"The request was {request.state} before.")


def _audit(request: CreditRequest, actor: User, action: str) -> None:
    wallet = request.wallet
    audit(
        actor=actor.pk,
        action=action,
        organization_id=wallet.organization_id,
        mode=wallet.mode,
        subject=request.pk,
        detail={
            "kind": request.kind,
            "amount": request.amount,
            "reference": request.reference,
            "reason": request.reason,
            "evidence_url": request.evidence_url,
        },
    )
