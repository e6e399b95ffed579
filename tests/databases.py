"""Databases on the server of the test run: one is migrated, and what tests and whole systems use are its copies."""

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
# The environment variable with the name of the migrated one (see tests.servers).
TEMPLATE = "SORA2_TEST_TEMPLATE"


@dataclass(frozen=True)
class OwnDatabase:
    """A migrated database, and how its owner and the restricted role get in."""

    owner_url: str
    role: str
    role_url: str


def template() -> str:
    """Return the name of the migrated database. Whoever of the workers asks first makes it."""
    name = os.environ[TEMPLATE]
    with _server() as server:
        server.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])
        if server.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            server.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
            _manage(_url(name), "migrate", "--verbosity", "0")
    return name


def drop_template() -> None:
    """Remove the migrated database, if there is one."""
    with _server() as server:
        server.execute(SQL("DROP DATABASE IF EXISTS {}").format(Identifier(os.environ[TEMPLATE])))


@contextlib.contextmanager
def copied_database() -> Iterator[str]:
    """Have a new migrated database while the block runs; yield its owner's address of it."""
    name = f"own_{secrets.token_hex(6)}"
    copy = SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template()))
    with _server() as server:
        server.execute(copy)
        try:
            yield _url(name)
        finally:
            server.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@contextlib.contextmanager
def own_database() -> Iterator[OwnDatabase]:
    """Have a new migrated database with a restricted role of its own while the block runs."""
    role, password = f"role_{secrets.token_hex(6)}", secrets.token_hex(12)
    with _server() as server:
        try:
            with copied_database() as owner_url:
                _manage(owner_url, "database_role", role)
                server.execute(SQL("ALTER ROLE {} PASSWORD {}").format(Identifier(role), Literal(password)))
                address = urlsplit(owner_url)
                role_url = address._replace(netloc=f"{role}:{password}@{address.netloc.rpartition('@')[2]}")
                yield OwnDatabase(owner_url, role, role_url.geturl())
        finally:
            server.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(role)))


def _server() -> psycopg.Connection:
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


def _url(database: str) -> str:
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}").geturl()


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
