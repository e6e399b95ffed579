"""The promise is PostgreSQL 15 and later: the embedded server is 18, so here everything runs on a real 15."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sora2 import embedded
from sora2.processes import OsUser
from sora2.servers import Postgres
from sora2.supervisor import Supervisor
from tests.flows.system import run_as_role
from tests.programs import lacking

pytestmark = pytest.mark.long

# Where Debian, Red Hat and Homebrew put it.
PLACES = ("/usr/lib/postgresql/15/bin", "/usr/pgsql-15/bin", "/opt/homebrew/opt/postgresql@15/bin")


class Postgres15(Postgres):
    """The machine's PostgreSQL 15, started as the embedded server is: in a directory of its own, on a socket only."""

    def binaries(self, user: OsUser | None) -> Path:  # noqa: ARG002 - anybody may run these.
        """See Postgres."""
        return found()


def found() -> Path:
    """Return the directory of its programs."""
    for place in map(Path, PLACES):
        if (place / "initdb").exists():
            return place
    lacking(f"There is no PostgreSQL 15 in {', '.join(PLACES)}: install the package postgresql-15.")


@pytest.fixture
def postgresql_15() -> Iterator[str]:
    found()
    with tempfile.TemporaryDirectory(prefix="sora2-pg15-") as folder, contextlib.ExitStack() as held:
        server = Postgres15(Path(folder), durable=False)
        held.callback(server.clear)
        embedded.start(server, held.enter_context(Supervisor()))
        yield server.url


def test_the_ledger_and_the_flows_hold_on_postgresql_15_as_the_restricted_role(postgresql_15: str) -> None:
    with psycopg.connect(postgresql_15) as session:
        assert session.info.server_version // 10_000 == 15
    run = run_as_role("tests/ledger", "tests/flows", DATABASE_URL=postgresql_15)
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-5_000:]
