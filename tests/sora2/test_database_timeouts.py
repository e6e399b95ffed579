"""A client that hangs in a transaction keeps a customer waiting for a while, and not for ever."""

import os
import runpy
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from batches.finalization import finalize_ended
from batches.models import Batch, Item, State
from customers.models import Mode
from ledger.models import Entry
from tests.factories import Account, code_of, end_items, make_account, make_batch, order
from tests.sora2.documents import ROOT

LOCK, IDLE = "DATABASE_LOCK_TIMEOUT_SECONDS", "DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS"


# --- the settings --------------------------------------------------------------------------------------------------


def options(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, str]:
    """Return what a session is told, with this environment."""
    for name in (LOCK, IDLE):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    database = runpy.run_path(str(ROOT / "sora2/settings.py"))["DATABASES"]["default"]
    with psycopg.connect(os.environ["DATABASE_URL"], options=database["OPTIONS"]["options"]) as session:
        names = ("lock_timeout", "idle_in_transaction_session_timeout", "statement_timeout")
        return {name: session.execute(f"SHOW {name}").fetchone()[0] for name in names}  # type: ignore[index]


def test_by_default_a_lock_is_waited_for_10_seconds_and_an_idle_transaction_lives_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert list(options(monkeypatch).values()) == ["10s", "1min", "0"]


def test_they_are_set_in_seconds_and_0_leaves_them_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(options(monkeypatch, **{LOCK: "0.25", IDLE: "0"}).values()) == ["250ms", "0", "0"]
    assert list(options(monkeypatch, **{LOCK: "0", IDLE: "7"}).values()) == ["0", "7s", "0"]


def test_what_the_database_url_says_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    sign = "&" if "?" in os.environ["DATABASE_URL"] else "?"
    url = f"{os.environ['DATABASE_URL']}{sign}options=-c%20lock_timeout%3D3s%20-c%20statement_timeout%3D4s"
    monkeypatch.setenv("DATABASE_URL", url)
    assert list(options(monkeypatch).values()) == ["3s", "1min", "4s"]


# --- a client that hangs -------------------------------------------------------------------------------------------


@contextmanager
def hanging(account: Account, *, idle_timeout: str = "0") -> Iterator[psycopg.Connection]:
    """Hold the account's wallet in another session, as a client would that hangs after its posting."""
    options = f"-c idle_in_transaction_session_timeout={idle_timeout}"
    session = psycopg.connect(**{**connection.get_connection_params(), "options": options})
    wallet = account.wallets[Mode.LIVE].pk
    session.execute("SELECT FROM ledger_wallet WHERE id = %s FOR NO KEY UPDATE", [wallet])
    try:
        yield session
    finally:
        session.close()


@pytest.fixture
def account(transactional_db: None) -> Iterator[Account]:
    """A customer, whose requests wait for a lock no longer than a moment."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '200ms'")
    yield make_account()
    connection.close()


def test_a_request_that_waits_in_vain_is_answered_503_and_leaves_nothing(account: Account) -> None:
    with hanging(account):
        response = account.api.post("/video-batch", order())
    assert code_of(response) == (503, "service_unavailable")
    assert int(response.headers["Retry-After"]) > 0
    assert not Batch.objects.exists()
    assert not Entry.objects.filter(kind=Entry.Kind.RESERVE).exists()


def test_another_customer_is_served_meanwhile(account: Account) -> None:
    other = make_account(name="Other")
    with hanging(account):
        assert other.api.post("/video-batch", order()).status_code == 201


def test_the_server_ends_the_client_that_hangs_and_the_same_request_is_then_accepted(account: Account) -> None:
    with hanging(account, idle_timeout="500ms"):
        statuses = []
        until = time.monotonic() + 60
        while 201 not in statuses and time.monotonic() < until:
            statuses.append(account.api.post("/video-batch", order()).status_code)
    assert set(statuses) == {503, 201}
    assert Batch.objects.count() == 1


def test_a_batch_that_could_not_be_finalized_is_with_the_next_sweep(account: Account) -> None:
    batch = make_batch(account.api, 2)
    end_items(batch, succeeded=[0, 1])
    with hanging(account):
        assert finalize_ended(now=timezone.now()) == 0
        assert Item.objects.filter(batch=batch, status="succeeded").count() == 2
    assert finalize_ended(now=timezone.now()) == 1
    assert Batch.objects.get().state == State.COMPLETED
