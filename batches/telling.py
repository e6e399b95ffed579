"""What customers are told while a batch runs: that it has started, and the end of each item. For subscribers."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime

from django.db import connection, transaction

from batches.models import Batch, Item, Status
from batches.representations import item_json
from sora2.times import timestamp
from webhooks import services as webhooks
from webhooks.models import ONE_PER_ITEM, EventType, new_event_id

START = """
    UPDATE batches_batch SET state = 'processing', started_at = %s
    WHERE id IN (SELECT id FROM batches_batch WHERE id = ANY(%s) AND state = 'queued' ORDER BY id FOR NO KEY UPDATE)
    RETURNING id
"""


def start(*, batch_ids: Collection[str], now: datetime) -> None:
    """Move queued batches to processing: their first item has been submitted."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(START, [now, sorted(batch_ids)])
        started = [batch_id for (batch_id,) in cursor.fetchall()]
        if not started:
            return
        wanted_by = webhooks.subscribers([EventType.BATCH_STARTED])
        for batch in Batch.objects.filter(pk__in=started).order_by("pk") if wanted_by else ():
            if (batch.organization_id, batch.mode) in wanted_by:
                webhooks.publish_all(organization_id=batch.organization_id, mode=batch.mode, messages=[_started(batch)])


def tell_ended(*, item_ids: Iterable[str], now: datetime) -> None:
    """Publish the ends of items, in the transaction that ended them; costs one look where nobody wants to know."""
    ids = list(item_ids)
    wanted_by = webhooks.subscribers(ONE_PER_ITEM) if ids else set()
    if not wanted_by:
        return
    items = Item.objects.filter(pk__in=ids, batch__organization_id__in={who for who, _ in wanted_by})
    messages = defaultdict(list)
    for item in items.select_related("batch", "output").order_by("batch_id", "index"):
        messages[item.batch.organization_id, item.batch.mode].append(_ended(item, now))
    for (organization_id, mode), told in messages.items():
        if (organization_id, mode) in wanted_by:
            webhooks.publish_all(organization_id=organization_id, mode=mode, messages=told)


def _started(batch: Batch) -> webhooks.Message:
    event_id = new_event_id()
    body = {
        "event": EventType.BATCH_STARTED.value,
        "batch_id": batch.pk,
        "request_id": batch.request_id,
        "summary": {"total": batch.total},
        "ledger": {"reserved": batch.credits},
        "timestamp": timestamp(batch.started_at),
        "event_id": event_id,
        "livemode": batch.livemode,
        "status": batch.status,
        "state": batch.state,
    }
    return webhooks.Message(EventType.BATCH_STARTED, event_id, json.dumps(body, ensure_ascii=False), batch.pk)


def _ended(item: Item, now: datetime) -> webhooks.Message:
    event_type = EventType.ITEM_SUCCEEDED if item.status == Status.SUCCEEDED else EventType.ITEM_FAILED
    event_id = new_event_id()
    body = {
        "event": event_type.value,
        "batch_id": item.batch_id,
        "request_id": item.batch.request_id,
        "item": item_json(item),
        "timestamp": timestamp(now),
        "event_id": event_id,
        "livemode": item.batch.livemode,
    }
    return webhooks.Message(event_type, event_id, json.dumps(body, ensure_ascii=False), item.batch_id, part=item.pk)
