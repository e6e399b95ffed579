"""The verbs of a batch: quote, submit. The others: batches.retrying, batches.telling (start), batches.stopping,
batches.finalization.

Global lock order: batch, then items, then wallet, then the key whose budget counts. Nothing slow happens while a wallet
is locked.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import msgspec
from django.db import IntegrityError, connection, transaction

from batches.catalogue import Line, price_lines, routing
from batches.finalization import items_in_words, movement_of
from batches.intake import BatchOrder, ItemOrder
from batches.models import Batch, Stage, Status, new_batch_id, new_item_ids
from customers.models import ApiKey, Mode, Organization
from customers.services import audit
from ledger import sandbox
from ledger import services as ledger
from ledger.models import Wallet
from sora2 import bell

# How an order came that a person made on a page.
DASHBOARD = "dashboard"


class Refused(Exception):
    """The order is not accepted. Nothing of it is stored but an audit event, whose outcome is `code`."""

    code: ClassVar[str]


class RequestIdReused(Refused):
    """The request id belongs to a batch with another body."""

    code = "request_id_reused"


class MaxCreditsExceeded(Refused):
    """The batch costs more than its own `max_credits`."""

    code = "max_credits_exceeded"

    def __init__(self, credits: int, max_credits: int) -> None:
        super().__init__(f"{credits} credits, at most {max_credits}")
        self.credits, self.max_credits = credits, max_credits


class CreditsShort(Refused):
    """The wallet has not enough available credits for the whole batch."""

    code = "insufficient_credits"

    def __init__(self, required: int, available: int) -> None:
        super().__init__(f"{required} credits needed, {available} available")
        self.required, self.available = required, available


class KeyBudgetExceeded(Refused):
    """The key has a budget, and less of it is left than the batch costs."""

    code = "key_budget_exceeded"

    def __init__(self, required: int, budget: int, used: int) -> None:
        super().__init__(f"{required} credits needed, {used} of {budget} used")
        self.required, self.budget, self.used = required, budget, used


class TooManyOpenBatches(Refused):
    """The organization has as many batches open as it may have at once."""

    code = "too_many_open_batches"

    def __init__(self, limit: int) -> None:
        super().__init__(f"at most {limit}")
        self.limit = limit


@dataclass(frozen=True)
class Quote:
    """What an order would cost, and whether it can be paid now: `spendable` is what it may cost at most."""

    credits: int
    available: int
    spendable: int
    lines: list[Line]
    price_version: str

    @property
    def sufficient(self) -> bool:
        """Say whether the wallet can pay for it now, and the key's budget is enough."""
        return self.credits <= self.spendable


@dataclass(frozen=True)
class Customer:
    """Who sends an order: the organization and mode it is paid by, the actor, and the way it came.

    `reason` is what one of our own people said about why they order for a customer.
    """

    organization: Organization
    mode: Mode
    actor: str
    via: str = "api"
    reason: str = ""


def quote(*, customer: Customer, order: BatchOrder) -> Quote:
    """Price an order and store nothing."""
    wallet, key = _wallet_of(customer), _budgeted_key_of(customer)
    of_wallet = sandbox.spendable(wallet)
    return Quote(
        credits=order.credits,
        available=wallet.available,
        spendable=of_wallet if key is None else min(of_wallet, key.remaining_credits or 0),
        lines=price_lines((item.model, item.seconds, item.credits) for item in order.items),
        price_version=order.price_version,
    )


def replay(*, customer: Customer, request_id: str, body_sha256: str) -> Batch | None:
    """Return the batch that this request id made before, if any. Raises RequestIdReused for another body."""
    batch = Batch.objects.filter(organization=customer.organization, mode=customer.mode, request_id=request_id).first()
    if batch is not None and batch.body_sha256 != body_sha256:
        audit_refusal(customer, request_id, RequestIdReused.code)
        raise RequestIdReused
    return batch


def submit(
    *, customer: Customer, request_id: str, body_sha256: str, order: BatchOrder, now: datetime
) -> tuple[Batch, bool]:
    """Accept an order: store the batch and its items, and freeze its whole cost, all or nothing.

    Return the batch and whether this call made it (False: an equal request was faster, or came before).
    Raises MaxCreditsExceeded, KeyBudgetExceeded, CreditsShort, TooManyOpenBatches, RequestIdReused.
    """
    try:
        batch = _accept(customer, request_id, body_sha256, order, now)
    except Refused as error:
        # An equal request may have been faster, and be the very reason of the shortage.
        batch = replay(customer=customer, request_id=request_id, body_sha256=body_sha256)
        if batch is None:
            audit_refusal(customer, request_id, error.code)
            raise
        return batch, False
    if batch is not None:
        return batch, True
    winner = replay(customer=customer, request_id=request_id, body_sha256=body_sha256)
    if winner is None:
        raise RuntimeError("a batch that stood in the way is gone")  # Batches are never deleted.
    return winner, False


def refuse_too_many_open(customer: Customer, *, others: int = 0) -> None:
    """Refuse when the limit is reached, `others` being batches of ours that are counted already.

    Raises TooManyOpenBatches.
    """
    limit = customer.organization.max_open_batches
    if Batch.objects.open().filter(organization=customer.organization, mode=customer.mode).count() >= limit + others:
        raise TooManyOpenBatches(limit)


def audit_refusal(customer: Customer, request_id: str, outcome: str) -> None:
    """Write down that an order was refused, and by which code."""
    _audit(customer, request_id, outcome=outcome)


# --- submit --------------------------------------------------------------------------------------------------------


def _wallet_of(customer: Customer) -> Wallet:
    return Wallet.objects.get(organization=customer.organization, mode=customer.mode)


def _budgeted_key_of(customer: Customer) -> ApiKey | None:
    """Return the key that sends the order as it now is, if it is a key and has a budget."""
    return ApiKey.objects.filter(pk=customer.actor, budget_credits__isnull=False).first()


def _accept(customer: Customer, request_id: str, body_sha256: str, order: BatchOrder, now: datetime) -> Batch | None:
    """Store batch, items and reserve in one transaction; None when the request id is taken."""
    wallet = _wallet_of(customer)
    _refuse_early(customer, order, wallet)
    try:
        with transaction.atomic():
            batch = _insert_batch(customer, wallet, request_id, body_sha256, order, now)
            if batch is None:
                return None
            taken_by = _copy_items(batch, order.items)
            movement = movement_of(batch, actor=customer.actor, reason=items_in_words(batch.total))
            sandbox.fill(wallet=wallet, credits=batch.credits)
            ledger.reserve(movement=movement, amount=batch.credits)
            # The wallet is ours until the commit, so nobody else of this organization and mode gets here meanwhile.
            refuse_too_many_open(customer, others=1)
            if customer.via == DASHBOARD:
                _audit_order(customer, batch)
            for route in taken_by:
                bell.ring("batches.submit", route=route)
            return batch
    except ledger.InsufficientCredits as error:
        wallet.refresh_from_db()
        raise CreditsShort(order.credits, wallet.available) from error
    except ledger.KeyBudgetExceeded as error:
        raise _over_budget(ApiKey.objects.get(pk=customer.actor), order) from error


def _audit_order(customer: Customer, batch: Batch) -> None:
    """Write down that a person ordered; of what comes over the API, the batch is the record."""
    said: dict[str, Any] = {"request_id": batch.request_id, "items": batch.total, "credits": batch.credits}
    if batch.retry_of_id:
        _audit(customer, batch.retry_of_id, action="batch.retry", retried_in=batch.pk, **said)
    else:
        _audit(customer, batch.pk, **said)


def _audit(
    customer: Customer, subject: str, *, action: str = "batch.submit", outcome: str = "done", **detail: Any
) -> None:
    audit(
        actor=customer.actor,
        action=action,
        organization_id=customer.organization.pk,
        mode=customer.mode,
        subject=subject,
        outcome=outcome,
        detail={**detail, **({"reason": customer.reason} if customer.reason else {})},
    )


def _refuse_early(customer: Customer, order: BatchOrder, wallet: Wallet) -> None:
    """A first look before anything is written; the reserve has the last word on budget and balance."""
    if order.max_credits is not None and order.credits > order.max_credits:
        raise MaxCreditsExceeded(order.credits, order.max_credits)
    refuse_too_many_open(customer)
    key = _budgeted_key_of(customer)
    if key is not None and order.credits > (key.remaining_credits or 0):
        raise _over_budget(key, order)
    if order.credits > sandbox.spendable(wallet):
        raise CreditsShort(order.credits, wallet.available)


def _over_budget(key: ApiKey, order: BatchOrder) -> KeyBudgetExceeded:
    return KeyBudgetExceeded(order.credits, budget=key.budget_credits or 0, used=key.used_credits)


def _insert_batch(
    customer: Customer, wallet: Wallet, request_id: str, body_sha256: str, order: BatchOrder, now: datetime
) -> Batch | None:
    """Insert the batch, or return None when its request id is taken; waits for a competitor to commit."""
    batch = Batch(
        id=new_batch_id(),
        organization=customer.organization,
        mode=customer.mode,
        wallet=wallet,
        request_id=request_id,
        body_sha256=body_sha256,
        total=len(order.items),
        credits=order.credits,
        webhook_url=order.webhook_url,
        metadata=order.metadata,
        deadline=order.deadline,
        price_version=order.price_version,
        priority=order.priority,
        retry_of_id=order.retry_of,
        created_via=customer.via,
        created_by=customer.actor,
        created_at=now,
    )
    try:
        with transaction.atomic():
            batch.save(force_insert=True)
    except IntegrityError as error:
        if _constraint(error) != "batches_batch_request_id_once":
            raise
        return None
    return batch


ITEM_COLUMNS = (
    "id", "batch_id", "index", "custom_id", "prompt", "model", "seconds", "size", "metadata", "credits", "route",
    "status", "stage", "due_at", "attempts_made", "failure_type", "created_at", "retry_of_id",
)  # fmt: skip
COPY_ITEMS = "COPY batches_item ({}) FROM STDIN".format(", ".join(f'"{name}"' for name in ITEM_COLUMNS))


def _copy_items(batch: Batch, items: list[ItemOrder]) -> set[str]:
    """Write all items with one COPY, whose keys are checked at once: the wallet is not locked yet.

    Return the routes that they take. What PostgreSQL reads as text anyway is given as text: psycopg takes three times
    as long over a time or a Jsonb.
    """
    route_of, at, in_json = routing(batch.mode), batch.created_at.isoformat(), msgspec.json.Encoder().encode
    status, stage = Status.PENDING.value, Stage.SUBMIT.value
    with connection.cursor() as cursor, cursor.copy(COPY_ITEMS) as copy:
        for index, (item_id, item) in enumerate(zip(new_item_ids(len(items)), items, strict=True)):
            copy.write_row(
                (
                    item_id, batch.pk, index, item.custom_id, item.prompt, item.model, item.seconds, item.size,
                    in_json(item.metadata).decode(), item.credits, route_of[item.model], status, stage, at, 0, "", at,
                    item.retry_of,
                )
            )  # fmt: skip
    return {route_of[item.model] for item in items}


def _constraint(error: IntegrityError) -> str | None:
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
