"""The receivers that the guide shows are run as it says, and get real messages; its calls are made."""

import base64
import hmac
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from sora2.openapi import document
from tests.factories import Account
from tests.programs import NODE_MODULES, node, php
from tests.sora2.documents import blocks, section
from tests.sora2.test_docs_examples import defined
from tests.webhooks.receivers import answers, free_port, serve
from webhooks import delivery, health, signing
from webhooks.endpoints import OVERLAP_HOURS, OVERLAP_HOURS_MOST
from webhooks.models import Endpoint, EventType, default_events

GUIDE = "howto/webhooks.md"
START_SECONDS = 30


def shown(heading: str, language: str) -> str:
    """Return the one code block of a section in this language."""
    (block,) = blocks(GUIDE, heading, language)
    return block


# --- the receivers ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Running:
    """A receiver that runs: where it listens, the secret that it knows, and the ids that it has handled."""

    url: str
    secret: str
    handled: Callable[[], list[str]]


def handled_in_python(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "receiver.db") as database:
        ids = [row[0] for row in database.execute("SELECT event_id FROM handled")]
        (orders,) = database.execute("SELECT count(*) FROM finished_order WHERE status = 'partial'").fetchone()
    assert orders == len(ids)
    return ids


def handled_in_inbox(folder: Path) -> list[str]:
    kept = [path for path in (folder / "inbox").iterdir() if not path.name.startswith(".")]
    for path in kept:
        assert path.read_text() == body_of(path.stem)
    assert len(list((folder / "inbox").iterdir())) == len(kept)
    return [path.stem for path in kept]


def python_receiver(folder: Path, _: int) -> list[str]:
    (folder / "receiver.py").write_text(shown("A receiver in Python", "python"))
    return [sys.executable, "receiver.py"]


def node_receiver(folder: Path, _: int) -> list[str]:
    command = [node(), "receiver.mjs"]
    (folder / "receiver.mjs").write_text(shown("A receiver in Node", "javascript"))
    (folder / "node_modules").symlink_to(NODE_MODULES)
    return command


def php_receiver(folder: Path, port: int) -> list[str]:
    (folder / "receiver.php").write_text(shown("A receiver in PHP", "php"))
    return [php(), "-S", f"127.0.0.1:{port}", "receiver.php"]


RECEIVERS = {
    "Python": (python_receiver, handled_in_python),
    "Node": (node_receiver, handled_in_inbox),
    "PHP": (php_receiver, handled_in_inbox),
}


@contextmanager
def run(name: str, folder: Path, secret: str | None = None) -> Iterator[Running]:
    """Run one of the receivers in a process of its own, with its files in `folder`."""
    command_of, handled_in = RECEIVERS[name]
    port, log = free_port(), folder / "log"
    secret = signing.new_secret() if secret is None else secret
    environment = {**os.environ, "WEBHOOK_SECRET": secret, "PORT": str(port)}
    command = command_of(folder, port)
    with (
        log.open("w") as output,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            await_answer(f"http://127.0.0.1:{port}", process, log)
            yield Running(f"http://127.0.0.1:{port}/hook", secret, lambda: handled_in(folder))
        finally:
            process.kill()


@pytest.fixture(params=RECEIVERS)
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    """Each of the receivers in turn."""
    with run(request.param, tmp_path) as running:
        yield running


def await_answer(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers anything."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            requests.get(url, timeout=5)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"It does not answer: {log.read_text()}")


def body_of(event_id: str) -> str:
    content = {
        "event": "batch.completed",
        "request_id": "größe 🎬",
        "ledger": {"reserved": 100, "settled": 90, "refunded": 10},
        "event_id": event_id,
        "status": "partial",
    }
    return json.dumps(content, ensure_ascii=False)


def signed(*secrets: str, event_id: str = "evt_1", ago: timedelta = timedelta()) -> dict[str, str]:
    at = datetime.now(UTC) - ago
    return signing.signature_headers(event_id=event_id, body=body_of(event_id), secrets=secrets, at=at)


def post(running: Running, headers: Mapping[str, str], body: str | None = None) -> int:
    """Post a message; without another body, the one that was signed. Return the status of the answer."""
    data = (body_of(headers.get("webhook-id", "evt_1")) if body is None else body).encode()
    headers = {"Content-Type": "application/json", **headers}
    return requests.post(running.url, data=data, headers=headers, timeout=20).status_code


def is_taken(status: int) -> bool:
    assert 200 <= status < 300 or 400 <= status < 500, status
    return status < 300


def test_a_receiver_takes_what_we_signed_and_nothing_else(running: Running) -> None:
    assert is_taken(post(running, signed(running.secret)))
    assert running.handled() == ["evt_1"]
    wrong = signed(running.secret, event_id="evt_2")
    for headers, body in (
        (wrong, body_of("evt_2").replace("10", "11")),
        (wrong, body_of("evt_2").replace(": ", ":")),
        (wrong, ""),
        (wrong | {"webhook-id": "evt_3"}, body_of("evt_2")),
        (wrong | {"webhook-timestamp": str(int(wrong["webhook-timestamp"]) + 1)}, None),
        (wrong | {"webhook-timestamp": "yesterday"}, None),
        (wrong | {"webhook-signature": "garbage"}, None),
        (signed(signing.new_secret(), event_id="evt_2"), None),
        (signed(running.secret, event_id="evt_2", ago=timedelta(minutes=6)), None),
        (signed(running.secret, event_id="evt_2", ago=timedelta(minutes=-6)), None),
        ({}, None),
    ):
        assert not is_taken(post(running, headers, body)), (headers, body)
    for name in signing.HEADERS:
        assert not is_taken(
            post(running, {key: value for key, value in wrong.items() if key != name}, body_of("evt_2"))
        )
    assert running.handled() == ["evt_1"]
    assert is_taken(post(running, wrong))


def test_a_receiver_takes_either_signature_while_a_secret_rotates(running: Running) -> None:
    other = signing.new_secret()
    assert is_taken(post(running, signed(other, running.secret, event_id="evt_1")))
    assert is_taken(post(running, signed(running.secret, other, event_id="evt_2")))
    assert sorted(running.handled()) == ["evt_1", "evt_2"]


def test_a_receiver_handles_an_id_once_and_takes_it_again(running: Running) -> None:
    for ago in (0, 1, 2):
        assert is_taken(post(running, signed(running.secret, ago=timedelta(seconds=ago))))
    with ThreadPoolExecutor(8) as pool:
        sending = [pool.submit(post, running, signed(running.secret, event_id="evt_2")) for _ in range(8)]
        assert all(is_taken(each.result()) for each in sending)
    assert sorted(running.handled()) == ["evt_1", "evt_2"]


def test_a_receiver_whose_work_fails_is_asked_again_and_does_it_then(tmp_path: Path) -> None:
    with run("Python", tmp_path) as running:
        with sqlite3.connect(tmp_path / "receiver.db") as database:
            database.execute("ALTER TABLE finished_order RENAME TO elsewhere")
        with pytest.raises(requests.ConnectionError):
            post(running, signed(running.secret))
        with sqlite3.connect(tmp_path / "receiver.db") as database:
            database.execute("ALTER TABLE elsewhere RENAME TO finished_order")
        assert running.handled() == []
        assert is_taken(post(running, signed(running.secret)))
        assert running.handled() == ["evt_1"]


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!"])
def test_a_receiver_in_php_without_a_secret_believes_nobody(tmp_path: Path, secret: str) -> None:
    body, stamp = body_of("evt_1"), str(int(time.time()))
    forged = base64.b64encode(hmac.digest(b"", f"evt_1.{stamp}.{body}".encode(), "sha256")).decode()
    headers = {"webhook-id": "evt_1", "webhook-timestamp": stamp, "webhook-signature": f"v1,{forged}"}
    with run("PHP", tmp_path, secret) as running:
        assert post(running, headers) == 500
        assert running.handled() == []


def test_verifying_by_hand_without_a_secret_believes_nobody() -> None:
    by_hand = defined(GUIDE, "Verify", "is_signed")
    with pytest.raises(ValueError, match="no secret"):
        by_hand("whsec_", signed(signing.new_secret()), b"{}")


# --- the sender ------------------------------------------------------------------------------------------------------


def test_the_documented_sender_signs_as_we_do(tmp_path: Path) -> None:
    (tmp_path / "send.py").write_text(shown("Try it on your machine", "python"))
    secret = signing.new_secret()
    with serve(answers(204)) as receiver:
        run = subprocess.run(
            [sys.executable, "send.py", receiver.url],
            cwd=tmp_path,
            env={**os.environ, "WEBHOOK_SECRET": secret},
            capture_output=True,
            text=True,
        )
    assert (run.returncode, run.stdout) == (0, "204\n"), run.stderr
    (received,) = receiver.requests
    assert signing.verify(secrets=[secret], headers=received.headers, body=received.body) == ""
    assert json.loads(received.body)["event_id"] == received.headers["webhook-id"]


# --- the calls -------------------------------------------------------------------------------------------------------


def curl(heading: str, **variables: str) -> tuple[str, str, dict[str, object]]:
    """Return the method, the path and the body of the section's call."""
    text = shown(heading, "sh").replace("\\\n", " ")
    for name, value in variables.items():
        text = text.replace(f"${name}", value)
    words = shlex.split(text)
    (url,) = [word for word in words if word.startswith("https://api.example.com/api/enterprise/")]
    return (
        words[words.index("-X") + 1],
        url.removeprefix("https://api.example.com/api/enterprise"),
        json.loads(words[-1]),
    )


@pytest.mark.django_db
def test_the_calls_are_taken_as_shown(account: Account) -> None:
    method, path, body = curl("Create an endpoint")
    assert (method, path) == ("POST", "/webhook-endpoints")
    made = account.api.post(path, body)
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    endpoint = made.json()["id"]
    _, path, body = curl("Secrets", ENDPOINT=endpoint)
    rotated = account.api.post(path, body)
    assert rotated.status_code == 200
    assert rotated.json()["secret"] != made.json()["secret"]
    assert rotated.json()["secret_rotating_until"]
    _, path, body = curl("Get what you missed", ENDPOINT=endpoint)
    assert account.api.post(path, body).json() == {"ok": True, "dry_run": True, "count": 0}
    assert Endpoint.objects.get().enabled


def test_every_address_of_a_call_exists() -> None:
    described = document()["paths"]
    text = "".join(section(GUIDE, heading) for heading in ("Create an endpoint", "Get what you missed", "Look"))
    named = set(re.findall(r"`(GET|POST|PATCH|DELETE) (/webhook-[^`?]*)`", text))
    assert len(named) >= 6
    for method, path in named:
        assert method.lower() in described[f"/api/enterprise{path}"], (method, path)


def test_what_one_can_subscribe_to() -> None:
    lines = [line for line in section(GUIDE, "Create an endpoint").splitlines() if re.match(r"\| `\w+\.", line)]
    events = {name: line for line in lines for name in re.findall(r"`([^`]+)`", line.split("|")[1])}
    assert events.keys() == set(EventType)
    assert [name for name, line in events.items() if "The default" in line] == default_events()


def test_the_statuses_that_pause_an_endpoint() -> None:
    said = re.search(r"^([\d, and]+) say that you are overloaded", section(GUIDE, "Retries"), re.MULTILINE)
    assert said
    assert set(map(int, re.findall(r"\d+", said[1]))) == delivery.PAUSING
    assert (delivery.PAUSE_FIRST_SECONDS, delivery.PAUSE_MOST_SECONDS) == (5, 300)


def test_when_an_endpoint_is_disabled() -> None:
    text = " ".join(section(GUIDE, "When it fails for long").split())
    assert "nothing has arrived for a day, and after four days" in text
    assert "After five days of nothing but failures" in text
    assert "with two events given up" in text
    days = [health.FAILING_AFTER.days, health.LAST_WARNING_AFTER.days, health.DISABLED_AFTER.days]
    assert (days, health.EXHAUSTED_LEAST) == ([1, 4, 5], 2)


def test_how_long_both_secrets_sign() -> None:
    assert f"{OVERLAP_HOURS} hours, or what you asked for, from 0 to {OVERLAP_HOURS_MOST}." in section(GUIDE, "Secrets")
