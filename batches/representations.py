"""Batches, items, quotes and models as the outside world sees them: the keys, and their order, are the contract."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.http import http_date

from batches import outputs
from batches.catalogue import LifeCycle, Model
from batches.models import Batch, Item, Output, Priority, State, Status
from batches.outputs import Link
from batches.services import Quote
from ledger.models import Entry
from ledger.representations import entry_json
from sora2.api import BASE_PATH
from sora2.times import timestamp

SAMPLE_ITEMS = 5


def batch_answer(batch: Batch) -> dict[str, Any]:
    """Return the answer about one batch."""
    return {"ok": True, **batches_json([batch])[0]}


def created_answer(batch: Batch) -> dict[str, Any]:
    """Return the answer about a batch that was accepted just now, as it was then: workers are fast."""
    counts = _Counts(by_status=Counter({Status.PENDING.value: batch.total}))
    return {"ok": True, **_batch_json(batch, counts)}


def batches_json(batches: Sequence[Batch]) -> list[dict[str, Any]]:
    """Return each batch as JSON, with one query for what is counted, however many they are."""
    counts = _counts_of(batches)
    return [_batch_json(batch, counts.get(batch.pk, _Counts())) for batch in batches]


def batch_url(batch_id: str) -> str:
    """Return the absolute address of a batch."""
    return f"{settings.PUBLIC_BASE_URL}{BASE_PATH}/video-batch/{batch_id}"


def item_json(item: Item) -> dict[str, Any]:
    """Return an item. Its output must be loaded (`select_related`), or it costs a query."""
    failure = item.failure
    return {
        "id": item.pk,
        "index": item.index,
        "custom_id": item.custom_id or None,
        "status": item.status,
        "model": item.model,
        "prompt": item.prompt,
        "seconds": item.seconds,
        "size": item.size,
        "metadata": item.metadata,
        "credits": item.credits,
        "attempts": item.attempts_made,
        "failure": failure and {"type": failure[0].value, "message": failure[1], "retryable": failure[2]},
        "output": _output_json(item, item.output) if hasattr(item, "output") else None,
        "created_at": timestamp(item.created_at),
        "started_at": timestamp(item.started_at),
        "finished_at": timestamp(item.finished_at),
        "refunded_at": timestamp(item.refunded_at),
    }


def quote_json(quote: Quote) -> dict[str, Any]:
    """Return a price with its lines."""
    return {
        "ok": True,
        "credits": quote.credits,
        "available": quote.available,
        "sufficient": quote.sufficient,
        "lines": [
            {
                "model": line.model,
                "seconds": line.seconds,
                "count": line.count,
                "unit_credits": line.unit_credits,
                "credits": line.credits,
            }
            for line in quote.lines
        ],
        "price_version": quote.price_version,
    }


def model_json(model: Model, price_version: str) -> dict[str, Any]:
    """Return a model of the catalogue: `credits` is the price of `base_seconds`."""
    return {
        "name": model.name,
        "credits": model.credits,
        "base_seconds": model.base_seconds,
        "seconds": list(model.seconds),
        "default_seconds": model.default_seconds,
        "sizes": list(model.sizes),
        "status": model.status.value,
        "sunset_at": timestamp(model.sunset_at),
        "replacement": model.replacement,
        "price_version": price_version,
    }


def life_cycle_headers(models: Iterable[Model]) -> dict[str, str]:
    """Return the headers of an answer about deprecated models: `Deprecation` (RFC 9745) and `Sunset` (RFC 8594).

    Of several models, the one that was deprecated first and the one that goes first count. No header for the others.
    """
    deprecated = [model for model in models if model.status == LifeCycle.DEPRECATED]
    since = min((model.deprecated_at for model in deprecated if model.deprecated_at), default=None)
    until = min((model.sunset_at for model in deprecated if model.sunset_at), default=None)
    headers = {"Deprecation": f"@{int(since.timestamp())}"} if since else {}
    return headers | ({"Sunset": http_date(until.timestamp())} if until else {})


def batch_ledger_json(batch: Batch, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return the entries of a batch and their totals; `balanced` once reserved = settled + refunded."""
    totals: Counter[str] = Counter()
    for entry in entries:
        totals[entry.kind] += entry.amount
    reserved, settled, refunded = (totals[kind] for kind in ("reserve", "settle", "refund"))
    return {
        "ok": True,
        "batch_id": batch.pk,
        "entries": [entry_json(entry) for entry in entries],
        "totals": {
            "reserved": reserved,
            "settled": settled,
            "refunded": refunded,
            "held": reserved - settled - refunded,
        },
        "balanced": reserved == settled + refunded,
    }


# --- a batch -------------------------------------------------------------------------------------------------------


@dataclass
class _Counts:
    """How many items of a batch have each status, and which failed of what."""

    by_status: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)


def _batch_json(batch: Batch, counts: _Counts) -> dict[str, Any]:
    url = batch_url(batch.pk)
    return {
        "batch_id": batch.pk,
        "status": batch.status,
        "state": batch.state,
        "request_id": batch.request_id,
        "livemode": batch.livemode,
        "created_at": timestamp(batch.created_at),
        "started_at": timestamp(batch.started_at),
        "finished_at": timestamp(batch.finished_at),
        "deadline": timestamp(batch.deadline),
        "created_via": batch.created_via,
        "summary": _summary(batch, counts),
        "ledger": {"reserved": batch.credits, "settled": batch.settled, "refunded": batch.refunded},
        "failures": counts.failures,
        "metadata": batch.metadata,
        "price_version": batch.price_version,
        "retry_of": batch.retry_of_id,
        "webhook_url": batch.webhook_url or None,
        # Said where it was asked for; most batches have none.
        **({"priority": Priority(batch.priority).name.lower()} if batch.priority else {}),
        "links": {
            "self": url,
            "items": f"{url}/items",
            "dashboard": f"{settings.PUBLIC_BASE_URL}/admin/batches/{batch.pk}",
        },
    }


def _summary(batch: Batch, counts: _Counts) -> dict[str, int]:
    if batch.is_final:
        ended = {"succeeded": batch.succeeded or 0, "failed": batch.failed or 0}
        return {"total": batch.total, "pending": 0, "running": 0, **ended}
    by = counts.by_status
    # A batch starts a moment after its first item was claimed: until then, nothing of it is said to run.
    claimed = by[Status.RUNNING] if batch.state == State.QUEUED else 0
    return {
        "total": batch.total,
        "pending": by[Status.PENDING] + claimed,
        "running": by[Status.RUNNING] - claimed,
        "succeeded": by[Status.SUCCEEDED],
        "failed": by[Status.FAILED] + by[Status.REFUNDED],
    }


# Served by batches_item_index_once, on (batch_id, index).
_COUNTS = """
    SELECT batch_id, status, failure_type, count(*),
           (array_agg(id ORDER BY index) FILTER (WHERE failure_type <> ''))[1:%s]
    FROM batches_item
    WHERE batch_id = ANY(%s)
    GROUP BY batch_id, status, failure_type
    ORDER BY batch_id, count(*) DESC, failure_type
"""


def _counts_of(batches: Sequence[Batch]) -> dict[str, _Counts]:
    """Count the items of those batches whose stored totals don't say it all: open ones, and those with failures."""
    asked = [batch.pk for batch in batches if not batch.is_final or batch.failed]
    counts = {batch_id: _Counts() for batch_id in asked}
    if asked:
        with connection.cursor() as cursor:
            cursor.execute(_COUNTS, [SAMPLE_ITEMS, asked])
            for batch_id, status, failure_type, count, sample in cursor.fetchall():
                counts[batch_id].by_status[status] += count
                if failure_type:
                    failure = {"type": failure_type, "count": count, "sample_item_ids": sample}
                    counts[batch_id].failures.append(failure)
    return counts


# --- an item -------------------------------------------------------------------------------------------------------


def link_json(item: Item, output: Output, *, now: datetime) -> dict[str, Any]:
    """Return such an address as the API answers it."""
    link = link_of(item, output, now=now)
    return {"ok": True, "url": link.url, "expires_at": timestamp(link.expires_at)}


def link_of(item: Item, output: Output, *, now: datetime) -> Link:
    """Return an address that gives whoever has it this one video: the storage's, else one of ours."""
    link = outputs.link(output, now=now)
    return replace(link, url=link.url or f"{_content_url(item)}/{outputs.token_of(output)}")


def _content_url(item: Item) -> str:
    return f"{batch_url(item.batch_id)}/items/{item.pk}/content"


def _output_json(item: Item, output: Output) -> dict[str, Any]:
    return {
        "url": _content_url(item),
        "content_type": output.content_type,
        "bytes": output.bytes,
        "sha256": output.sha256,
        "duration_seconds": output.duration_ms / 1000,
        "expires_at": timestamp(output.expires_at),
    }
