"""Rehearse a pilot on the running system: the whole loop as a customer goes through it, with every step checked.

Batch → webhook → reconciliation, over the public API and the internal webhook test endpoint, with play data.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import requests
from django.conf import settings
from django.utils import timezone
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from batches.models import FINAL_STATES
from batches.reconciliation import reconcile_in_turn
from pilots.services import PilotOrder, Provisioned, provision_pilot
from sora2.ids import new_id
from webhooks.models import SinkMessage

CREDITS = 100
PROMPTS = (
    "A cat playing piano",
    "A dog in space",
    "A paper boat on a river of stars",
    "A lighthouse in a snowstorm",
    "A market street at dawn",
    "A robot watering a garden",
    "A whale above the clouds",
    "A tram in an old town",
    "A kite over a wheat field",
    "Something that the provider's rules do not allow [[fail:content_refused]]",
)
EXPECTED_SUMMARY = {"total": 10, "succeeded": 9, "failed": 1}
EXPECTED_LEDGER = {"reserved": 100, "settled": 90, "refunded": 10}
TIMEOUT_SECONDS = 120.0


class RehearsalFailed(Exception):
    """A step did not hold; the message says which and what came instead."""


@dataclass(frozen=True)
class Rehearsed:
    """A rehearsal in which every check held."""

    provisioned: Provisioned
    batch_id: str
    ledger: dict[str, int]
    seconds: float

    @property
    def dashboard_url(self) -> str:
        """Return the batch's page."""
        return f"{settings.PUBLIC_BASE_URL}/admin/batches/{self.batch_id}/billing"


def rehearse(*, tell: Callable[[str], None], progress: Callable[[str], None]) -> Rehearsed:
    """Go through the loop; `tell` gets a line for each step done, `progress` a passing word on what is awaited.

    Raises RehearsalFailed.
    """
    started = time.monotonic()
    order = PilotOrder(name="Demo Studio", credits=CREDITS, sink=True, rate_limit=600)
    provisioned = provision_pilot(order=order, actor="system", now=timezone.now())
    tell(f"Pilot provisioned with {CREDITS} credits, key {provisioned.api_key[:12]}…")
    api = _Api(provisioned.api_key)
    batch = _create(api, tell)
    final = _observe(api, batch["batch_id"], progress, tell)
    ended = {name: final["summary"][name] for name in EXPECTED_SUMMARY}
    _check("the batch's summary", ended, EXPECTED_SUMMARY)
    _check("the batch's ledger", final["ledger"], EXPECTED_LEDGER)
    event = _receive(provisioned, batch["batch_id"], progress, tell)
    _check("the webhook's summary", event["summary"], EXPECTED_SUMMARY)
    _check("the webhook's ledger", event["ledger"], EXPECTED_LEDGER)
    _check_books(api, batch["batch_id"], event["proof"]["sha256"], tell)
    return Rehearsed(provisioned, batch["batch_id"], final["ledger"], time.monotonic() - started)


class _Api:
    """The public API, called as a customer calls it."""

    def __init__(self, key: str) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["X-API-Key"] = key
        self.base = f"{settings.PUBLIC_BASE_URL}/api/enterprise"

    def post(self, path: str, body: dict[str, Any], *, expect: int) -> dict[str, Any]:
        return self._json(self.session.post(self.base + path, json=body, timeout=30), expect)

    def get(self, path: str) -> dict[str, Any]:
        return self._json(self.session.get(self.base + path, timeout=30), 200)

    def content(self, path: str) -> bytes:
        return self.session.get(self.base + path, timeout=30).content

    def _json(self, response: requests.Response, expect: int) -> dict[str, Any]:
        if response.status_code != expect:
            raise RehearsalFailed(
                f"{response.url} answered {response.status_code}, not {expect}: {response.text[:300]}"
            )
        answer: dict[str, Any] = response.json()
        return answer


def _create(api: _Api, tell: Callable[[str], None]) -> dict[str, Any]:
    body = {"request_id": f"rehearsal-{new_id('r')}", "items": [{"prompt": prompt} for prompt in PROMPTS]}
    batch = api.post("/video-batch", body, expect=201)
    _check("the creation's status", batch["status"], "pending")
    _check("what is frozen", batch["ledger"], {"reserved": 100, "settled": 0, "refunded": 0})
    _check("the answer to the same request", api.post("/video-batch", body, expect=200)["batch_id"], batch["batch_id"])
    tell(f"Batch {batch['batch_id']} of {len(PROMPTS)} items accepted, {CREDITS} credits frozen")
    return batch


def _observe(api: _Api, batch_id: str, progress: Callable[[str], None], tell: Callable[[str], None]) -> dict[str, Any]:
    seen = ["pending"]
    for _ in _waiting("the batch's end"):
        batch = api.get(f"/video-batch/{batch_id}")
        if batch["status"] != seen[-1]:
            seen.append(batch["status"])
        summary = batch["summary"]
        progress(f"{summary['succeeded']} ✓  {summary['failed']} ✕  of {summary['total']}")
        if batch["state"] in FINAL_STATES:
            tell(f"Status seen: {' → '.join(seen)}")
            return batch
    raise AssertionError("unreachable")


def _receive(
    provisioned: Provisioned, batch_id: str, progress: Callable[[str], None], tell: Callable[[str], None]
) -> dict[str, Any]:
    message = _message(provisioned, batch_id, progress)
    try:
        event: dict[str, Any] = Webhook(provisioned.webhook_secret or "").verify(message.body, message.headers)
    except (WebhookVerificationError, ValueError) as error:
        raise RehearsalFailed(f"The webhook's signature does not verify: {error}") from error
    _check("the webhook's event", (event["event"], event["batch_id"]), ("batch.completed", batch_id))
    tell("Webhook batch.completed received, its signature verified")
    return event


def _message(provisioned: Provisioned, batch_id: str, progress: Callable[[str], None]) -> SinkMessage:
    messages = SinkMessage.objects.filter(sink__endpoint_id=provisioned.webhook_endpoint_id)
    for _ in _waiting("the webhook"):
        progress("waiting for the webhook")
        message = messages.filter(body__contains=batch_id).first()
        if message is not None:
            return message
    raise AssertionError("unreachable")


def _check_books(api: _Api, batch_id: str, proof_sha256: str, tell: Callable[[str], None]) -> None:
    proof = api.content(f"/video-batch/{batch_id}/proof")
    _check("the proof's hash", hashlib.sha256(proof).hexdigest(), proof_sha256)
    _check("the proof's ledger", json.loads(proof)["ledger"], EXPECTED_LEDGER)
    wallet = api.get("/wallet")
    figures = {name: wallet[name] for name in ("funded", "available", "reserved", "settled")}
    _check("the wallet", figures, {"funded": 100, "available": 10, "reserved": 0, "settled": 90})
    run = reconcile_in_turn()
    if not run.explained:
        raise RehearsalFailed(f"Not every credit is explained: {run.discrepancies}")
    tell(f"Proof and wallet agree; every credit is explained ({run.batches} batches, {run.entries} entries)")


def _check(what: str, got: object, expected: object) -> None:
    if got != expected:
        raise RehearsalFailed(f"{what} should be {expected}, and is {got}")


def _waiting(what: str) -> Iterator[None]:
    """Yield every fifth of a second, for two minutes at most. Raises RehearsalFailed after that."""
    until = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < until:
        yield
        time.sleep(0.2)
    raise RehearsalFailed(f"{what} did not come within {TIMEOUT_SECONDS:.0f} s; see the logs of the worker")
