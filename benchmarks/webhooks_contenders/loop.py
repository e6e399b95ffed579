"""The least that a client does: one session of requests, one process, one post after the other, signed beforehand."""

import os
import time
from datetime import UTC, datetime

import requests

from benchmarks.webhooks_contenders.events import bodies_of, new_events
from benchmarks.webhooks_contenders.receiver import Receiver
from benchmarks.webhooks_contenders.workers import Run
from webhooks.signing import new_secret, signature_headers

ANSWER_SECONDS = 30.0


def loop(count: int, receiver: Receiver) -> Run:
    """Post so many events, over one connection."""
    events, secret, at = new_events(count), new_secret(), datetime.now(UTC)
    signed = [signature_headers(event_id=one.id, body=one.body, secrets=[secret], at=at) for one in events]
    receiver.forget()
    with requests.Session() as session:
        session.trust_env = False  # No look at the environment for proxies with each post.
        session.headers["Content-Type"] = "application/json"
        before, started = sum(os.times()[:2]), time.monotonic()
        for event, headers in zip(events, signed, strict=True):
            body, url = event.body.encode(), f"{receiver.root}/loop"
            session.post(url, data=body, headers=headers, timeout=ANSWER_SECONDS).raise_for_status()
        run = Run(time.monotonic() - started, {"the loop": sum(os.times()[:2]) - before})
    assert bodies_of(receiver.arrivals()) == sorted(event.body for event in events), "not each event came once"
    return run
