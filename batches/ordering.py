"""A batch as a person orders it: priced first, and taken at the price that was shown, by the service of the API."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from batches import intake, services
from batches.catalogue import Catalogue
from batches.intake import BatchOrder, BatchTooLarge, ModelRetired
from batches.models import Batch
from sora2.faults import Invalid

# Why an order can't be read, as the API says it.
CODES: dict[type[Exception], str] = {
    Invalid: "validation_error",
    BatchTooLarge: "batch_too_large",
    ModelRetired: "model_retired",
}


class NotAsShown(Exception):
    """What would be frozen is not what was shown. `was` and `now` are credits; `was` is None if nothing was shown."""

    def __init__(self, was: int | None, now: int) -> None:
        super().__init__(f"{was} credits shown, {now} now")
        self.was, self.now = was, now


@dataclass(frozen=True)
class Draft:
    """What a person wants: for whom, under which request id, and the body that the API would be sent without it."""

    customer: services.Customer
    request_id: str
    body: Mapping[str, Any]

    @cached_property
    def body_sha256(self) -> str:
        """Return the hash of the body, as the API makes it."""
        return intake.body_sha256(self.body)

    def read(self, *, catalogue: Catalogue, now: datetime) -> BatchOrder:
        """Return the order. Raises what `intake.read_order` raises."""
        limit = self.customer.organization.max_items_per_batch
        return intake.read_order(self.body, max_items=limit, catalogue=catalogue, now=now)

    def mark(self, order: BatchOrder) -> str:
        """Return what tells whether an order is the one that was shown: its credits, and a hash of all that it is."""
        customer = self.customer
        shown = (customer.organization.pk, customer.mode, self.body_sha256, order.price_version, str(order.credits))
        return f"{order.credits}.{hashlib.sha256(' '.join(shown).encode()).hexdigest()}"


def made_before(draft: Draft) -> Batch | None:
    """Return the batch that the request id belongs to, if any; its content may be another."""
    batches = Batch.objects.filter(organization=draft.customer.organization, mode=draft.customer.mode)
    return batches.filter(request_id=draft.request_id).first()


def place(*, draft: Draft, shown: str, catalogue: Catalogue, now: datetime) -> tuple[Batch, bool]:
    """Accept a draft whose `mark` was `shown`; return the batch, and whether this call made it.

    Raises NotAsShown, what `intake.read_order` raises, and what `services.submit` raises.
    """
    customer, request_id, sha256 = draft.customer, draft.request_id, draft.body_sha256
    batch = services.replay(customer=customer, request_id=request_id, body_sha256=sha256)
    if batch is not None:
        return batch, False
    try:
        order = draft.read(catalogue=catalogue, now=now)
    except tuple(CODES) as error:
        services.audit_refusal(customer, request_id, CODES[type(error)])
        raise
    # The very order that was compared is submitted, so that a price which changes from here on changes nothing.
    if draft.mark(order) != shown:
        was = shown.partition(".")[0]
        raise NotAsShown(int(was) if was.isascii() and was.isdigit() else None, order.credits)
    return services.submit(customer=customer, request_id=request_id, body_sha256=sha256, order=order, now=now)
