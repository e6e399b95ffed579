"""The whole system runs as the role that `manage.py database_role` makes: it has logged in as it, and owns nothing."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography.fernet import Fernet
from standardwebhooks.webhooks import Webhook

from tests.databases import OwnDatabase, own_database
from tests.flows.system import ROOT, System, clean_environment, on, run_as_role, running
from tests.webhooks.receivers import answers, serve


@pytest.fixture(scope="module")
def database() -> Iterator[OwnDatabase]:
    with own_database() as database:
        yield database


@pytest.fixture(scope="module")
def system(database: OwnDatabase) -> Iterator[System]:
    with running(workers=2, **on(database.role_url)) as system:
        yield system


@pytest.mark.stack
def test_the_main_job_is_done_and_the_books_balance(system: System) -> None:
    with serve(answers(200)) as receiver:
        pilot = system.provision(credits=100, webhook_url=receiver.url)
        batch = system.create(pilot["api_key"], [f"scene {n}" for n in range(9)] + ["[[fail:content_refused]]"])
        final = system.final(pilot["api_key"], batch["batch_id"])
        assert final["ledger"] == {"reserved": 100, "settled": 90, "refunded": 10}
        for _ in range(100):
            if receiver.requests:
                break
            time.sleep(0.1)
        (request,) = receiver.requests
    event = Webhook(pilot["webhook_secret"]).verify(request.body, dict(request.headers))
    assert event["ledger"] == final["ledger"]
    assert system.manage("reconcile").returncode == 0
    logs = "".join(path.read_text(errors="replace") for path in (system.directory / "log").glob("*.log"))
    assert "permission denied" not in logs


@pytest.mark.parametrize(
    "sql",
    [
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SET session_replication_role = replica",
        "ALTER SYSTEM SET log_statement = 'none'",
        "CREATE TEMPORARY TABLE credit_ledger (amount int)",
        "UPDATE credit_ledger SET amount = 1",
    ],
)
def test_a_session_that_has_logged_in_as_it_can_become_nobody_else(database: OwnDatabase, sql: str) -> None:
    with psycopg.connect(database.role_url, autocommit=True) as session:
        assert session.execute("SELECT session_user").fetchone() == (database.role,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute(sql.encode())


def test_a_deployment_is_warned_at_its_start_when_it_runs_as_the_owner(database: OwnDatabase) -> None:
    assert "sora2.W001" not in started(database.role_url)
    assert "sora2.W001" in started(database.owner_url)


def started(url: str) -> str:
    """Return what a web server of a deployment says while it starts."""
    settings = {
        **{"DATABASE_URL": url, "REDIS_URL": os.environ["REDIS_URL"], "DEBUG": "0"},
        **{"SECRET_KEY": "k9" * 30, "ENCRYPTION_KEYS": Fernet.generate_key().decode()},
        **{"SEAL_SIGNING_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="},
        **{"PUBLIC_BASE_URL": "https://example.com", "PROVIDER_OPENAI_BASE_URL": "https://example.com/v1"},
    }
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            [sys.executable, "-c", "import sora2.wsgi"],
            cwd=ROOT,
            env=clean_environment(Path(folder), **settings),
            capture_output=True,
            text=True,
        )
    assert run.returncode == 0, run.stderr
    return run.stderr


@pytest.mark.long
def test_every_flow_passes_as_the_role() -> None:
    """All tests of the domains once more, each as the role but for those that are marked `owner` or `unbooked`."""
    suites = ("batches", "customers", "flows", "ledger", "pilots", "webhooks")
    run = run_as_role(*(f"tests/{suite}" for suite in suites))
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-5_000:]
