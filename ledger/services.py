"""The verbs of money. Each inserts one entry; the database posts it or refuses by the name of a constraint.

All are keyword-only and may be called inside the caller's transaction. `reference` is opaque here: the id of what
the movement is for (a batch, an invoice, a pilot).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

from django.db import DatabaseError, connection, models, transaction
from django.utils import timezone

from customers.models import Mode, Organization
from ledger.models import CreditRequest, Entry, Wallet, new_entry_id


class LedgerError(Exception):
    """The books refuse; nothing has changed. `code` is the outcome in the audit log."""

    code: ClassVar[str] = "refused"


class InsufficientCredits(LedgerError):
    """The wallet has fewer available credits than the movement needs."""

    code = "insufficient_credits"


class KeyBudgetExceeded(LedgerError):
    """The API key that acts has a budget, and the reserve would take it over."""

    code = "key_budget_exceeded"


class AlreadyPosted(LedgerError):
    """This reference has an entry of this kind already: there is one of each kind."""

    code = "already_posted"


class ExceedsReserve(LedgerError):
    """More would be settled or refunded than is held for this reference."""

    code = "exceeds_reserve"


class NotGranted(LedgerError):
    """The grant has no right to be: a pilot gets one, within its cap; a sandbox's play money is for test wallets."""

    code = "not_granted"


class InvalidAmount(LedgerError):
    """The amount is not positive, or more than a wallet can hold."""

    code = "invalid_amount"


class InvalidText(LedgerError):
    """A text is missing, longer than its column holds, or one that no database keeps. The message names it."""

    code = "invalid_text"


REFUSALS: dict[str, type[LedgerError]] = {
    "ledger_wallet_available_not_negative": InsufficientCredits,
    "ledger_wallet_reserved_not_negative": ExceedsReserve,
    "customers_apikey_within_budget": KeyBudgetExceeded,
    "credit_ledger_within_reserve": ExceedsReserve,
    "credit_ledger_once": AlreadyPosted,
    "ledger_creditrequest_reference_once": AlreadyPosted,
    "ledger_creditrequest_pkey": AlreadyPosted,
    "ledger_creditrequest_pilot_once": NotGranted,
    "ledger_creditrequest_pilot_cap": NotGranted,
    "ledger_creditrequest_sandbox_is_test": NotGranted,
    "credit_ledger_amount_positive": InvalidAmount,
    "ledger_creditrequest_amount_positive": InvalidAmount,
    "credit_ledger_reference_given": InvalidText,
    "credit_ledger_actor_given": InvalidText,
    "ledger_creditrequest_reason_given": InvalidText,
}
OUT_OF_RANGE = "22003"  # numeric_value_out_of_range: of an amount, or of a wallet's figure after it.


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
    now, reason = timezone.now(), movement.reason or basis.label
    refuse_unfit(CreditRequest, reference=movement.reference, reason=reason)
    with refusals_named(), transaction.atomic():
        CreditRequest.objects.create(
            wallet_id=movement.wallet_id,
            kind=Entry.Kind.GRANT,
            amount=amount,
            reference=movement.reference,
            reason=reason,
            basis=basis,
            state=CreditRequest.State.APPROVED,
            requested_at=now,
            decided_at=now,
        )
        return grant(movement=movement, amount=amount)


def grant(*, movement: Movement, amount: int) -> Entry:
    """Bring `amount` credits in; at commit there must be an approved request for it. Raises AlreadyPosted."""
    return _post(movement, Entry.Kind.GRANT, amount)


def reserve(*, movement: Movement, amount: int) -> Entry:
    """Hold `amount` credits for the reference. Raises InsufficientCredits, KeyBudgetExceeded or AlreadyPosted."""
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


def refuse_unfit(model: type[models.Model], **texts: str) -> None:
    """Refuse texts that their columns in `model` cannot hold. Raises InvalidText, which names the column."""
    for name, text in texts.items():
        longest = getattr(model._meta.get_field(name), "max_length", None)
        if longest is not None and len(text) > longest:
            raise InvalidText(f"{name}: at most {longest:,} characters, not {len(text):,}")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidText(f"{name}: has characters that are no text") from error
        if "\0" in text:
            raise InvalidText(f"{name}: cannot contain NUL")


@contextmanager
def refusals_named(more: Mapping[str, type[LedgerError]] | None = None) -> Iterator[None]:
    """Turn the database's refusals that we know, or that `more` names, into their domain errors; others pass."""
    try:
        yield
    except DatabaseError as error:
        refusal = refusal_of(error, more)
        if refusal is error:
            raise
        raise refusal from error


def refusal_of(error: DatabaseError, more: Mapping[str, type[LedgerError]] | None = None) -> Exception:
    """Return the domain error for a refusal that we know by its constraint, else the error itself."""
    diagnosis = getattr(error.__cause__, "diag", None)
    if diagnosis is None:
        return error
    if diagnosis.sqlstate == OUT_OF_RANGE:
        return InvalidAmount("More credits than a wallet can hold.")
    refusal = {**REFUSALS, **(more or {})}.get(diagnosis.constraint_name or "")
    return refusal(diagnosis.message_primary) if refusal else error


def _post(movement: Movement, kind: Entry.Kind, amount: int) -> Entry:
    refuse_unfit(
        Entry,
        reference=movement.reference,
        request_id=movement.request_id,
        actor=movement.actor,
        reason=movement.reason,
    )
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
        # Alone, one statement is a transaction; in the caller's, a savepoint lets that one go on after a refusal.
        alone = nullcontext() if connection.get_autocommit() else transaction.atomic()
        with refusals_named(), alone, connection.cursor() as cursor:
            cursor.execute(INSERT, given)
            row = cursor.fetchone()
    except LedgerError as error:
        # Posting looks at the balance before the index looks at the reference: a double may look like a shortage.
        if not isinstance(error, AlreadyPosted) and _is_posted(kind, movement.reference):
            raise AlreadyPosted(f"{movement.reference} has its {kind} already") from error
        raise
    return Entry.from_db("default", [field.attname for field in Entry._meta.concrete_fields], row)


def _is_posted(kind: Entry.Kind, reference: str) -> bool:
    # Served by credit_ledger_once.
    return Entry.objects.filter(reference=reference, kind=kind).exists()
