"""Send a batch of videos, follow it, receive and verify its webhook, and check every credit of it.

    SORA2_URL=… SORA2_API_KEY=… SORA2_WEBHOOK_SECRET=… python batch_basic.py ["a prompt" …]

Needs `pip install requests standardwebhooks`. README.md says what to set, what it prints, and what each exit status
means.
"""

import hashlib
import http.server
import json
import os
import queue
import sys
import threading
import time
import uuid
from typing import Any

import requests
from standardwebhooks.webhooks import Webhook

PROMPTS = ["A cat playing piano", "A dog in space", "A paper boat on a river of stars"]
REQUEST_SECONDS = 30
ATTEMPTS = 5
WEBHOOK_SECONDS = 60
BODY_MAX_BYTES = 1024 * 1024

# What came to the receiver: the headers and the exact bytes of each webhook.
received: "queue.Queue[tuple[dict[str, str], bytes]]" = queue.Queue()


class Failed(Exception):
    """Why the script ends, and its exit status: 1 a check failed, 2 set-up, 3 refused by the API, 4 out of time."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


# --- the API ---------------------------------------------------------------------------------------------------------


class Api:
    """The API at an address, for the holder of a key."""

    def __init__(self, url: str, key: str) -> None:
        self.base = url.rstrip("/") + "/api/enterprise"
        self.session = requests.Session()
        self.session.trust_env = False  # No password of a ~/.netrc goes along.
        self.session.headers["X-API-Key"] = key

    def call(self, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        """Send one request and return the answer; where none came, or one that says "later", send it again.

        That is safe for a GET, and for a batch because its request id makes the second request answer with the batch
        of the first.
        """
        for attempt in range(1, ATTEMPTS + 1):
            pause: float = 2 ** (attempt - 1)
            try:
                response = self.session.request(
                    "POST" if body else "GET",
                    self.base + path,
                    json=body,
                    timeout=REQUEST_SECONDS,
                    allow_redirects=False,  # A redirect would carry the key to another host.
                )
            except requests.RequestException as error:
                why = f"no answer from {self.base}: {error}"
                if attempt == ATTEMPTS:
                    raise Failed(4, why) from error
            else:
                if 200 <= response.status_code < 300:
                    return response
                why = refusal(response)
                if response.status_code not in (429, 502, 503, 504) or attempt == ATTEMPTS:
                    raise Failed(3, why)
                pause = retry_after(response, pause)
            print(f"{why}\ntrying again in {pause:g} s", file=sys.stderr)
            time.sleep(pause)
        raise AssertionError("the last attempt has returned or raised")

    def follow(self, batch_id: str) -> dict[str, Any]:
        """Ask until the batch is final, as often as the API suggests, with the progress on one line."""
        began = time.monotonic()
        until, shown = began + float(os.environ.get("SORA2_PATIENCE_SECONDS", "600")), ""
        while True:
            response = self.call(f"/video-batch/{batch_id}")
            batch: dict[str, Any] = response.json()
            total, succeeded, failed = (batch["summary"][name] for name in ("total", "succeeded", "failed"))
            final = batch["state"] in ("completed", "partial", "failed")
            line = f"{batch['status']}: {succeeded + failed} of {total} ended, {succeeded} succeeded, {failed} failed"
            if sys.stdout.isatty():
                end = "\n" if final else ""
                print(f"\r\x1b[K{line} ({time.monotonic() - began:.0f} s)", end=end, flush=True)
            elif line != shown:
                print(line, flush=True)
            shown = line
            if final:
                return batch
            pause = retry_after(response, 2)
            if time.monotonic() + pause > until:
                raise Failed(4, f"{batch_id} has not ended yet. It goes on: ask for it later.")
            time.sleep(pause)


def refusal(response: requests.Response) -> str:
    """Return the words of a refusal: problem+json with a stable code, and every fault with its place."""
    if not response.headers.get("Content-Type", "").startswith("application/problem+json"):
        return f"{response.status_code} from {response.url}: {response.text[:200]}"
    problem = response.json()
    faults = "".join(f"\n  {fault['pointer']}: {fault['detail']}" for fault in problem.get("errors", []))
    said = f"refused, {problem['status']} {problem['code']}: {problem['detail']}"
    return f"{said} (trace id {problem['trace_id']}){faults}"


def retry_after(response: requests.Response, otherwise: float) -> float:
    """Return how long to wait, in seconds, by the header Retry-After."""
    try:
        return min(max(float(response.headers["Retry-After"]), 0.2), 60)
    except (KeyError, ValueError):
        return otherwise


# --- the webhook -----------------------------------------------------------------------------------------------------


class Receiver(http.server.BaseHTTPRequestHandler):
    """A server for webhooks. It answers at once, 204 to what is genuine and 400 to anything else."""

    timeout = 10

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > BODY_MAX_BYTES:
            return self.answer(413)
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if "webhook-signature" not in headers:
            return self.answer(400)  # A stranger; no webhook at all.
        received.put((headers, body))
        return self.answer(400 if forged(headers, body) else 204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def forged(headers: dict[str, str], body: bytes) -> str:
    """Return what is wrong with a message by Standard Webhooks 1.0, or the empty text."""
    try:
        Webhook(setting("SORA2_WEBHOOK_SECRET")).verify(body, headers)
    except Exception as error:  # Its own error, or ValueError where a header is malformed.
        return f"{error}. Is SORA2_WEBHOOK_SECRET the secret of this address, and of the key's mode?"
    return ""


def event_of(batch_id: str) -> dict[str, Any]:
    """Wait for the event of a batch."""
    until = time.monotonic() + WEBHOOK_SECONDS
    while True:
        try:
            headers, body = received.get(timeout=max(until - time.monotonic(), 0.01))
        except queue.Empty:
            message = f"no webhook came within {WEBHOOK_SECONDS} s. Does SORA2_WEBHOOK_URL lead here?"
            raise Failed(1, message) from None
        if fault := forged(headers, body):
            raise Failed(1, f"the webhook is not genuine: {fault}")
        # The same event may come more than once, under the same id. A customer's system acts on an id only once.
        event: dict[str, Any] = json.loads(body)
        if event["event"] == "batch.completed" and event["batch_id"] == batch_id:
            return event


# --- the books -------------------------------------------------------------------------------------------------------


def differences(credits: int, batch: dict[str, Any], event: dict[str, Any], proof: bytes) -> list[str]:
    """Return each check that does not hold, in words."""
    proven, money, summary = json.loads(proof), batch["ledger"], batch["summary"]
    sha256 = hashlib.sha256(proof).hexdigest()
    pairs = [
        ("reserved, and settled + refunded", money["reserved"], money["settled"] + money["refunded"]),
        ("reserved, and the quote", money["reserved"], credits),
        ("total, and succeeded + failed", summary["total"], summary["succeeded"] + summary["failed"]),
        ("SHA-256 of the proof, and in the webhook", sha256, event["proof"]["sha256"]),
        ("request_id of the API, and of the webhook", batch["request_id"], event["request_id"]),
        ("state of the API, and of the webhook", batch["state"], event["state"]),
    ]
    for name in ("reserved", "settled", "refunded"):
        pairs.append((f"{name} of the API, and of the webhook", money[name], event["ledger"][name]))
        pairs.append((f"{name} of the API, and of the proof", money[name], proven["ledger"][name]))
    names = ("total", "succeeded", "failed")
    pairs += [(f"{name} of the API, and of the webhook", summary[name], event["summary"][name]) for name in names]
    return [f"{what}: {one} is not {other}" for what, one, other in pairs if one != other]


# --- from the first to the last --------------------------------------------------------------------------------------


def main(prompts: list[str]) -> None:
    api = Api(setting("SORA2_URL"), setting("SORA2_API_KEY"))
    setting("SORA2_WEBHOOK_SECRET")
    try:
        port = int(os.environ.get("SORA2_WEBHOOK_PORT", "0"))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    except (OSError, OverflowError, ValueError) as error:
        raise Failed(2, f"SORA2_WEBHOOK_PORT: {error}") from error
    threading.Thread(target=server.serve_forever, daemon=True).start()
    items = [{"prompt": prompt} for prompt in prompts]

    quote = api.call("/video-batch/quote", {"items": items}).json()
    for line in quote["lines"]:
        priced = f"{line['count']} × {line['model']}, {line['seconds']} s, at {line['unit_credits']} credits"
        print(f"{priced}: {line['credits']}")
    print(f"quote: {quote['credits']} credits, {quote['available']} are available")

    # The request id makes it safe to send the order again; max_credits, that it never costs more than was shown.
    order = {
        "request_id": f"example-{uuid.uuid4()}",
        "items": items,
        "webhook_url": os.environ.get("SORA2_WEBHOOK_URL") or f"http://127.0.0.1:{server.server_port}/",
        "max_credits": quote["credits"],
    }
    accepted = api.call("/video-batch", order).json()
    print(f"{accepted['batch_id']} accepted: {accepted['ledger']['reserved']} credits are frozen", flush=True)

    batch = api.follow(accepted["batch_id"])
    event = event_of(batch["batch_id"])
    print(f"webhook {event['event']} is genuine: {event['event_id']}")
    proof = api.call(f"/video-batch/{batch['batch_id']}/proof").content

    money = batch["ledger"]
    print(f"reserved {money['reserved']} = settled {money['settled']} + refunded {money['refunded']}")
    if wrong := differences(quote["credits"], batch, event, proof):
        raise Failed(1, "the books do not agree:\n  " + "\n  ".join(wrong))
    print("every check held: API, webhook and proof say the same")


def setting(name: str) -> str:
    """Return a setting of the environment that must be there."""
    value = os.environ.get(name)
    if not value:
        raise Failed(2, f"Set {name}: README.md says to what.")
    return value


if __name__ == "__main__":
    try:
        main(sys.argv[1:] or PROMPTS)
    except Failed as failed:
        print(failed, file=sys.stderr)
        sys.exit(failed.status)
    except KeyboardInterrupt:
        print("\nstopped. An accepted batch goes on, and its webhook is sent again for three days.", file=sys.stderr)
        sys.exit(130)
