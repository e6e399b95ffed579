"""Asking our own system over HTTP, at the address that customers use: whether it is ready, and to run a test batch."""

import time
from dataclasses import dataclass
from typing import Any

import requests
import structlog

from sora2.api import BASE_PATH

log = structlog.get_logger(__name__)

# An answer that takes longer is none: nobody waits for it.
ANSWER_SECONDS = 5.0


@dataclass(frozen=True)
class Answer:
    """What came of a request: whether it was the right answer, after how long, and if not, why."""

    ok: bool
    latency_ms: int
    detail: str


def ask_readiness(base: str) -> Answer:
    """Ask whether requests can be served. Redirects are no answer."""
    return _ask("GET", base, "/readyz", expect=(200,))


def order_batch(base: str, *, secret: str, body: dict[str, Any]) -> Answer:
    """Order a batch as a customer does; the same order again is answered as well."""
    return _ask("POST", base, f"{BASE_PATH}/video-batch", expect=(200, 201), json=body, headers={"X-API-Key": secret})


def _ask(method: str, base: str, path: str, *, expect: tuple[int, ...], **given: Any) -> Answer:
    """Ask, and say why not in words that customers may read: they name no host of ours."""
    began, status = time.monotonic(), None
    with requests.Session() as session:
        session.trust_env = False  # Neither proxies nor passwords of this machine.
        try:
            url = f"{base}{path}"
            status = session.request(method, url, timeout=ANSWER_SECONDS, allow_redirects=False, **given).status_code
            fault = "" if status in expect else f"was answered with {status}"
        except requests.RequestException as error:
            fault = f"got no answer: {type(error).__name__}"
    seconds = time.monotonic() - began
    # A timeout starts anew with each part of an answer, so that one can drip for longer.
    if not fault and seconds > ANSWER_SECONDS:
        fault = f"was answered after {seconds:.1f} s, more than {ANSWER_SECONDS:g} s"
    if fault:
        log.warning("sla.probe_failed", base=base, path=path, status=status, fault=fault)
    return Answer(not fault, int(seconds * 1000), fault and f"{method} {path} {fault}")
