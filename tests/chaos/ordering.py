"""Customers who post batches while the system is being killed, and ask again until they are answered."""

import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.flows.system import System

PRICE = 10
TRIES = 600
PAUSE_SECONDS = 0.2
ANSWER_SECONDS = 15
AT_ONCE = 4
# While the database is down, or the server: ask again. Anything else is not an answer to a good order.
ASK_AGAIN = 503


@dataclass(frozen=True)
class Customer:
    """A customer with what it may spend; its name is in its batches' request ids."""

    name: str
    key: str
    webhook_secret: str
    credits: int


@dataclass
class Order:
    """A batch that a customer wants, and what it was told: the batch's id, and what else was answered."""

    customer: Customer
    request_id: str
    prompts: Sequence[str]
    after_seconds: float
    batch_id: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def credits(self) -> int:
        """Return what it costs."""
        return PRICE * len(self.prompts)


def orders(customers: Sequence[Customer], *, batches: int, items: int, seconds: float, seed: int) -> list[Order]:
    """Return so many batches, posted over so many seconds by all customers in turn.

    The first and the last item of each are equal: their jobs are interchangeable, and must not be taken for one. The
    second one's job is always taken without an answer.
    """
    dice = random.Random(seed)
    made = []
    for number in range(batches):
        customer = customers[number % len(customers)]
        # The seed is in the prompts: a batch of one run is recognized in the provider's file.
        words = [f"{customer.name} {seed} batch {number} item {index}" for index in range(items - 1)]
        prompts = [f"{word} [[slow:{dice.uniform(0.1, 3.0):.1f}]]" for word in words]
        prompts[1] += " [[ambiguous]]"
        made.append(Order(customer, f"chaos-{number}", [*prompts, prompts[0]], seconds * number / batches))
    return made


def post_all(system: System, wanted: Sequence[Order]) -> None:
    """Post the orders, each at its time, a few at once; return when all are answered or given up."""
    started = time.monotonic()

    def post_in_time(order: Order) -> None:
        time.sleep(max(0.0, started + order.after_seconds - time.monotonic()))
        post(system, order)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(post_in_time, wanted))


def post(system: System, order: Order) -> None:
    """Post until the batch is accepted, and then once more: the same request must be answered with the same batch."""
    first = _until_answered(system, order)
    again = _until_answered(system, order) if first else None
    if first is None or again is None:
        order.problems.append("was never accepted")
        return
    order.batch_id = first["batch_id"]
    if again["batch_id"] != order.batch_id:
        order.problems.append(f"was accepted twice: {order.batch_id} and {again['batch_id']}")


def _until_answered(system: System, order: Order) -> dict[str, Any] | None:
    body = {"request_id": order.request_id, "items": [{"prompt": prompt} for prompt in order.prompts]}
    for _ in range(TRIES):
        try:
            answer = requests.post(
                f"{system.url}/api/enterprise/video-batch",
                json=body,
                headers={"X-API-Key": order.customer.key},
                timeout=ANSWER_SECONDS,
            )
        except requests.RequestException:
            time.sleep(PAUSE_SECONDS)
            continue
        if answer.status_code in (200, 201):
            said: dict[str, Any] = answer.json()
            return said
        if answer.status_code != ASK_AGAIN:
            order.problems.append(f"was answered {answer.status_code}: {answer.text[:300]}")
        time.sleep(PAUSE_SECONDS)
    return None
