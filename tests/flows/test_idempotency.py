"""One batch and one reserve, whatever happens to the request, its client or the server: in real processes."""

import contextlib
import json
import signal
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import requests
from django.conf import settings
from django.db import connection

from batches.failures import FailureType
from batches.models import Batch, Item
from customers.models import Mode
from ledger.models import Entry
from tests.factories import BASE, Account, end_batch, make_account, make_batch, order
from tests.gunicorn import Gunicorn, gunicorn

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True)]

PROCESSES = 3
AT_ONCE = 50
LONG_SECONDS = 60.0


@pytest.fixture(scope="module")
def server(django_db_setup: None) -> Iterator[Gunicorn]:
    """Several processes of several threads on the tests' database."""
    with serving(PROCESSES) as running:
        yield running


@pytest.fixture
def single(django_db_setup: None) -> Iterator[Gunicorn]:
    """A server with one worker process, which may be killed."""
    with serving(1) as running:
        yield running


# --- many at once ----------------------------------------------------------------------------------------------------


def test_of_fifty_equal_requests_at_once_one_creates_and_the_others_replay(server: Gunicorn) -> None:
    account = make_account(10_000)
    answers = at_once([(server, account, "/video-batch", order(20))] * AT_ONCE)
    assert Counter(map(told, answers)) == {(201, None): 1, (200, "true"): AT_ONCE - 1}
    assert {answer.json()["batch_id"] for answer in answers} == {Batch.objects.get().pk}
    assert stored() == (1, 20, 1)
    assert account.figures() == (9_800, 200, 0)


def test_of_fifty_equal_retries_at_once_one_creates_and_the_others_replay(server: Gunicorn) -> None:
    account = make_account(1_000)
    failed = end_batch(make_batch(account.api, 3), failed={0: FailureType.TIMEOUT, 1: FailureType.CAPACITY})
    path = f"/video-batch/{failed.pk}/retry"
    answers = at_once([(server, account, path, {"request_id": "again"})] * AT_ONCE)
    assert Counter(map(told, answers)) == {(201, None): 1, (200, "true"): AT_ONCE - 1}
    assert {answer.json()["batch_id"] for answer in answers} == {Batch.objects.get(retry_of=failed).pk}
    assert stored() == (2, 5, 2)


def test_of_different_bodies_under_one_id_at_once_one_wins_and_the_others_are_told(server: Gunicorn) -> None:
    account = make_account(10_000)
    bodies = [order(1), order(2)]
    answers = at_once([(server, account, "/video-batch", bodies[number % 2]) for number in range(AT_ONCE)])
    found = Counter(map(told, answers))
    half = AT_ONCE // 2
    assert found == {(201, None): 1, (200, "true"): half - 1, (422, "request_id_reused"): half}
    assert stored() == (1, Batch.objects.get().total, 1)


def test_the_rate_limit_is_exact_over_several_processes(server: Gunicorn) -> None:
    account = make_account(0, rate_limit_per_minute=20)
    answers = at_once([(server, account, "/wallet", None)] * AT_ONCE)
    assert Counter(map(told, answers)) == {(200, None): 20, (429, "rate_limited"): AT_ONCE - 20}


def test_the_limit_of_open_batches_is_exact_over_several_processes(server: Gunicorn) -> None:
    account = make_account(10_000, max_open_batches=5)
    orders = [order(2, request_id=f"order-{number}") for number in range(20)]
    answers = at_once([(server, account, "/video-batch", each) for each in orders])
    assert Counter(map(told, answers)) == {(201, None): 5, (429, "too_many_open_batches"): 15}
    assert stored() == (5, 10, 5)


# --- clients that hang up --------------------------------------------------------------------------------------------


def test_a_client_that_hangs_up_before_the_answer_gets_it_with_the_next_request(server: Gunicorn) -> None:
    account = make_account(1_000)
    with raw_request(server, account, order(5), share=1.0):
        pass
    until(lambda: stored() == (1, 5, 1))
    again = post(server, account, "/video-batch", order(5))
    assert told(again) == (200, "true")
    assert again.json()["batch_id"] == Batch.objects.get().pk
    assert stored() == (1, 5, 1)


def test_a_client_that_hangs_up_while_it_sends_has_sent_nothing(single: Gunicorn) -> None:
    account = make_account(100_000, max_items_per_batch=10_000)
    large = order(5_000)
    with raw_request(single, account, large, share=0.5) as client:
        until(lambda: is_reading(single))
        client.shutdown(socket.SHUT_WR)
        # Whatever the server still says, it has ended with this request then.
        while client.recv(65_536):
            pass
    assert stored() == (0, 0, 0)
    assert told(post(single, account, "/video-batch", large)) == (201, None)
    assert stored() == (1, 5_000, 1)


# --- servers that are killed -----------------------------------------------------------------------------------------


@pytest.mark.owner  # The role does not see what other sessions do.
def test_a_server_that_is_killed_between_commit_and_answer_has_made_the_batch(single: Gunicorn) -> None:
    account = make_account(1_000)
    # At the commit the batch's key to its organization is looked at, and that waits for whoever has it locked.
    row = f"customers_organization WHERE id = '{account.organization.pk}' FOR UPDATE"
    with killed_while_it_waits(single, account, row, "COMMIT"):
        until(lambda: Batch.objects.exists())
    assert stored() == (1, 3, 1)
    again = post(single, account, "/video-batch", order(3))
    assert told(again) == (200, "true")
    assert again.json()["batch_id"] == Batch.objects.get().pk
    assert stored() == (1, 3, 1)
    assert account.figures() == (970, 30, 0)


@pytest.mark.owner  # The role does not see what other sessions do.
def test_a_server_that_is_killed_between_reserve_and_commit_has_made_nothing(single: Gunicorn) -> None:
    account = make_account(1_000)
    row = f"ledger_wallet WHERE id = '{account.wallets[Mode.LIVE].pk}' FOR NO KEY UPDATE"
    with killed_while_it_waits(single, account, row, "INSERT INTO credit_ledger"):
        until(lambda: backends("idle in transaction", "INSERT INTO credit_ledger"))
    until(lambda: not backends("idle in transaction", ""))
    assert stored() == (0, 0, 0)
    assert account.figures() == (1_000, 0, 0)
    assert told(post(single, account, "/video-batch", order(3))) == (201, None)
    assert stored() == (1, 3, 1)
    assert account.figures() == (970, 30, 0)


@contextlib.contextmanager
def killed_while_it_waits(server: Gunicorn, account: Account, row: str, statement: str) -> Iterator[None]:
    """Send an order, and kill the server's worker with it, whose client must get no answer.

    `statement` of the order waits for a row that we have locked; then the worker is stopped in its tracks, the row let
    go, and PostgreSQL does what it was asked for. The block waits for that. Then the worker is killed.
    """
    (worker,) = server.workers()
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(database_url()) as locking:
            locking.execute(f"SELECT FROM {row}".encode())
            asked: Future[Any] = pool.submit(post, server, account, "/video-batch", order(3))
            until(lambda: backends("active", statement, waiting=True))
            worker.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            worker.kill()
        with pytest.raises(requests.ConnectionError):
            asked.result()
    until(lambda: server.answers("127.0.0.1"))


# --- means -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def serving(processes: int) -> Iterator[Gunicorn]:
    """Run a server on the tests' own database."""
    with (
        tempfile.TemporaryDirectory(prefix="sora2-web-") as folder,
        gunicorn(Path(folder, "web.log"), {"DATABASE_URL": database_url()}, processes=processes) as running,
    ):
        yield running


def database_url() -> str:
    """Return the address of the tests' own database."""
    name = connection.settings_dict["NAME"]
    url: str = urlsplit(settings.DATABASE_URL)._replace(path=f"/{name}").geturl()
    return url


def post(server: Gunicorn, account: Account, path: str, body: Any) -> requests.Response:
    """Send a request on a connection of its own: a GET without a body."""
    return requests.request(
        "GET" if body is None else "POST",
        f"http://127.0.0.1:{server.port}{BASE}{path}",
        json=body,
        headers={"X-API-Key": account.secrets[Mode.LIVE]},
        timeout=LONG_SECONDS,
    )


def at_once(calls: Sequence[tuple[Gunicorn, Account, str, Any]]) -> list[requests.Response]:
    """Send all of these at the same moment."""
    start = threading.Barrier(len(calls))

    def send(call: tuple[Gunicorn, Account, str, Any]) -> requests.Response:
        start.wait()
        return post(*call)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(send, calls))


def told(response: requests.Response) -> tuple[int, str | None]:
    """Return the status, and what it is about: the code of a problem, or whether it is a replay."""
    if response.status_code >= 400:
        return response.status_code, response.json()["code"]
    return response.status_code, response.headers.get("Idempotent-Replayed")


def stored() -> tuple[int, int, int]:
    """Return how many batches, items and reserves there are."""
    return Batch.objects.count(), Item.objects.count(), Entry.objects.filter(kind="reserve").count()


@contextlib.contextmanager
def raw_request(server: Gunicorn, account: Account, body: Any, *, share: float) -> Iterator[socket.socket]:
    """Have sent an order, or a share of its body, on a connection that is closed afterwards without reading from it."""
    content = json.dumps(body).encode()
    head = (
        f"POST {BASE}/video-batch HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {account.secrets[Mode.LIVE]}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=LONG_SECONDS) as client:
        client.sendall(head.encode() + content[: int(share * len(content))])
        yield client


def is_reading(server: Gunicorn) -> bool:
    """Say whether the server has taken in all that came over its only connection."""
    (worker,) = server.workers()
    return any(c.status == psutil.CONN_ESTABLISHED for c in worker.net_connections("tcp"))


def backends(state: str, statement: str, *, waiting: bool = False) -> bool:
    """Say whether a session of this database, not ours, is in a state with a statement that begins so."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND state = %s AND ltrim(query, E' \\n') LIKE %s || '%%' AND (NOT %s OR wait_event_type = 'Lock')",
            [state, statement, waiting],
        )
        return bool(cursor.rowcount)


def until(condition: Callable[[], object]) -> None:
    """Wait until something is so; fail when that takes too long."""
    end = time.monotonic() + LONG_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)
