"""Examples of what the API answers about batches, for OpenAPI: one batch of ten items, of which one timed out."""

import json
from typing import Any

from batches.schemas import EXAMPLE_BATCH, EXAMPLE_HOST, EXAMPLE_ID
from ledger.examples import OF_BATCH, sha256

BATCH_ID, ITEM_ID = f"bat_{EXAMPLE_ID}", f"itm_{EXAMPLE_ID}"
_ENDED_AT = "2026-01-24T10:00:00.000000Z"
TOTALS = {"reserved": 100, "settled": 90, "refunded": 10}

QUOTE: dict[str, Any] = {
    "ok": True,
    "credits": 100,
    "available": 240,
    "sufficient": True,
    "lines": [{"model": "sora-2", "seconds": 4, "count": 10, "unit_credits": 10, "credits": 100}],
    "price_version": "2026-01-24",
}
RUNNING_BATCH: dict[str, Any] = {
    **EXAMPLE_BATCH,
    "status": "running",
    "state": "processing",
    "created_at": "2026-01-24T09:58:00.000000Z",
    "started_at": "2026-01-24T09:58:01.000000Z",
    "summary": {"total": 10, "pending": 2, "running": 4, "succeeded": 3, "failed": 1},
    "failures": [{"type": "timeout", "count": 1, "sample_item_ids": [ITEM_ID]}],
}
ENDED_BATCH: dict[str, Any] = {
    **RUNNING_BATCH,
    "status": "partial",
    "state": "partial",
    "finished_at": _ENDED_AT,
    "summary": {"total": 10, "pending": 0, "running": 0, "succeeded": 9, "failed": 1},
    "ledger": TOTALS,
}
RETRY_BATCH: dict[str, Any] = {
    **EXAMPLE_BATCH,
    "batch_id": f"bat_{EXAMPLE_ID[:-1]}y",
    "request_id": "order-123-again",
    "retry_of": BATCH_ID,
    "summary": {"total": 1, "pending": 1, "running": 0, "succeeded": 0, "failed": 0},
    "ledger": {"reserved": 10, "settled": 0, "refunded": 0},
    "links": {name: url.replace(EXAMPLE_ID, f"{EXAMPLE_ID[:-1]}y") for name, url in EXAMPLE_BATCH["links"].items()},
}
BATCH_PAGE = {
    "ok": True,
    "data": [{name: value for name, value in ENDED_BATCH.items() if name != "ok"}],
    "next_cursor": "YmF0XzAxa2FkZjdxMm0zbjRwNXI2czd0OHY5dzB4",
}
ITEM: dict[str, Any] = {
    "id": ITEM_ID,
    "index": 0,
    "custom_id": "sku-1",
    "status": "succeeded",
    "model": "sora-2",
    "prompt": "A cat playing piano",
    "seconds": 4,
    "size": "1280x720",
    "metadata": {"sku": "1"},
    "credits": 10,
    "attempts": 1,
    "failure": None,
    "output": {
        "url": f"{EXAMPLE_HOST}/api/enterprise/video-batch/{BATCH_ID}/items/{ITEM_ID}/content",
        "content_type": "video/mp4",
        "bytes": 1_048_576,
        "sha256": sha256("video"),
        "duration_seconds": 4.0,
        "expires_at": None,
    },
    "created_at": "2026-01-24T09:58:00.000000Z",
    "started_at": "2026-01-24T09:58:01.000000Z",
    "finished_at": "2026-01-24T09:59:00.000000Z",
    "refunded_at": None,
}
RESULTS = json.dumps(ITEM, separators=(",", ":")) + "\n"
REFUNDED_ITEM: dict[str, Any] = {
    **ITEM,
    "id": f"itm_{EXAMPLE_ID[:-1]}y",
    "index": 1,
    "custom_id": "sku-2",
    "metadata": {"sku": "2"},
    "status": "refunded",
    "failure": {"type": "timeout", "message": "The provider did not finish in time.", "retryable": True},
    "output": None,
    "finished_at": _ENDED_AT,
    "refunded_at": _ENDED_AT,
}
ITEM_PAGE = {"ok": True, "data": [ITEM, REFUNDED_ITEM], "next_cursor": "MQ=="}
CONTENT_LINK = {
    "ok": True,
    "url": f"{EXAMPLE_HOST}/api/enterprise/video-batch/{BATCH_ID}/items/{ITEM_ID}/content/1tXYZ",
    "expires_at": "2026-01-24T10:15:00.000000Z",
}
BATCH_LEDGER: dict[str, Any] = {
    "ok": True,
    "batch_id": BATCH_ID,
    "entries": OF_BATCH,
    "totals": {**TOTALS, "held": 0},
    "balanced": True,
}
PROOF: dict[str, Any] = {
    "batch_id": BATCH_ID,
    "entries": OF_BATCH,
    "finalized_at": _ENDED_AT,
    "items_count": 10,
    "items_sha256": sha256("items"),
    "ledger": TOTALS,
    "livemode": True,
    "organization_id": f"org_{EXAMPLE_ID}",
    "request_id": "order-123",
    "state": "partial",
    "summary": {"failed": 1, "succeeded": 9, "total": 10},
}
PROOF_ITEMS = "".join(
    f'{{"credits":10,"id":"{item["id"]}","index":{item["index"]},"status":"{item["status"]}"}}\n'
    for item in (ITEM, REFUNDED_ITEM)
)
MODEL_PAGE = {
    "ok": True,
    "data": [
        {
            "name": "sora-2",
            "credits": 10,
            "base_seconds": 4,
            "seconds": [4, 8, 12],
            "default_seconds": 4,
            "sizes": ["1280x720", "720x1280"],
            "status": "active",
            "sunset_at": None,
            "replacement": None,
            "price_version": "2026-01-24",
        }
    ],
    "next_cursor": None,
}
