"""Webhooks on real processes that fail: a worker dies in a post, the broker stops at a commit, a receiver hangs."""

import contextlib
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from standardwebhooks.webhooks import Webhook

from tests.flows.system import System, running
from tests.webhooks.receivers import Behaviour, Received, Receiver, answers, hangs, in_turn, serve
from webhooks.delivery import IN_FLIGHT_PER_LANE, LEASE_SECONDS

pytestmark = pytest.mark.stack

# What is waited for comes within seconds, unless something is broken.
BROKEN_SECONDS = 60.0


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with running() as system:
        yield system


def wait_for(condition: Callable[[], object], what: str, seconds: float = BROKEN_SECONDS) -> None:
    """Wait until the condition holds; fail when that takes too long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.1)


def only_delivery(system: System, key: str, batch_id: str) -> dict[str, Any]:
    """Return the delivery of the batch's event, as the customer sees it."""
    url = f"{system.url}/api/enterprise/webhook-deliveries?batch_id={batch_id}"
    (row,) = system.api(key).get(url, timeout=30).json()["data"]
    delivery: dict[str, Any] = row
    return delivery


def delivered(system: System, key: str, batch_id: str) -> dict[str, Any]:
    """Wait until it is on record as delivered, and return it."""
    wait_for(lambda: only_delivery(system, key, batch_id)["state"] == "delivered", "the record of the delivery")
    return only_delivery(system, key, batch_id)


def test_a_worker_killed_in_the_middle_of_a_post(system: System) -> None:
    with serve(in_turn(hangs(), answers(200, b"thanks"))) as receiver:
        pilot = system.provision(credits=100, webhook_url=receiver.url)
        batch = system.create(pilot["api_key"], ["a cat"])
        wait_for(lambda: receiver.requests, "the post that is held open")
        system.kill("worker")
        wait_for(lambda: len(receiver.requests) > 1, "the second post", LEASE_SECONDS + BROKEN_SECONDS)
        delivery = delivered(system, pilot["api_key"], batch["batch_id"])

    assert len(receiver.requests) == 2
    assert {request.headers["webhook-id"] for request in receiver.requests} == {delivery["event_id"]}
    for request in receiver.requests:
        event = Webhook(pilot["webhook_secret"]).verify(request.body, dict(request.headers))
        assert event["batch_id"] == batch["batch_id"]
    first, second = delivery["attempts"]
    assert (first["error"], first["status_code"], first["duration_ms"]) == ("worker_lost", None, None)
    assert (second["error"], second["status_code"], second["response"]) == (None, 200, "thanks")


def test_the_broker_stopped_while_a_batch_is_finalized(system: System) -> None:
    with serve(answers(200)) as receiver:
        pilot = system.provision(credits=100, webhook_url=receiver.url)
        key = pilot["api_key"]
        batch_id = system.create(key, ["a cat [[slow:3]]"])["batch_id"]
        system.until(key, batch_id, lambda b: b["state"] == "processing")
        with stopped_broker(system, while_finalizing=batch_id):
            final = system.final(key, batch_id)
            assert final["ledger"] == {"reserved": 10, "settled": 10, "refunded": 0}
            assert only_delivery(system, key, batch_id)["attempts"] == []
            assert receiver.requests == []
        delivery = delivered(system, key, batch_id)

    (request,) = receiver.requests
    assert request.headers["webhook-id"] == delivery["event_id"]
    event = Webhook(pilot["webhook_secret"]).verify(request.body, dict(request.headers))
    assert event["ledger"] == final["ledger"]


@contextlib.contextmanager
def stopped_broker(system: System, *, while_finalizing: str) -> Iterator[None]:
    """Stop the broker at the moment when the batch's end is about to be written; wake it after the block."""
    with psycopg.connect(system.database_url) as blocker, contextlib.ExitStack() as stack:
        blocker.execute("SELECT FROM batches_batch WHERE id = %s FOR NO KEY UPDATE", [while_finalizing])
        with psycopg.connect(system.database_url, autocommit=True) as observer:
            wait_for(lambda: _waits_to_finalize(observer, blocker, while_finalizing), "the finalization")
        system.signal("valkey", signal.SIGSTOP)
        stack.callback(system.signal, "valkey", signal.SIGCONT)
        time.sleep(1)  # What a worker had taken from the broker before is done by then.
        blocker.rollback()
        yield


def _waits_to_finalize(observer: psycopg.Connection[Any], blocker: psycopg.Connection[Any], batch_id: str) -> bool:
    row = observer.execute(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE %(blocker)s = ANY(pg_blocking_pids(pid)))"
        " AND NOT EXISTS (SELECT FROM batches_item WHERE batch_id = %(batch)s AND status IN ('pending', 'running'))",
        {"blocker": blocker.info.backend_pid, "batch": batch_id},
    ).fetchone()
    return row == (True,)


def test_an_endpoint_that_hangs_delays_nobody_else(system: System) -> None:
    """It has all that may be under way to it at once; the others get their messages while it holds on to some."""
    held: list[Received] = []
    held_meanwhile: dict[str, int] = {}
    others_have_it = threading.Event()

    def hang(connection: socket.socket, _: Receiver, received: Received) -> None:
        held.append(received)
        while not others_have_it.wait(0.1) and not has_left(connection):
            pass
        held.remove(received)

    def taking(name: str) -> Behaviour:
        def behave(connection: socket.socket, receiver: Receiver, received: Received) -> None:
            held_meanwhile[name] = len(held)
            answers(200)(connection, receiver, received)

        return behave

    with contextlib.ExitStack() as stack:
        hanging, own, other = (
            stack.enter_context(serve(behaviour)) for behaviour in (hang, taking("own"), taking("other"))
        )
        acme = system.provision(credits=10 * IN_FLIGHT_PER_LANE + 10, name="Acme", webhook_url=hanging.url)
        globex = system.provision(credits=100, name="Globex", webhook_url=other.url)
        for _ in range(IN_FLIGHT_PER_LANE):
            system.create(acme["api_key"], ["a cat"])
        wait_for(lambda: len(hanging.requests) >= IN_FLIGHT_PER_LANE, "the posts that are held open")
        # The address of a batch's own hears of it beside the endpoint that hangs.
        system.create(acme["api_key"], ["a dog"], webhook_url=own.url)
        system.create(globex["api_key"], ["a dog"])
        wait_for(lambda: own.requests and other.requests, "the messages to the others")
        others_have_it.set()

    assert min(held_meanwhile["own"], held_meanwhile["other"]) > 0
    for secret, receiver in ((acme["default_webhook_secret"], own), (globex["webhook_secret"], other)):
        (request,) = receiver.requests
        Webhook(secret).verify(request.body, dict(request.headers))


def has_left(connection: socket.socket) -> bool:
    """Say whether the caller has closed the connection: it has nothing more to send, so nothing else can come."""
    return bool(select.select([connection], [], [], 0)[0])
