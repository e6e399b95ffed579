"""The main job on real processes: HTTP in, credits frozen, workers, provider, one webhook, the books balanced."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from standardwebhooks.webhooks import Webhook

from tests.flows.system import ROOT, System, clean_environment, running
from tests.webhooks.receivers import answers, serve

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with running() as system:
        yield system


def test_a_batch_goes_in_and_a_verified_webhook_and_balanced_books_come_out(system: System) -> None:
    with serve(answers(200)) as receiver:
        pilot = system.provision(credits=100, webhook_url=receiver.url)
        created = system.create(pilot["api_key"], [f"scene {n}" for n in range(9)] + ["[[fail:content_refused]]"])
        assert (created["ok"], created["status"], created["state"]) == (True, "pending", "queued")
        assert created["ledger"] == {"reserved": 100, "settled": 0, "refunded": 0}

        final = system.final(pilot["api_key"], created["batch_id"])
        assert (final["status"], final["state"]) == ("partial", "partial")
        assert final["ledger"] == {"reserved": 100, "settled": 90, "refunded": 10}

        for _ in range(100):
            if receiver.requests:
                break
            time.sleep(0.1)
        (request,) = receiver.requests
        event = Webhook(pilot["webhook_secret"]).verify(request.body, dict(request.headers))
        assert list(event)[:6] == ["event", "batch_id", "request_id", "summary", "ledger", "timestamp"]
        assert event["summary"] == {"total": 10, "succeeded": 9, "failed": 1}
        assert event["ledger"] == final["ledger"]

    api = system.api(pilot["api_key"])
    base = f"{system.url}/api/enterprise"
    proof = api.get(f"{base}/video-batch/{created['batch_id']}/proof", timeout=30).content
    assert hashlib.sha256(proof).hexdigest() == event["proof"]["sha256"]
    lines = api.get(f"{base}/video-batch/{created['batch_id']}/proof/items.jsonl", timeout=30).content
    assert hashlib.sha256(lines).hexdigest() == json.loads(proof)["items_sha256"]
    item = api.get(f"{base}/video-batch/{created['batch_id']}/items?status=succeeded&limit=1", timeout=30).json()
    output = item["data"][0]["output"]
    video = api.get(output["url"], timeout=30).content
    assert hashlib.sha256(video).hexdigest() == output["sha256"]
    assert api.get(f"{base}/wallet", timeout=30).json()["available"] == 10
    assert system.manage("reconcile").returncode == 0


def test_finance_sees_it_balanced_on_the_batch_page(system: System) -> None:
    pilot = system.provision(credits=100)
    batch = system.create(pilot["api_key"], ["a", "b [[fail:content_refused]]"])
    system.final(pilot["api_key"], batch["batch_id"])
    run = system.manage("create_staff", "--username", f"fin-{os.urandom(3).hex()}", "--role", "finance")
    username, password = run.stdout.split()
    with requests.Session() as browser:
        form = browser.get(f"{system.url}/admin/login/", timeout=30).text
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
        assert token
        data = {"username": username, "password": password, "csrfmiddlewaretoken": token[1], "next": "/admin/"}
        home = browser.post(f"{system.url}/admin/login/", data=data, headers={"Referer": system.url}, timeout=30)
        assert home.status_code == 200
        page = browser.get(f"{system.url}/admin/batches/{batch['batch_id']}/billing", timeout=30)
        assert page.status_code == 200
        assert "20 = 10 + 10 ✓" in re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page.text))


def test_a_test_key_runs_on_the_sandbox_wallet(system: System) -> None:
    pilot = system.provision(credits=100)
    batch = system.create(pilot["test_api_key"], ["a cat"])
    assert batch["livemode"] is False
    final = system.final(pilot["test_api_key"], batch["batch_id"])
    assert (final["state"], final["livemode"]) == ("completed", False)
    live = system.api(pilot["api_key"]).get(f"{system.url}/api/enterprise/wallet", timeout=30).json()
    assert (live["available"], live["livemode"]) == (100, True)


def test_a_batch_s_own_address_gets_the_event_signed_with_the_default_secret(system: System) -> None:
    with serve(answers(200)) as receiver:
        pilot = system.provision(credits=100)
        batch = system.create(pilot["api_key"], ["a cat"], webhook_url=receiver.url)
        system.final(pilot["api_key"], batch["batch_id"])
        for _ in range(100):
            if receiver.requests:
                break
            time.sleep(0.1)
        (request,) = receiver.requests
        event = Webhook(pilot["default_webhook_secret"]).verify(request.body, dict(request.headers))
        assert event["batch_id"] == batch["batch_id"]


def test_the_demo_ends_with_status_0_and_leaves_nothing_running() -> None:
    with tempfile.TemporaryDirectory(prefix="sora2-demo-") as folder:
        run = subprocess.run(
            [sys.executable, "manage.py", "demo", "--exit"],
            cwd=ROOT,
            env=clean_environment(Path(folder)),
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        assert "100 = 90 + 10 ✓" in run.stdout
        left = [p for p in psutil.process_iter(["cmdline"]) if folder in " ".join(p.info["cmdline"] or [])]
        assert left == []
