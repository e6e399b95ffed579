"""Credits by two people: one asks, with a reason and its evidence, another decides. Posted on approval only.

The database refuses the same person, a second decision, and an entry without an approved request. Every step is in the
audit log, in the same transaction; so is a decision that was refused.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import BigIntegerField, Q
from django.utils import timezone

from customers.models import User
from customers.services import audit
from ledger.invoices.models import CENTS_MOST, CURRENCIES, Invoice
from ledger.models import CreditRequest, Entry, Wallet, new_credit_request_id
from ledger.packages import LIST_PRICE
from ledger.services import (
    AlreadyPosted,
    InvalidAmount,
    InvalidText,
    LedgerError,
    Movement,
    adjust_in,
    adjust_out,
    grant,
    refusals_named,
    refuse_unfit,
)

State = CreditRequest.State

POSTING = {
    Entry.Kind.GRANT: grant,
    Entry.Kind.ADJUSTMENT_IN: adjust_in,
    Entry.Kind.ADJUSTMENT_OUT: adjust_out,
}
# What a browser may be led to; a link with another scheme could run something.
WEB_ADDRESS = re.compile(r"https?://[^\s/]\S*", re.IGNORECASE)


class SamePerson(LedgerError):
    """Who asked cannot decide: a second person has to."""

    code = "same_person"


class AlreadyDecided(LedgerError):
    """The request has been approved or rejected before."""

    code = "already_decided"


class UnknownSubject(LedgerError):
    """What an adjustment is said to be about has no entry in this wallet."""

    code = "unknown_subject"


class InvalidPaid(LedgerError):
    """This cannot have been paid, or not for this kind of request."""

    code = "invalid_paid"


@dataclass(frozen=True)
class Naming:
    """A request that names something, with its entry once it was approved."""

    request: CreditRequest
    entry: Entry | None


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
    paid_cents: int = 0,
    currency: str = LIST_PRICE.currency,
    pk: str = "",
) -> CreditRequest:
    """Ask for a grant or an adjustment of `amount` credits; nothing is posted yet.

    A grant may have a `reference` of its own, such as an invoice's number; raises AlreadyPosted when that is taken.
    `paid_cents` is what was paid for it, in minor units and net of tax: with 0 it is promotional.
    An adjustment may be `about` something that stands in this wallet's ledger, such as the batch that goodwill is given
    for, and bears the customer's own id of it; raises UnknownSubject. InvalidText, InvalidAmount and InvalidPaid for
    what cannot be kept. Who gives the new request's `pk` may ask twice, and gets the request that the first call made.
    """
    request = CreditRequest(
        id=pk or new_credit_request_id(),
        wallet=wallet,
        kind=kind,
        amount=amount,
        reference=reference,
        about=about,
        request_id=customer_request_id,
        reason=reason,
        evidence_url=evidence_url,
        paid_cents=paid_cents,
        currency=currency,
        basis=CreditRequest.Basis.TWO_PEOPLE,
        requested_by=requested_by,
    )
    try:
        if pk and (before := _made_before(request)):
            return before
        complete(request)
        with refusals_named(), transaction.atomic():
            request.save(force_insert=True)
            _audit(request, requested_by, "credits.request")
    except AlreadyPosted as error:
        if before := _made_before(request):
            return before
        raise AlreadyPosted(_who_has(request.reference)) from error
    return request


def complete(request: CreditRequest) -> None:
    """Fill in what a new request needs to be posted one day, and refuse what never could be; nothing is stored.

    Raises AlreadyPosted, UnknownSubject, InvalidText, InvalidAmount, InvalidPaid.
    """
    _refuse_unfit(request)
    if request.kind == Entry.Kind.GRANT:
        if request.about:
            raise InvalidText("about: a grant is about nothing that was charged; ask for an adjustment")
        if request.reference and _is_taken(request.reference):
            raise AlreadyPosted(_who_has(request.reference))
    elif request.reference:
        raise InvalidText("reference: that of an adjustment is its request's own id; say what it is about")
    if request.about:
        known = _request_id_of(request.wallet, request.about)
        request.request_id = request.request_id or known
    request.reference = request.reference or request.pk


def approve(*, request: CreditRequest, decided_by: User, note: str = "") -> Entry:
    """Approve a request and post its entry, in one transaction.

    Raises SamePerson, AlreadyDecided, InsufficientCredits, AlreadyPosted, InvalidAmount (the wallet would overflow),
    InvalidText; then nothing has changed, and the audit log says who tried.
    """
    with _refusals_audited(request, decided_by, "credits.approve"), transaction.atomic():
        _decide(request, State.APPROVED, decided_by, note)
        movement = Movement(
            wallet_id=request.wallet_id,
            reference=request.reference,
            request_id=request.request_id,
            actor=decided_by.pk,
            reason=f"{request.reason} ({request.about})" if request.about else request.reason,
        )
        entry = POSTING[Entry.Kind(request.kind)](movement=movement, amount=request.amount)
        _audit(request, decided_by, "credits.approve", note=note)
    return entry


def reject(*, request: CreditRequest, decided_by: User, note: str = "") -> None:
    """Reject a request, which frees its reference. Raises SamePerson, AlreadyDecided, InvalidText."""
    with _refusals_audited(request, decided_by, "credits.reject"), transaction.atomic():
        _decide(request, State.REJECTED, decided_by, note)
        _audit(request, decided_by, "credits.reject", note=note)


def grant_by_two(
    *,
    wallet: Wallet,
    amount: int,
    reference: str,
    reason: str,
    requested_by: User,
    approved_by: User,
    evidence_url: str = "",
    paid_cents: int = 0,
    currency: str = LIST_PRICE.currency,
) -> tuple[Entry, bool]:
    """Grant credits that two people have agreed on: request and approval in one transaction.

    Return the entry, and whether this call posted it (False: the same grant was made before). Raises AlreadyPosted when
    the reference stands for something else, and what request_credits and approve raise.
    """
    if not reference:
        raise InvalidText("reference: say what the grant comes from, such as an invoice's number")
    try:
        with transaction.atomic():
            request = request_credits(
                wallet=wallet,
                kind=Entry.Kind.GRANT,
                amount=amount,
                reference=reference,
                reason=reason,
                evidence_url=evidence_url,
                paid_cents=paid_cents,
                currency=currency,
                requested_by=requested_by,
            )
            return approve(request=request, decided_by=approved_by), True
    except AlreadyPosted:
        what: dict[str, Any] = {"wallet": wallet, "kind": Entry.Kind.GRANT, "reference": reference, "amount": amount}
        same = Entry.objects.filter(**what).first()
        paid = CreditRequest.objects.filter(**what, state=State.APPROVED, paid_cents=paid_cents, currency=currency)
        if same is None or not paid.exists():
            raise
        return same, False


def about(*, wallet_id: str, reference: str) -> list[Naming]:
    """Return the requests that name `reference`, such as a batch, oldest first, with the entries that they led to."""
    requests = list(CreditRequest.objects.filter(wallet_id=wallet_id, about=reference).order_by("id"))
    entries = entries_of(requests)
    return [Naming(request, entries.get(request.pk)) for request in requests]


def entries_of(requests: list[CreditRequest]) -> dict[str, Entry]:
    """Return the entries that approved requests led to, by the request's id."""
    approved = [request for request in requests if request.state == State.APPROVED]
    found = Entry.objects.filter(reference__in=[request.reference for request in approved])
    entries = {(entry.wallet_id, entry.kind, entry.reference): entry for entry in found}
    by_request = {request.pk: entries.get((request.wallet_id, request.kind, request.reference)) for request in approved}
    return {pk: entry for pk, entry in by_request.items() if entry is not None}


def _refuse_unfit(request: CreditRequest) -> None:
    """Refuse what no column holds, and what nobody who looks it up later could use."""
    names = ("id", "reference", "about", "request_id", "reason", "evidence_url")
    refuse_unfit(CreditRequest, **{name: getattr(request, name) for name in names})
    if not 0 < request.amount <= BigIntegerField.MAX_BIGINT:
        raise InvalidAmount(f"Credits are a whole number from 1 to {BigIntegerField.MAX_BIGINT:,}.")
    if not request.reason.strip():
        raise InvalidText("reason: say why; it stands in the ledger for good")
    if request.paid_cents and request.kind != Entry.Kind.GRANT:
        raise InvalidPaid("Only a grant is paid for: leave empty what was paid.")
    if not 0 <= request.paid_cents <= CENTS_MOST or request.currency not in CURRENCIES:
        raise InvalidPaid("What was paid is an amount of one of our currencies, and at most a thousand million.")
    if request.evidence_url and not WEB_ADDRESS.fullmatch(request.evidence_url):
        raise InvalidText("evidence_url: a link that starts with https:// or http://")


def _made_before(request: CreditRequest) -> CreditRequest | None:
    """Return the request that the same form made when it was sent before."""
    return CreditRequest.objects.filter(pk=request.pk, requested_by=request.requested_by).first()


def _is_taken(reference: str) -> bool:
    """Say whether somebody asked for this reference, or it stands in the ledger for anything at all, or is an invoice.

    A grant under a batch's id, say, would stand among that batch's entries; one under an invoice's would be a second
    one for it, or be in the way of its own.
    """
    if _invoice_of(reference) is not None:
        return True
    open_or_approved = CreditRequest.objects.exclude(state=State.REJECTED)
    return Entry.objects.filter(reference=reference).exists() or open_or_approved.filter(reference=reference).exists()


def _request_id_of(wallet: Wallet, reference: str) -> str:
    """Return the customer's own id of what stands in this wallet's ledger under `reference`."""
    first = Entry.objects.filter(wallet=wallet, reference=reference).order_by("seq").first()
    if first is None:
        raise UnknownSubject(f"{reference} has no entry in this wallet: name a batch that was paid from it.")
    return first.request_id


def _invoice_of(reference: str) -> Invoice | None:
    return Invoice.objects.filter(Q(pk=reference) | Q(number=reference)).first()


def _who_has(reference: str) -> str:
    """Say in words what a reference stands for."""
    if invoice := _invoice_of(reference):
        return f"{reference} is an invoice of {invoice.organization_id}: its credits come when it is paid, on its page."
    entry = Entry.objects.filter(reference=reference).select_related("wallet").order_by("seq").first()
    if entry is not None:
        what = f"a {entry.kind} of {entry.amount:,} credits of {entry.wallet.organization_id} ({entry.wallet.mode})"
        return f"{reference} stands in the ledger already: {entry.pk}, {what}."
    asked = CreditRequest.objects.exclude(state=State.REJECTED).select_related("wallet").filter(reference=reference)
    request = asked.first()
    if request is None:
        return f"{reference} was taken, and is free again: ask once more."
    what = f"a {request.kind} of {request.amount:,} credits for {request.wallet.organization_id}"
    return f"{reference} was asked for already: {request.pk}, {what}, is {request.state}."


def _decide(request: CreditRequest, state: CreditRequest.State, decided_by: User, note: str) -> None:
    refuse_unfit(CreditRequest, note=note)
    if request.requested_by_id == decided_by.pk:
        raise SamePerson("Who asked cannot decide: a second person has to.")
    decision = {"state": state, "decided_by": decided_by, "decided_at": timezone.now(), "note": note}
    if not CreditRequest.objects.filter(pk=request.pk, state=State.REQUESTED).update(**decision):
        request.refresh_from_db()
        raise AlreadyDecided(f"The request was {request.state} before.")


@contextmanager
def _refusals_audited(request: CreditRequest, actor: User, action: str) -> Iterator[None]:
    """Write a decision that was refused into the audit log, once what it had begun is undone."""
    try:
        yield
    except LedgerError as error:
        _audit(request, actor, action, outcome=error.code)
        raise


def _audit(request: CreditRequest, actor: User, action: str, *, outcome: str = "done", note: str = "") -> None:
    wallet = request.wallet
    audit(
        actor=actor.pk,
        action=action,
        organization_id=wallet.organization_id,
        mode=wallet.mode,
        subject=request.pk,
        outcome=outcome,
        detail={
            "kind": request.kind,
            "amount": request.amount,
            "reference": request.reference,
            "reason": request.reason,
            "evidence_url": request.evidence_url,
            **({"paid_cents": request.paid_cents, "currency": request.currency} if request.kind == "grant" else {}),
            **({"note": note} if note else {}),
        },
    )
