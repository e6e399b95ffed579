"""Real processes that die in the middle of a batch: it ends, balanced, each succeeded item charged once."""

import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.flows.system import System, running_embedded

pytestmark = pytest.mark.stack

# Twelve items that take a while, so that there is a middle to kill in; one fails.
PROMPTS = [f"scene {n} [[slow:{1 + n % 4}]]" for n in range(11)] + ["[[fail:content_refused]]"]


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """A system that gives up after some seconds, not minutes: ambiguous submits, and a worker that hears nothing."""
    with running_embedded(
        SUBMIT_TIMEOUT_SECONDS="3",
        LOOKUP_GRACE_SECONDS="1",
        ITEM_DEADLINE_SECONDS="25",
        WORKER_SILENCE_SECONDS="10",
    ) as system:
        yield system


def start(system: System) -> tuple[str, dict[str, Any]]:
    """Provision a pilot and post the batch; return its key and the batch."""
    key = system.provision(credits=120)["api_key"]
    return key, system.create(key, PROMPTS)


def in_the_middle(system: System, key: str, batch: dict[str, Any]) -> None:
    """Wait until the first item has succeeded: the others are with the provider, or on their way."""
    system.until(key, batch["batch_id"], lambda b: b["summary"]["succeeded"] > 0)


def check(system: System, key: str, batch: dict[str, Any]) -> None:
    """Check that the batch ended balanced, and that no item was charged or submitted twice."""
    # A worker killed in the middle of a poll or a look-up keeps its lease of 90 s.
    final = system.final(key, batch["batch_id"], seconds=300)
    ledger, summary = final["ledger"], final["summary"]
    assert ledger["reserved"] == 120 == ledger["settled"] + ledger["refunded"]
    assert ledger["settled"] == 10 * summary["succeeded"]
    assert summary["succeeded"] + summary["failed"] == 12
    assert summary["succeeded"] > 0
    api = f"{system.url}/api/enterprise"
    items = system.api(key).get(f"{api}/video-batch/{batch['batch_id']}/items?limit=100", timeout=30).json()["data"]
    assert [i["attempts"] for i in items if i["status"] == "succeeded"] == [1] * summary["succeeded"]
    assert {i["failure"]["type"] for i in items if i["failure"]} <= {"content_refused", "ambiguous_submit"}
    entries = system.api(key).get(f"{api}/video-batch/{batch['batch_id']}/ledger", timeout=30).json()
    assert entries["balanced"] is True
    wallet = system.api(key).get(f"{api}/wallet", timeout=30).json()
    assert (wallet["available"], wallet["reserved"]) == (ledger["refunded"], 0)
    reconciled = system.manage("reconcile", "--json", check=False)
    assert json.loads(reconciled.stdout)["discrepancies"] == []


def test_every_worker_killed_in_the_middle(system: System) -> None:
    key, batch = start(system)
    in_the_middle(system, key, batch)
    for _ in range(3):
        system.kill("worker")
        time.sleep(1.5)
    check(system, key, batch)


def test_the_broker_emptied_and_killed(system: System) -> None:
    key, batch = start(system)
    system.broker().flushall()
    in_the_middle(system, key, batch)
    system.kill("valkey")
    check(system, key, batch)


def test_the_broker_stopped_for_a_while(system: System) -> None:
    provisioned = system.provision(credits=120)
    key = provisioned["api_key"]
    system.signal("valkey", signal.SIGSTOP)
    try:
        batch = system.create(key, PROMPTS)
        time.sleep(3)
    finally:
        system.signal("valkey", signal.SIGCONT)
    check(system, key, batch)


def test_a_worker_that_hears_nothing_any_more_is_replaced(system: System) -> None:
    before = system.processes("worker")[0].pid
    system.signal("beat", signal.SIGSTOP)
    try:
        for _ in range(400):
            time.sleep(0.1)
            if [worker.pid for worker in system.processes("worker")[:1]] not in ([], [before]):
                break
        else:
            pytest.fail("the worker that hears nothing is there still")
        assert "worker.silent" in system.log("worker")
    finally:
        system.signal("beat", signal.SIGCONT)
    key, batch = start(system)
    check(system, key, batch)


def test_beat_and_web_and_simulator_and_database_killed(system: System) -> None:
    key, batch = start(system)
    in_the_middle(system, key, batch)
    for name in ("beat", "simulator", "web", "postgres"):
        system.kill(name)
    for _ in range(150):  # Web and database are restarted by the supervisor; the API answers 503 or nothing until then.
        time.sleep(0.2)
        try:
            if system.batch(key, batch["batch_id"]):
                break
        except (AssertionError, OSError):
            continue
    check(system, key, batch)
