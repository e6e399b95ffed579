"""Asking our own system over HTTP, at the address that customers use: whether it is ready, and to run a test batch."""

import time
from dataclasses import dataclass
from typing import Any

import requests

# An answer that takes longer is none: nobody waits for it.
ANSWER_SECONDS = 5.0
SAID_MAX = 120


@dataclass(frozen=True)
class Answer:
    """What came of a request: whether it was the right answer, after how long, and if not, why."""

    ok: bool
    latency_ms: int
    detail: str


def ask_readiness(base: str) -> Answer:
    """Ask whether requests can be served. Redirects are no answer."""
    return _ask("GET", f"{base}/readyz", expect=(200,))


def order_batch(base: str, *, secret: str, body: dict[str, Any]) -> Answer:
    """Order a batch as a customer does; the same order again is answered as well."""
    url = f"{base}/api/enterprise/video-batch"
    return _ask("POST", url, expect=(200, 201), json=body, headers={"X-API-Key": secret})


def _ask(method: str, url: str, *, expect: tuple[int, ...], **given: Any) -> Answer:
    began = time.monotonic()
    with requests.Session() as session:
        session.trust_env = False  # Neither proxies nor passwords of this machine.
        try:
            response = session.request(method, url, timeout=ANSWER_SECONDS, allow_redirects=False, **given)
        except requests.RequestException as error:
            return Answer(False, _since(began), f"{url} gave no answer: {type(error).__name__}")
    latency_ms = _since(began)
    if response.status_code not in expect:
        return Answer(False, latency_ms, f"{url} answered {response.status_code}: {response.text[:SAID_MAX]}")
    # A timeout starts anew with each part of an answer, so that one can drip for longer.
    if latency_ms > ANSWER_SECONDS * 1000:
        return Answer(False, latency_ms, f"{url} took {latency_ms / 1000:.1f} s to answer")
    return Answer(True, latency_ms, "")


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)
