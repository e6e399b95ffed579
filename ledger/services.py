"""The verbs of money. Each inserts one entry; the database posts it or refuses by the name of a constraint.

All are keyword-only and may be called inside the caller's transaction. `reference` is opaque here: the id of what
the movement is for (a batch, an invoice, a pilot).
"""

from dataclasses import dataclass

from django.db import DatabaseError, connection, transaction

from customers.models import Mode, Organization
from ledger.models import Entry, Wallet, new_entry_id


class LedgerError(Exception):
    """The database refused an entry."""


class InsufficientCredits(LedgerError):
    """The wallet has fewer available credits than the movement needs."""


class AlreadyPosted(LedgerError):
    """This reference has an entry of this kind already: there is one grant, reserve, settle and refund of each."""


class ExceedsReserve(LedgerError):
    """More would be settled or refunded than is held for this reference."""


REFUSALS: dict[str, type[LedgerError]] = {
    "ledger_wallet_available_not_negative": InsufficientCredits,
    "ledger_wallet_reserved_not_negative": ExceedsReserve,
    "credit_ledger_within_reserve": ExceedsReserve,
    "credit_ledger_grant_once": AlreadyPosted,
    "credit_ledger_reserve_once": AlreadyPosted,
    "credit_ledger_settle_once": AlreadyPosted,
    "credit_ledger_refund_once": AlreadyPosted,
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


def grant(*, movement: Movement, amount: int) -> Entry:
    """Bring `amount` credits in. The same reference twice raises AlreadyPosted and moves nothing."""
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
        raise _refusal(error) from error
    return Entry.from_db("default", [field.attname for field in Entry._meta.concrete_fields], row)


def _refusal(error: DatabaseError) -> Exception:
    """Return the domain error for a refusal that we know by its constraint, else the error itself."""
    diagnosis = getattr(error.__cause__, "diag", None)
    refusal = REFUSALS.get(getattr(diagnosis, "constraint_name", None) or "")
    return refusal(diagnosis.message_primary) if refusal and diagnosis else error
