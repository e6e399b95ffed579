"""What ends an item that no provider has: a cancel, a deadline, a model that is retired, a route that is gone.

An item whose submits were all refused is one that no provider has. Global lock order: batch, then items, then wallet.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce
from structlog import get_logger

from batches import telling
from batches.catalogue import retired_models
from batches.failures import FailureType
from batches.finalization import finalize_ended
from batches.models import OPEN_STATUSES, Batch, Item, Stage, Status
from customers.services import audit

log = get_logger(__name__)


class BatchFinal(Exception):
    """The batch has ended; there is nothing left to cancel."""


def cancel(*, batch: Batch, actor: str, now: datetime, reason: str = "") -> int:
    """Fail the items that no provider has; return how many. Those already submitted run on to their end.

    `reason` is a person's, for the record. Raises BatchFinal when the batch has ended.
    """
    with transaction.atomic():
        locked = Batch.objects.select_for_update(no_key=True).get(pk=batch.pk)
        if locked.is_final:
            raise BatchFinal
        if locked.canceled_at is None:
            Batch.objects.filter(pk=batch.pk).update(canceled_at=now)
        canceled = _fail_waiting(Item.objects.filter(batch=locked), FailureType.CANCELED, now)
        audit(
            actor=actor,
            action="batch.cancel",
            organization_id=batch.organization_id,
            mode=batch.mode,
            subject=batch.pk,
            detail={"items_canceled": canceled, **({"reason": reason} if reason else {})},
        )
    finalize_ended(among=[batch.pk], now=now)
    return canceled


def fail_what_must_not_be_submitted(*, now: datetime) -> None:
    """Fail the waiting items of batches that were canceled or are past their deadline, and those past their own.

    Claims leave such batches alone, so this ends what waits: also what was refused by a provider since.
    """
    open_batches = Batch.objects.open()
    over = {
        FailureType.CANCELED: open_batches.exclude(canceled_at=None),
        FailureType.TIMEOUT: open_batches.filter(canceled_at=None, deadline__lte=now),
    }
    for failure, batches in over.items():
        _fail_waiting_of(list(batches.values_list("pk", flat=True)), failure, now)
    _fail_overdue(now)


def fail_what_waits_in_vain(*, routes: Iterable[str], now: datetime) -> None:
    """Fail what waits for a model that is retired, for a route that is gone, or has waited for too long.

    To be called once a minute: it looks at every batch that is open.
    """
    _fail_retired(now)
    _fail_unrouted(routes, now)
    patience = timedelta(seconds=settings.ITEM_WAIT_SECONDS)
    long_open = Batch.objects.open().filter(created_at__lte=now - patience)
    _fail_waiting_of(list(long_open.values_list("pk", flat=True)), FailureType.CAPACITY, now)


# Served by batches_item_overdue. What ends the item is what its last submit met.
FAIL_OVERDUE = """
    WITH late AS (
        SELECT id FROM batches_item WHERE stage = 'submit' AND deadline_at <= %(now)s
        ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED
    )
    UPDATE batches_item i
    SET status = 'failed', stage = NULL, due_at = NULL, lease = NULL, finished_at = %(now)s,
        failure_type = coalesce(nullif((SELECT a.failure_type FROM batches_attempt a
                                        WHERE a.item_id = i.id AND a.number = i.attempts_made), ''), 'timeout')
    FROM late WHERE i.id = late.id
    RETURNING i.id, i.batch_id
"""


def _fail_overdue(now: datetime) -> None:
    """Fail what waits for another submit past its own deadline: nobody claims it while its route is shut."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(FAIL_OVERDUE, {"now": now})
        failed = dict(cursor.fetchall())
        telling.tell_ended(item_ids=failed, now=now)
    if failed:
        finalize_ended(among=set(failed.values()), now=now)


def _fail_retired(now: datetime) -> None:
    models = retired_models(now=now)
    if not models:
        return
    waiting = Item.objects.filter(stage=Stage.SUBMIT, model__in=models)
    batch_ids = set(waiting.filter(batch__in=Batch.objects.open()).values_list("batch_id", flat=True))
    if batch_ids and _fail_waiting(waiting.filter(batch_id__in=batch_ids), FailureType.MODEL_RETIRED, now):
        finalize_ended(among=batch_ids, now=now)


def _fail_unrouted(routes: Iterable[str], now: datetime) -> None:
    """Until its deadline the operator may put the settings right; nobody else looks at these items."""
    lost = Item.objects.filter(status__in=OPEN_STATUSES).exclude(route__in=routes)
    overdue = lost.annotate(
        until=Coalesce("deadline_at", F("created_at") + timedelta(seconds=settings.ITEM_WAIT_SECONDS))
    ).filter(until__lte=now)
    batch_ids = set(overdue.values_list("batch_id", flat=True))
    if batch_ids:
        log.error("batches.route_unknown", batch_ids=sorted(batch_ids))
        _fail(Item.objects.filter(pk__in=overdue.values("pk")), FailureType.INTERNAL_ERROR, now)
        finalize_ended(among=batch_ids, now=now)


def _fail_waiting_of(batch_ids: list[str], failure: FailureType, now: datetime) -> None:
    if batch_ids and _fail_waiting(Item.objects.filter(batch_id__in=batch_ids), failure, now):
        finalize_ended(among=batch_ids, now=now)


def _fail_waiting(items: QuerySet[Item], failure: FailureType, now: datetime) -> int:
    """Fail those of `items` that wait to be submitted; return how many. A claim that was faster keeps its item."""
    return _fail(items.filter(stage=Stage.SUBMIT), failure, now)


def _fail(items: QuerySet[Item], failure: FailureType, now: datetime) -> int:
    """Fail these items, and tell of it in the same transaction; return how many."""
    ended: dict[str, Any] = {"stage": None, "due_at": None, "lease": None, "finished_at": now}
    with transaction.atomic():
        ids = list(items.order_by("pk").select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))
        Item.objects.filter(pk__in=ids).update(status=Status.FAILED, failure_type=failure, **ended)
        telling.tell_ended(item_ids=ids, now=now)
    return len(ids)
