"""A database for a whole system, on the server of the test run: migrated by its owner, used by the restricted role."""

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg.sql import SQL, Identifier, Literal

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class OwnDatabase:
    """A migrated database, and how its owner and the restricted role get in."""

    owner_url: str
    role: str
    role_url: str


@contextlib.contextmanager
def own_database() -> Iterator[OwnDatabase]:
    """Have a new database with its restricted role while the block runs."""
    name, password = f"own_{secrets.token_hex(6)}", secrets.token_hex(12)
    server = urlsplit(os.environ["DATABASE_URL"])
    owner_url = server._replace(path=f"/{name}")
    role_url = owner_url._replace(netloc=f"{name}:{password}@{server.netloc.rpartition('@')[2]}")
    with psycopg.connect(server.geturl(), autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        try:
            _manage(owner_url.geturl(), "migrate", "--verbosity", "0")
            _manage(owner_url.geturl(), "database_role", name)
            connection.execute(SQL("ALTER ROLE {} PASSWORD {}").format(Identifier(name), Literal(password)))
            yield OwnDatabase(owner_url.geturl(), name, role_url.geturl())
        finally:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
            connection.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(name)))


def _manage(url: str, *arguments: str) -> None:
    with tempfile.TemporaryDirectory(prefix="sora2-own-") as folder:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url, "DEBUG": "1", "SORA2_DATA_DIR": folder},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout + done.stderr
