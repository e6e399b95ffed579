"""The verbs of money. Each inserts one entry; the database posts it or refuses by the name of a constraint.

All are keyword-only and may be called inside the caller's transaction. `reference` is opaque here: the id of what
the movement is for (a batch, an invoice, a pilot).
"""

from dataclasses import dataclass

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from customers.models import Mode, Organization
from ledger.models import CreditRequest, Entry, Wallet, new_entry_id


class LedgerError(Exception):
    """The database refused an entry."""


class InsufficientCredits(LedgerError):
    """The wallet has fewer available credits than the movement needs."""


class AlreadyPosted(LedgerError):
    """This reference has an entry of this kind already: there is one of each kind."""


class ExceedsReserve(LedgerError):
    """More would be settled or refunded than is held for this reference."""


class NotGranted(LedgerError):
    """The grant has no right to be: a pilot gets one, within its cap; a sandbox's play money is for test wallets."""


REFUSALS: dict[str, type[LedgerError]] = {
    "ledger_wallet_available_not_negative": InsufficientCredits,
    "ledger_wallet_reserved_not_negative": ExceedsReserve,
    "credit_ledger_within_reserve": ExceedsReserve,
    "credit_ledger_grant_once": AlreadyPosted,
    "credit_ledger_reserve_once": AlreadyPosted,
    "credit_ledger_settle_once": AlreadyPosted,
    "credit_ledger_refund_once": AlreadyPosted,
    "credit_ledger_adjustment_once": AlreadyPosted,
    "ledger_creditrequest_reference_once": AlreadyPosted,
    "ledger_creditrequest_pilot_once": NotGranted,
    "ledger_creditrequest_pilot_cap": NotGranted,
    "ledger_creditrequest_sandbox_is_test": NotGranted,
}


INSERT = f"""
    INSERT INTO credit_ledger (entry_id, wallet_id, kind, amount, reference, request_id, actor, reason)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    RETURNING {", ".join(str(field.column) for field in Entry._meta.concrete_fields)}
"""  # noqa: S608 - column names of the model, nothing from outside.


@dataclass(frozen=True)
class Movement:
    """What an entry is about: the wallet, its reference, the customer's own id, who acted and why."""

    wallet_id: str
    reference: str
    actor: str
    request_id: str = ""
    reason: str = ""


def open_wallets(*, organization: Organization) -> dict[Mode, Wallet]:
    """Return the organization's wallets by mode, creating what is missing, empty."""
    return {mode: Wallet.objects.get_or_create(organization=organization, mode=mode)[0] for mode in Mode}


def grant_on_basis(*, movement: Movement, amount: int, basis: CreditRequest.Basis) -> Entry:
    """Bring in a pilot's promotional credits or a sandbox's play money, which need no second person.

    The same reference twice raises AlreadyPosted and moves nothing; NotGranted what the basis does not cover.
    """
    now = timezone.now()
    try:
        with transaction.atomic():
            CreditRequest.objects.create(
                wallet_id=movement.wallet_id,
                kind=Entry.Kind.GRANT,
                amount=amount,
                reference=movement.reference,
                reason=movement.reason or basis.label,
                basis=basis,
                state=CreditRequest.State.APPROVED,
                requested_at=now,
                decided_at=now,
            )
            return grant(movement=movement, amount=amount)
    except DatabaseError as error:
        raise refusal_of(error) from error


def grant(*, movement: Movement, amount: int) -> Entry:
    """Bring `amount` credits in; at commit there must be an approved request for it. Raises AlreadyPosted."""
    return _post(movement, Entry.Kind.GRANT, amount)


def reserve(*, movement: Movement, amount: int) -> Entry:
    """Hold `amount` credits for the reference. Raises InsufficientCredits or AlreadyPosted."""
    return _post(movement, Entry.Kind.RESERVE, amount)


def settle(*, movement: Movement, amount: int) -> Entry:
    """Charge `amount` of what is held for the reference. Raises ExceedsReserve or AlreadyPosted."""
    return _post(movement, Entry.Kind.SETTLE, amount)


def refund(*, movement: Movement, amount: int) -> Entry:
    """Give `amount` of what is held for the reference back. Raises ExceedsReserve or AlreadyPosted."""
    return _post(movement, Entry.Kind.REFUND, amount)


def adjust_in(*, movement: Movement, amount: int) -> Entry:
    """Bring `amount` credits in by an adjustment; needs an approved request like a grant. Raises AlreadyPosted."""
    return _post(movement, Entry.Kind.ADJUSTMENT_IN, amount)


def adjust_out(*, movement: Movement, amount: int) -> Entry:
    """Take `amount` available credits out; needs an approved request. Raises InsufficientCredits, AlreadyPosted."""
    return _post(movement, Entry.Kind.ADJUSTMENT_OUT, amount)


def set_low_threshold(*, wallet: Wallet, threshold: int | None) -> None:
    """Set below how many available credits the wallet is low; None: never."""
    Wallet.objects.filter(pk=wallet.pk).update(low_threshold=threshold)


def refusal_of(error: DatabaseError) -> Exception:
    """Return the domain error for a refusal that we know by its constraint, else the error itself."""
    diagnosis = getattr(error.__cause__, "diag", None)
    refusal = REFUSALS.get(getattr(diagnosis, "constraint_name", None) or "")
    return refusal(diagnosis.message_primary) if refusal and diagnosis else error


def _post(movement: Movement, kind: Entry.Kind, amount: int) -> Entry:
    given = (
        new_entry_id(),
        movement.wallet_id,
        kind.value,
        amount,
        movement.reference,
        movement.request_id,
        movement.actor,
        movement.reason,
    )
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(INSERT, given)
            row = cursor.fetchone()
    except DatabaseError as error:
        raise refusal_of(error) from error
    return Entry.from_db("default", [field.attname for field in Entry._meta.concrete_fields], row)
