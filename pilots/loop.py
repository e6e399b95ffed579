"""The loop that a pilot is about, as a customer goes through it: batch → webhook → reconciliation, each step checked.

Over the public API at PUBLIC_BASE_URL and the internal webhook test endpoint. A step returns what it saw, and raises
StepFailed with what came instead.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import requests
from django.conf import settings
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from batches.models import FINAL_STATES
from sora2.ids import new_id
from webhooks.models import Delivery, SinkMessage

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
ITEMS = [{"prompt": prompt, "custom_id": f"clip-{number:02}"} for number, prompt in enumerate(PROMPTS, start=1)]
EXPECTED_SUMMARY = {"total": len(PROMPTS), "succeeded": len(PROMPTS) - 1, "failed": 1}
REQUEST_SECONDS, STEP_SECONDS, LOOK_SECONDS = 30.0, 120.0, 0.2

Progress = Callable[[str], None]


class StepFailed(Exception):
    """A step did not hold; the message says which and what came instead."""


class Api:
    """The public API, called as a customer calls it."""

    def __init__(self, key: str) -> None:
        self.session = session()
        self.session.headers["X-API-Key"] = key
        self.base = f"{settings.PUBLIC_BASE_URL}/api/enterprise"

    def post(self, path: str, body: dict[str, Any], *, expect: int) -> dict[str, Any]:
        """Send a POST, and return what it answers. Raises StepFailed for another status."""
        return self._json(self._send("POST", path, json=body), expect)

    def get(self, path: str) -> dict[str, Any]:
        """Send a GET, and return what it answers. Raises StepFailed for another status than 200."""
        return self._json(self._send("GET", path), 200)

    def content(self, path: str) -> bytes:
        """Send a GET, and return the bytes that it answers."""
        return self._send("GET", path).content

    def _send(self, method: str, path: str, **given: Any) -> requests.Response:
        return send(self.session, method, self.base + path, **given)

    def _json(self, response: requests.Response, expect: int) -> dict[str, Any]:
        if response.status_code != expect:
            raise StepFailed(f"{response.url} answered {response.status_code}, not {expect}: {response.text[:300]}")
        try:
            answer: dict[str, Any] = response.json()
        except ValueError as error:
            raise StepFailed(f"{response.url} answered no JSON: {response.text[:300]}") from error
        return answer


def session() -> requests.Session:
    """Return a session that knows nothing of this machine: neither its proxies nor its passwords."""
    made = requests.Session()
    made.trust_env = False
    return made


def send(client: requests.Session, method: str, url: str, **given: Any) -> requests.Response:
    """Send a request. Raises StepFailed where no answer comes."""
    try:
        return client.request(method, url, **{"timeout": REQUEST_SECONDS, **given})
    except requests.RequestException as error:
        raise StepFailed(
            f"{url} gave no answer ({type(error).__name__}). Is PUBLIC_BASE_URL ({settings.PUBLIC_BASE_URL}) the "
            "system's address, and can this machine reach it?"
        ) from error


def quote(api: Api) -> int:
    """Return what the batch of the loop will cost."""
    credits: int = api.post("/video-batch/quote", {"items": ITEMS}, expect=200)["credits"]
    return credits


def expected_ledger(credits: int) -> dict[str, int]:
    """Return how the batch must end: one of its items, which all cost the same, fails."""
    refunded = credits // len(PROMPTS)
    return {"reserved": credits, "settled": credits - refunded, "refunded": refunded}


def order(api: Api, credits: int) -> str:
    """Order the batch, twice with one request id, and return its id."""
    body = {"request_id": f"rehearsal-{new_id('r')}", "items": ITEMS}
    batch = api.post("/video-batch", body, expect=201)
    same("the creation's status", batch["status"], "pending")
    same("what is frozen", batch["ledger"], {"reserved": credits, "settled": 0, "refunded": 0})
    same("the answer to the same request", api.post("/video-batch", body, expect=200)["batch_id"], batch["batch_id"])
    batch_id: str = batch["batch_id"]
    return batch_id


def observe(
    api: Api, batch_id: str, *, credits: int, progress: Progress, seconds: float = STEP_SECONDS
) -> tuple[dict[str, Any], str]:
    """Follow the batch to its end; return it, and the statuses that were seen, in their order."""
    seen = ["pending"]
    for _ in waiting(
        "the batch's end", seconds, lambda: "Do a worker of two processes and the simulator run? See their logs."
    ):
        batch = api.get(f"/video-batch/{batch_id}")
        if batch["status"] != seen[-1]:
            seen.append(batch["status"])
        summary = batch["summary"]
        progress(f"{summary['succeeded']} ✓  {summary['failed']} ✕  of {summary['total']}")
        if batch["state"] in FINAL_STATES:
            break
    same("the batch's summary", {name: summary[name] for name in EXPECTED_SUMMARY}, EXPECTED_SUMMARY)
    same("the batch's ledger", batch["ledger"], expected_ledger(credits))
    return batch, " → ".join(seen)


def receive(
    *, endpoint_id: str | None, secret: str, batch: dict[str, Any], progress: Progress, seconds: float = STEP_SECONDS
) -> dict[str, Any]:
    """Return the event of the batch as it came to the test endpoint, its signature verified, its figures compared."""
    message = _message(endpoint_id, batch["batch_id"], progress, seconds)
    try:
        event: dict[str, Any] = Webhook(secret).verify(message.body, message.headers)
    except (WebhookVerificationError, ValueError) as error:
        raise StepFailed(f"The webhook's signature does not verify: {error}") from error
    same("the webhook's event", (event["event"], event["batch_id"]), ("batch.completed", batch["batch_id"]))
    same("the webhook's summary", event["summary"], EXPECTED_SUMMARY)
    same("the webhook's ledger", event["ledger"], batch["ledger"])
    return event


def check_books(api: Api, event: dict[str, Any], before: dict[str, Any]) -> None:
    """Compare the proof with the webhook, and the wallet with how it was before the batch."""
    batch_id, ledger = event["batch_id"], event["ledger"]
    same("settled + refunded", ledger["settled"] + ledger["refunded"], ledger["reserved"])
    proof = api.content(f"/video-batch/{batch_id}/proof")
    same("the proof's hash", hashlib.sha256(proof).hexdigest(), event["proof"]["sha256"])
    same("the proof's ledger", json.loads(proof)["ledger"], ledger)
    wallet = api.get("/wallet")
    moved = {name: wallet[name] - before[name] for name in ("funded", "available", "reserved", "settled")}
    expected = {"funded": 0, "available": -ledger["settled"], "reserved": 0, "settled": ledger["settled"]}
    same("what the batch did to the wallet", moved, expected)


def same(what: str, got: object, expected: object) -> None:
    """Raise StepFailed when this is not as it should be."""
    if got != expected:
        raise StepFailed(f"{what} should be {expected}, and is {got}")


def waiting(what: str, seconds: float, remedy: Callable[[], str]) -> Iterator[None]:
    """Yield every fifth of a second, for so long at most. Raises StepFailed after that, with what to do."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield
        time.sleep(LOOK_SECONDS)
    raise StepFailed(f"{what} did not come within {seconds:.0f} s. {remedy()}")


def _message(endpoint_id: str | None, batch_id: str, progress: Progress, seconds: float) -> SinkMessage:
    messages = SinkMessage.objects.filter(sink__endpoint_id=endpoint_id)
    for _ in waiting("the webhook", seconds, lambda: _why_not(endpoint_id, batch_id)):
        progress("waiting for the webhook")
        message = messages.filter(body__contains=batch_id).first()
        if message is not None:
            return message
    raise AssertionError("unreachable")


def _why_not(endpoint_id: str | None, batch_id: str) -> str:
    """Say what became of the delivery instead."""
    delivery = Delivery.objects.filter(endpoint=endpoint_id, event__reference=batch_id).first()
    attempt = delivery.attempts.order_by("-at").first() if delivery else None
    if attempt is None:
        return "It was not sent either. Does a worker run? See its log."
    if attempt.status_code is None:
        return f"It was sent, and no answer came: {attempt.error}. Can workers reach PUBLIC_BASE_URL?"
    return f"It was sent, and the test endpoint answered {attempt.status_code}. Is WEBHOOK_SINK_ENABLED set there?"
