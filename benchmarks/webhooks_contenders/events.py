"""The messages that all contenders carry: of the form and the size of a real `batch.completed`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.webhooks_contenders.receiver import Arrival
from sora2.ids import new_id


@dataclass(frozen=True)
class Event:
    """An event, about a batch that nobody else is about."""

    id: str
    batch_id: str
    body: str


def new_events(count: int) -> list[Event]:
    """Return so many events."""
    return [_event(new_id("evt"), new_id("bat")) for _ in range(count)]


def bodies_of(arrivals: Sequence[Arrival]) -> list[str]:
    """Return the bodies that came, in an order of their own."""
    return sorted(arrival.body for arrival in arrivals)


def _event(event_id: str, batch_id: str) -> Event:
    host = "https://sora2.example.com/api/enterprise"
    body = {
        "event": "batch.completed",
        "batch_id": batch_id,
        "request_id": f"order-{batch_id}",
        "summary": {"total": 1000, "succeeded": 990, "failed": 10},
        "ledger": {"reserved": 10_000, "settled": 9900, "refunded": 100},
        "timestamp": "2026-01-24T10:00:00.000000Z",
        "event_id": event_id,
        "livemode": False,
        "status": "partial",
        "state": "partial",
        "proof": {"url": f"{host}/video-batch/{batch_id}/proof", "sha256": "0" * 64},
    }
    return Event(event_id, batch_id, json.dumps(body))
