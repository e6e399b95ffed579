"""Send a batch, follow it, receive and verify its webhook, and check the money: reserved = settled + refunded.

Needs `pip install requests standardwebhooks`, and in the environment:
    SORA2_URL             the system's address, such as http://127.0.0.1:8000
    SORA2_API_KEY         your key, s2_live_… or s2_test_…
    SORA2_WEBHOOK_SECRET  your organization's default secret, whsec_…

On a developer's system the webhook comes to a small server in this script. Ends with status 1 if a check fails.
"""

import http.server
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
FINAL = {"completed", "partial", "failed"}
PATIENCE_SECONDS = 300

received: "queue.Queue[tuple[dict[str, str], bytes]]" = queue.Queue()


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes what comes, answers 204 at once, and leaves verifying to the main program."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received.put((dict(self.headers), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> int:
    api = requests.Session()
    api.headers["X-API-Key"] = os.environ["SORA2_API_KEY"]
    base = os.environ["SORA2_URL"].rstrip("/") + "/api/enterprise/video-batch"

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    # The request id makes it safe to send this again: the same id and body never make a second batch.
    order = {
        "request_id": f"example-{uuid.uuid4()}",
        "items": [{"prompt": prompt} for prompt in PROMPTS],
        "webhook_url": f"http://127.0.0.1:{server.server_port}/",
    }
    response = api.post(base, json=order, timeout=30)
    if response.status_code != 201:
        print(f"refused: {response.json()['detail']}", file=sys.stderr)
        return 1
    batch = response.json()
    print(f"{batch['batch_id']} accepted, {batch['ledger']['reserved']} credits frozen")

    batch = follow(api, f"{base}/{batch['batch_id']}")
    headers, body = received.get(timeout=60)
    event = Webhook(os.environ["SORA2_WEBHOOK_SECRET"]).verify(body, headers)  # Raises if it is not genuine.
    print(f"webhook {event['event']} verified")

    money = event["ledger"]
    print(f"reserved {money['reserved']} = settled {money['settled']} + refunded {money['refunded']}")
    agrees = money == batch["ledger"] and money["reserved"] == money["settled"] + money["refunded"]
    return 0 if agrees else 1


def follow(api: requests.Session, url: str) -> dict[str, Any]:
    """Ask until the batch is final, as often as the system suggests."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        response = api.get(url, timeout=30)
        response.raise_for_status()
        batch: dict[str, Any] = response.json()
        summary = batch["summary"]
        print(f"{batch['status']}: {summary['succeeded']} of {summary['total']} succeeded, {summary['failed']} failed")
        if batch["state"] in FINAL:
            return batch
        time.sleep(int(response.headers.get("Retry-After", "2")))
    raise TimeoutError(f"{url} did not end within {PATIENCE_SECONDS} s")


if __name__ == "__main__":
    sys.exit(main())
