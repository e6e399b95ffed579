"""What the page of a new batch shows besides its form: the price, the balance, and the equal command."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from django.conf import settings

from batches import services
from batches.catalogue import LifeCycle, Line, Model
from batches.intake import BatchOrder, ItemOrder
from batches.ordering import Draft
from customers.models import Mode
from ledger.sandbox import LEVEL_CREDITS
from sora2.api import BASE_PATH
from sora2.calls import curl

SAMPLES = 5
# A longer body goes into a file: few terminals take a pasted line of more than 4,096 bytes.
INLINE_BYTES = 3000
# What the samples to download say: each column, and a row that says nothing but its prompt.
SAMPLE_ITEMS = (
    {
        "prompt": "A cat playing piano, studio light",
        "model": "sora-2",
        "seconds": 4,
        "size": "1280x720",
        "custom_id": "sku-1",
        "metadata": {"campaign": "spring"},
    },
    {"prompt": "A sailing boat at dawn, seen from above"},
)


@dataclass(frozen=True)
class Balance:
    """The available credits before and after; `filled` says that the sandbox fills the wallet in between."""

    before: int
    after: int
    filled: bool


@dataclass(frozen=True)
class Price:
    """What an order costs, and whether it can be paid. `balance` is None for who may not see credits."""

    credits: int
    lines: Sequence[Line]
    price_version: str
    sufficient: bool
    balance: Balance | None
    going: Sequence[Model]
    samples: Sequence[ItemOrder]
    items: int
    mark: str

    @property
    def missing(self) -> int:
        """Return how many credits are missing, for who may see the balance."""
        return -self.balance.after if self.balance else 0


@dataclass(frozen=True)
class Command:
    """Shell commands that order the same over the API. `filename` is the body's, if it is too long for them."""

    text: str
    filename: str


def price_of(draft: Draft, order: BatchOrder, *, money: bool) -> Price:
    """Return the price of an order, as the API quotes it."""
    quote = services.quote(customer=draft.customer, order=order)
    return Price(
        credits=quote.credits,
        lines=quote.lines,
        price_version=quote.price_version,
        sufficient=quote.sufficient,
        balance=_balance(draft, quote) if money else None,
        going=[model for model in order.models if model.status == LifeCycle.DEPRECATED],
        samples=order.items[:SAMPLES],
        items=len(order.items),
        mark=draft.mark(order),
    )


def command_of(draft: Draft) -> Command:
    """Return the commands whose body is the draft's: after it was confirmed, they answer the same batch."""
    body = body_of(draft).decode()
    is_long = len(body.encode()) > INLINE_BYTES
    filename = filename_of(draft) if is_long else ""
    data = f"--data-binary @{shlex.quote(filename)}" if is_long else f"--data-raw {shlex.quote(body)}"
    text = curl("POST", f"{settings.PUBLIC_BASE_URL}{BASE_PATH}/video-batch", mode=draft.customer.mode, data=data)
    return Command(f"{text}\n", filename)


def body_of(draft: Draft) -> bytes:
    """Return the body for the API as JSON, with its request id."""
    return msgspec.json.encode({"request_id": draft.request_id, **draft.body})


def filename_of(draft: Draft) -> str:
    """Return what to call the body as a file."""
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', draft.request_id).strip('-.')[:80] or 'batch'}.json"


def _balance(draft: Draft, quote: services.Quote) -> Balance:
    filled = draft.customer.mode == Mode.TEST and quote.sufficient and quote.available < quote.credits
    return Balance(quote.available, (LEVEL_CREDITS if filled else quote.available) - quote.credits, filled)
