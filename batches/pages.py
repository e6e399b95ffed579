"""What the tabs of a batch show, and an item's page. Each is one call here, of as many queries whatever the number of
items.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q, Sum
from django.shortcuts import get_object_or_404

from batches.catalogue import Line
from batches.models import Attempt, Batch, Item, Output, Proof, SignOff, Status
from batches.proofs import told_sha256
from batches.retrying import RETRYABLE
from batches.signing_off import Signer, signed_off, signer_of
from batches.steps import Step, steps
from batches.why_pages import ItemWhy, item_why
from customers.access import Access, Permission
from customers.models import User
from ledger import approvals
from ledger import pages as ledger
from ledger.models import Entry
from sora2.pages import Rows, rows_after
from webhooks import pages as webhooks

ITEMS_SHOWN = 100
# The length of a clip as a query has it.
LENGTH = re.compile(r"[0-9]{1,4}", re.ASCII)

# --- the tabs ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """Which items of a batch to show: all, or by outcome (a key of OUTCOMES), failure, custom id, or price line."""

    show: str = ""
    failure: str = ""
    custom_id: str = ""
    model: str = ""
    seconds: str = ""

    def status_of(self, batch: Batch) -> str:
        """Return the status that the API filters by for the same: what failed is refunded at the batch's end."""
        if self.show == "failed":
            return Status.REFUNDED if batch.is_final else Status.FAILED
        return self.show


OUTCOMES: Mapping[str, tuple[Status, ...]] = {
    "succeeded": (Status.SUCCEEDED,),
    "failed": (Status.FAILED, Status.REFUNDED),
    "running": (Status.RUNNING,),
    "pending": (Status.PENDING,),
}


def tasks(batch: Batch, *, choice: Choice, cursor: str) -> Rows[Item]:
    """Return the chosen items of a batch, by index."""
    items = Item.objects.filter(batch=batch).select_related("output")
    if choice.show in OUTCOMES:
        items = items.filter(status__in=OUTCOMES[choice.show])
    if choice.failure:
        items = items.filter(failure_type=choice.failure)
    if choice.custom_id:
        items = items.filter(custom_id=choice.custom_id)
    if choice.model:
        items = items.filter(model=choice.model)
    if LENGTH.fullmatch(choice.seconds):
        items = items.filter(seconds=int(choice.seconds))
    return rows_after(items, key="index", cursor=cursor, size=ITEMS_SHOWN)


@dataclass(frozen=True)
class PriceLine:
    """One line of the price, and what became of it."""

    line: Line
    settled: int
    refunded: int


@dataclass(frozen=True)
class Billing:
    """The price of a batch, line by line, its entries, what names it besides, and the proof once it is final.

    `adjustments` are those that name the batch; to our own people also what was asked for and is not posted (`inside`).
    `signed` are the sign-offs; `signer` is as whom who looks at it may sign off, once it is final and while nobody of
    their side has. `told_sha256` is the proof's hash as the webhook's body carries it.
    """

    lines: list[PriceLine]
    entries: list[ledger.Line]
    adjustments: list[approvals.Naming]
    proof: Proof | None
    told_sha256: str
    signed: list[SignOff]
    signer: Signer | None
    inside: bool
    may_ask: bool


def billing(access: Access, user: User, batch: Batch, entries: list[Entry]) -> Billing:
    """Return what the Billing tab shows."""
    inside, signed = access.organization_ids is None, signed_off(batch)
    outcome = {
        "clips": Count("pk"),
        "settled": Sum("credits", filter=Q(status=Status.SUCCEEDED), default=0),
        "refunded": Sum("credits", filter=Q(status=Status.REFUNDED), default=0),
    }
    grouped = Item.objects.filter(batch=batch).values("model", "seconds", "credits").annotate(**outcome)
    return Billing(
        lines=[_price_line(dict(row), final=batch.is_final) for row in grouped.order_by("model", "seconds", "credits")],
        entries=ledger.lines(entries),
        adjustments=[
            naming
            for naming in approvals.about(wallet_id=batch.wallet_id, reference=batch.pk)
            if inside or naming.entry is not None
        ],
        proof=Proof.objects.filter(batch=batch).first(),
        told_sha256=told_sha256(batch),
        signed=signed,
        signer=_who_may_sign(user, batch, signed),
        inside=inside,
        may_ask=access.may(Permission.CREDITS_REQUEST),
    )


def _who_may_sign(user: User, batch: Batch, signed: list[SignOff]) -> Signer | None:
    signer = signer_of(user, batch) if batch.is_final else None
    return signer if signer and signer.side not in {each.side for each in signed} else None


def _price_line(row: dict[str, Any], *, final: bool) -> PriceLine:
    line = Line(row["model"], row["seconds"], row["clips"], row["credits"])
    return PriceLine(line, int(row["settled"]) if final else 0, int(row["refunded"]))


def told(access: Access, batch: Batch, *, now: datetime) -> webhooks.Telling:
    """Return what was told about a batch, with its deliveries."""
    return webhooks.told_about(access, reference=batch.pk, now=now)


# --- an item -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tried:
    """An attempt with its steps at the provider, and how long it took in all."""

    attempt: Attempt
    steps: list[Step]

    @property
    def took(self) -> timedelta | None:
        """Return how long it took, once it has ended."""
        ended = self.attempt.ended_at
        return ended - self.attempt.submitted_at if ended else None


@dataclass(frozen=True)
class ItemPage:
    """An item with its video and attempts, and the ids of its neighbours by index.

    `why` explains its credits, to those who may see them.
    `retried_as` is the item of another batch that tries it anew; `retryable` says that whoever looks at it may have it
    tried anew now.
    """

    item: Item
    why: ItemWhy | None
    output: Output | None
    attempts: list[Tried]
    before: str
    after: str
    retried_as: Item | None
    retryable: bool


def item_page(access: Access, *, batch_id: str, item_id: str) -> ItemPage:
    """Return what an item's page shows. Raises Http404 for what somebody does not reach."""
    item = reached_item(access, batch_id=batch_id, item_id=item_id)
    near = Item.objects.filter(batch_id=batch_id, index__in=[item.index - 1, item.index + 1])
    neighbours = dict(near.values_list("index", "pk"))
    retried_as = Item.objects.filter(retry_of=item).select_related("batch").first()
    may_retry = access.may(Permission.BATCHES_WRITE) and item.batch.is_final and retried_as is None
    return ItemPage(
        item=item,
        why=item_why(item) if access.may(Permission.LEDGER_READ) else None,
        output=getattr(item, "output", None),
        attempts=[Tried(attempt, _steps(attempt)) for attempt in item.attempts.order_by("number")],
        before=neighbours.get(item.index - 1, ""),
        after=neighbours.get(item.index + 1, ""),
        retried_as=retried_as,
        retryable=may_retry and item.failure_type in RETRYABLE,
    )


def _steps(attempt: Attempt) -> list[Step]:
    """Return what happened to an attempt at the provider; what did not come to pass before its end is left out."""
    over = attempt.ended_at is not None
    stored = "Video stored and checked" if attempt.state == Attempt.State.SUCCEEDED else "Ended"
    asked = [
        ("Submitted", attempt.submitted_at),
        ("Taken by the provider", attempt.accepted_at),
        ("Video ready at the provider", attempt.ready_at),
        (stored, attempt.ended_at),
    ]
    return steps((label, at, "not yet") for label, at in asked if at or not over)


def reached_item(access: Access, *, batch_id: str, item_id: str) -> Item:
    """Return an item that somebody reaches; loaded with it: batch, output, and what it tries anew. Raises Http404."""
    items = Item.objects.within(access).select_related("batch__organization", "output", "retry_of__batch")
    return get_object_or_404(items, pk=item_id, batch_id=batch_id)


def reached_output(access: Access, *, batch_id: str, item_id: str) -> Output:
    """Return the video of an item that somebody reaches. Raises Http404."""
    return get_object_or_404(Output, item__in=Item.objects.within(access).filter(pk=item_id, batch_id=batch_id))
