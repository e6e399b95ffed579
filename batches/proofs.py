"""The reconciliation proof of a batch, and the webhook's body that carries its hash.

A proof is canonical JSON of the batch's totals and its ledger entries, whole. Its text is fixed in the transaction that
finalizes the credits; anybody can hash it, and follow each entry's seal to the next in the wallet's chain.
"""

import json
from collections.abc import Iterable, Iterator

from django.conf import settings

from batches.models import Batch, Item, Proof
from ledger.models import Entry
from ledger.representations import entry_json
from sora2.canonical import canonical_json, sha256_hex
from sora2.times import timestamp
from webhooks.models import Event, EventType

# SHA-256 over items_jsonl(), in the database: no item leaves it. Ids and states need no escaping in JSON.
ITEMS_SHA256 = """
    encode(sha256(convert_to(string_agg(
        '{"credits":' || credits || ',"id":"' || id || '","index":' || index || ',"status":"' || status || E'"}\\n',
        '' ORDER BY index), 'UTF8')), 'hex')
"""


def fix(*, batch: Batch, items_sha256: str) -> Proof:
    """Write the proof of a batch whose credits were just settled and refunded, inside that transaction."""
    body = canonical_json(
        {
            "batch_id": batch.pk,
            "request_id": batch.request_id,
            "organization_id": batch.organization_id,
            "livemode": batch.livemode,
            "state": batch.state,
            "finalized_at": timestamp(batch.finished_at),
            "summary": final_summary(batch),
            "ledger": final_ledger(batch),
            "entries": [entry_json(entry) for entry in _entries(batch)],
            "items_count": batch.total,
            "items_sha256": items_sha256,
        }
    )
    return Proof.objects.create(batch=batch, body=body, sha256=sha256_hex(body))


def _entries(batch: Batch) -> Iterable[Entry]:
    kinds = (Entry.Kind.RESERVE, Entry.Kind.SETTLE, Entry.Kind.REFUND)
    return Entry.objects.about(batch.pk).filter(wallet_id=batch.wallet_id, kind__in=kinds)


def items_jsonl(batch: Batch) -> Iterator[str]:
    """Yield the lines of `proof/items.jsonl`: canonical JSON of each item's outcome, by index."""
    rows = Item.objects.filter(batch=batch).order_by("index").values("index", "id", "status", "credits")
    for row in rows.iterator(chunk_size=2000):
        yield canonical_json(row) + "\n"


def completed_event(*, batch: Batch, proof: Proof, event_id: str) -> str:
    """Return the exact body of `batch.completed`, keys in the order in which the documentation shows them."""
    return json.dumps(
        {
            "event": "batch.completed",
            "batch_id": batch.pk,
            "request_id": batch.request_id,
            "summary": final_summary(batch),
            "ledger": final_ledger(batch),
            "timestamp": timestamp(batch.finished_at),
            "event_id": event_id,
            "livemode": batch.livemode,
            "status": batch.status,
            "state": batch.state,
            "proof": {
                "url": f"{settings.PUBLIC_BASE_URL}/api/enterprise/video-batch/{batch.pk}/proof",
                "sha256": proof.sha256,
            },
        },
        ensure_ascii=False,
    )


def told_sha256(batch: Batch) -> str:
    """Return the proof's hash as the batch's event carries it; empty before the end."""
    event = Event.objects.filter(reference=batch.pk, part="", type=EventType.BATCH_COMPLETED).first()
    said: str = json.loads(event.body)["proof"]["sha256"] if event else ""
    return said


def final_summary(batch: Batch) -> dict[str, int | None]:
    """Return how the items of a final batch ended."""
    return {"total": batch.total, "succeeded": batch.succeeded, "failed": batch.failed}


def final_ledger(batch: Batch) -> dict[str, int]:
    """Return the totals of a final batch: reserved = settled + refunded."""
    return {"reserved": batch.credits, "settled": batch.settled, "refunded": batch.refunded}
