"""What the acts on a batch would do, in figures, before somebody confirms them; and why one is refused, in words."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q, Sum

from batches import services
from batches.catalogue import Line, catalogue, price_lines
from batches.failures import POLICIES, FailureType
from batches.head_pages import reached
from batches.intake import REQUEST_ID_MAX, BatchOrder, ModelRetired
from batches.models import OPEN_STATUSES, Batch, Item, Stage, Status
from batches.retrying import (
    RETRYABLE,
    AlreadyRetried,
    BatchNotFinal,
    NothingToRetry,
    PricesChanged,
    left_to_retry,
    order_again,
)
from batches.services import CreditsShort, Customer, RequestIdReused, TooManyOpenBatches
from customers.access import Access
from customers.models import Mode

# --- cancel --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tally:
    """So many items, and what they cost."""

    count: int
    credits: int


@dataclass(frozen=True)
class Stopping:
    """What a cancel does now: items that wait fail, items that a provider has run on; the others have ended."""

    batch: Batch
    waiting: Tally
    running: Tally
    ended: Tally


def stopping(access: Access, *, batch_id: str) -> Stopping:
    """Return what a cancel of a batch does now. Raises Http404 for what somebody does not reach."""
    batch = reached(access, batch_id=batch_id)
    is_open = Q(status__in=OPEN_STATUSES)
    parts = {"waiting": Q(stage=Stage.SUBMIT), "running": is_open & ~Q(stage=Stage.SUBMIT), "ended": ~is_open}
    wanted: dict[str, Any] = {}
    for name, part in parts.items():
        wanted |= {f"{name}_count": Count("pk", filter=part), f"{name}_sum": Sum("credits", filter=part, default=0)}
    sums = Item.objects.filter(batch=batch).aggregate(**wanted)
    return Stopping(batch, **{name: Tally(sums[f"{name}_count"], int(sums[f"{name}_sum"])) for name in parts})


# --- retry ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """The failed items of one type: how many, how many of them go into a retry, and why the others do not."""

    failure: str
    happened: str
    count: int
    again: int
    why_not: str


@dataclass(frozen=True)
class Retrying:
    """What a retry orders now, at today's prices; or `refusal`, why there is none, in words.

    `left_out` are items that might succeed, of models that are not offered any more.
    """

    batch: Batch
    kinds: list[Kind]
    lines: list[Line]
    items: int
    credits: int
    available: int
    left_out: int
    price_version: str
    request_id: str
    refusal: str

    @property
    def remaining(self) -> int:
        """Return what is available afterwards."""
        return self.available - self.credits


def retrying(access: Access, *, batch_id: str, money: bool, now: datetime) -> Retrying:
    """Return what a retry of a batch orders now. Raises Http404 for what somebody does not reach."""
    batch = reached(access, batch_id=batch_id)
    offer, customer = catalogue(now=now), customer_of(access, batch)
    left = dict(left_to_retry(batch).order_by().values_list("failure_type").annotate(Count("pk")))
    order, refusal = BatchOrder(items=[], price_version=offer.price_version), ""
    try:
        order = order_again(batch, catalogue=offer)
        services.refuse_too_many_open(customer)
    except REFUSALS as error:
        refusal = refusal_in_words(error, money=money)
    quote = services.quote(customer=customer, order=order)
    if not quote.sufficient:
        refusal = refusal or refusal_in_words(CreditsShort(quote.credits, quote.available), money=money)
    return Retrying(
        batch=batch,
        kinds=_kinds(batch, left),
        lines=price_lines((item.model, item.seconds, item.credits) for item in order.items),
        items=len(order.items),
        credits=quote.credits,
        available=quote.available,
        left_out=sum(left.values()) - len(order.items) if order.items else 0,
        price_version=offer.price_version,
        request_id=_next_request_id(batch),
        refusal=refusal,
    )


def customer_of(access: Access, batch: Batch) -> Customer:
    """Return who orders when a person acts on a batch: its customer, by the person's hand."""
    return Customer(organization=batch.organization, mode=Mode(batch.mode), actor=access.actor, via=services.DASHBOARD)


# What a retry may be refused for.
REFUSALS = (
    AlreadyRetried, BatchNotFinal, CreditsShort, ModelRetired, NothingToRetry, PricesChanged, RequestIdReused,
    TooManyOpenBatches,
)  # fmt: skip
WORDS: dict[type[Exception], str] = {
    AlreadyRetried: "Each item is tried anew once, and those of this batch were. If some failed again, retry the batch "
    "that they are in.",
    BatchNotFinal: "The batch has not ended: nothing of it is refunded yet. Wait for its end, or cancel what waits.",
    NothingToRetry: "No item of it was refunded after a failure that may not come again. Change what failed, and order "
    "it as a new batch.",
    PricesChanged: "Other prices came into force since you looked. Look at the new ones below, and confirm again.",
    RequestIdReused: "This request id belongs to another batch. Choose another one.",
    CreditsShort: "The customer's available credits are not enough. Their finance sees what is missing; once credits "
    "are brought in, come back here.",
}


def refusal_in_words(error: Exception, *, money: bool) -> str:
    """Say why a retry is refused, and what to do; with figures to those who may see credits."""
    if isinstance(error, CreditsShort) and money:
        short = max(error.required - error.available, 0)
        return (
            f"It costs {error.required:,} credits and {error.available:,} are available: {short:,} are missing. Once "
            "they are brought in, come back here."
        )
    if isinstance(error, TooManyOpenBatches):
        return f"At most {error.limit} batches of this customer may be open at once. Wait until one has ended."
    if isinstance(error, ModelRetired):
        instead = (
            f"Order them anew with {error.replacement}." if error.replacement else "Order them with another model."
        )
        return f"{error.model} is not offered any more. {instead}"
    return WORDS[type(error)]


def _kinds(batch: Batch, left: dict[str, int]) -> list[Kind]:
    failed = Item.objects.filter(batch=batch, status__in=(Status.FAILED, Status.REFUNDED))
    counts = failed.values_list("failure_type").annotate(Count("pk")).order_by("failure_type")
    return [_kind(failure, count, left.get(failure, 0)) for failure, count in counts]


def _kind(failure: str, count: int, again: int) -> Kind:
    why_not = ""
    if failure not in RETRYABLE:
        why_not = "it would fail again as it is"
    elif again < count:
        why_not = "tried anew already"
    return Kind(failure, POLICIES[FailureType(failure)].happened, count, again, why_not)


def _next_request_id(batch: Batch) -> str:
    """Return a request id for a retry, to be changed at will; the same until there is another retry."""
    number = batch.retries.count() + 1
    ending = "-retry" if number == 1 else f"-retry-{number}"
    return batch.request_id[: REQUEST_ID_MAX - len(ending)] + ending
