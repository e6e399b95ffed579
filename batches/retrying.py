"""Retry: a new batch of those refunded items of another that may succeed, each once, at today's prices."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from django.db.models import QuerySet
from psycopg.errors import UniqueViolation

from batches import services
from batches.catalogue import Catalogue, LifeCycle, Model, catalogue
from batches.failures import POLICIES
from batches.intake import BatchOrder, ItemOrder, ModelRetired, retry_sha256
from batches.models import Batch, Item, Priority, Status
from batches.services import Customer, Refused

RETRYABLE = [failure.value for failure, policy in POLICIES.items() if policy.retryable]


class BatchNotFinal(Refused):
    """The batch has not ended: nothing of it is refunded yet."""

    code = "batch_not_final"


class NothingToRetry(Refused):
    """No item of the batch was refunded after a failure that may not come again."""

    code = "nothing_to_retry"


class PricesChanged(Exception):
    """Since somebody looked at what it costs, other prices have come into force."""


class AlreadyRetried(Refused):
    """Every item that may succeed is in another batch already: `batch_id`, if it is known."""

    code: ClassVar[str] = "already_retried"

    def __init__(self, batch_id: str | None) -> None:
        super().__init__(batch_id or "")
        self.batch_id = batch_id


def retry(
    *,
    customer: Customer,
    batch: Batch,
    request_id: str,
    body_sha256: str,
    max_credits: int | None,
    catalogue: Catalogue,
    now: datetime,
) -> tuple[Batch, bool]:
    """Order the refunded items of `batch` anew, those that may succeed, under a request id of their own.

    Return the new batch and whether this call made it. Raises what `services.submit` raises, BatchNotFinal,
    NothingToRetry, AlreadyRetried, and ModelRetired when all that is left asks for models that are not offered.
    """
    try:
        order = order_again(batch, catalogue=catalogue, max_credits=max_credits)
        return services.submit(customer=customer, request_id=request_id, body_sha256=body_sha256, order=order, now=now)
    except UniqueViolation as error:
        if error.diag.constraint_name != "batches_item_retried_once":
            raise
        refusal: Refused | ModelRetired = AlreadyRetried(_retried_in(batch))
    except (BatchNotFinal, NothingToRetry, AlreadyRetried, ModelRetired) as error:
        refusal = error
    # An equal request may have been faster, and be the very reason that nothing is left.
    made_before = services.replay(customer=customer, request_id=request_id, body_sha256=body_sha256)
    if made_before is not None:
        return made_before, False
    if isinstance(refusal, Refused):
        services.audit_refusal(customer, request_id, refusal.code)
    raise refusal


def retry_as_seen(
    *, customer: Customer, batch: Batch, request_id: str, price_version: str, reason: str, now: datetime
) -> tuple[Batch, bool]:
    """Retry a batch for a person who saw its price by `price_version`; who did it and why is written down with it.

    Return as retry() does: whoever asks twice, by a second click, gets the batch that the first one made. Raises
    PricesChanged, and what retry() raises.
    """
    sha256 = retry_sha256({}, batch_id=batch.pk)
    made_before = services.replay(customer=customer, request_id=request_id, body_sha256=sha256)
    if made_before is not None:
        return made_before, False
    offer = catalogue(now=now)
    if offer.price_version != price_version:
        raise PricesChanged
    return retry(
        customer=replace(customer, reason=reason),
        batch=batch,
        request_id=request_id,
        body_sha256=sha256,
        max_credits=None,
        catalogue=offer,
        now=now,
    )


def left_to_retry(batch: Batch) -> QuerySet[Item]:
    """Return the refunded items that may succeed and were not tried anew."""
    return _may_succeed(batch).exclude(pk__in=Item.objects.filter(retry_of__batch=batch).values("retry_of"))


def order_again(batch: Batch, *, catalogue: Catalogue, max_credits: int | None = None) -> BatchOrder:
    """Return the order that tries the items of a batch anew, priced and not accepted.

    Raises BatchNotFinal, NothingToRetry, AlreadyRetried, and ModelRetired as retry() does.
    """
    if not batch.is_final:
        raise BatchNotFinal
    items = _waiting_for_another_try(batch)
    models = {item.model: catalogue.models[item.model] for item in items if item.model in catalogue.models}
    retired = [model for model in models.values() if model.status == LifeCycle.RETIRED]
    offered = {name: model for name, model in models.items() if model.status != LifeCycle.RETIRED}
    again = [_again(item, offered[item.model]) for item in items if item.model in offered]
    if not again:
        if retired:
            raise ModelRetired(retired[0].name, retired[0].replacement)
        raise NothingToRetry
    return BatchOrder(
        items=again,
        price_version=catalogue.price_version,
        models=list(offered.values()),
        webhook_url=batch.webhook_url,
        metadata=batch.metadata,
        max_credits=max_credits,
        priority=Priority(batch.priority),
        retry_of=batch.pk,
    )


def _may_succeed(batch: Batch) -> QuerySet[Item]:
    return Item.objects.filter(batch=batch, status=Status.REFUNDED, failure_type__in=RETRYABLE)


def _waiting_for_another_try(batch: Batch) -> Sequence[Item]:
    """Return the items that may succeed and were not tried anew. Raises NothingToRetry, AlreadyRetried."""
    if not _may_succeed(batch).exists():
        raise NothingToRetry
    items = list(left_to_retry(batch).order_by("index"))
    if not items:
        raise AlreadyRetried(_retried_in(batch))
    return items


def _again(item: Item, model: Model) -> ItemOrder:
    return ItemOrder(
        prompt=item.prompt,
        model=item.model,
        seconds=item.seconds,
        size=item.size,
        custom_id=item.custom_id,
        metadata=item.metadata,
        credits=model.price(item.seconds),
        retry_of=item.pk,
    )


def _retried_in(batch: Batch) -> str | None:
    return Batch.objects.filter(retry_of=batch).order_by("-pk").values_list("pk", flat=True).first()
