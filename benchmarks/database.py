"""A database of its own for a benchmark: durable as in production, gone afterwards."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

from sora2.embedded import embedded_servers


@contextlib.contextmanager
def own_database() -> Iterator[None]:
    """Start embedded servers in a temporary directory, set Django up on them, and migrate."""
    with tempfile.TemporaryDirectory(prefix="sora2-bench-") as folder, embedded_servers(Path(folder)) as urls:
        own = {"DEBUG": "1", "SORA2_DATA_DIR": folder, "LOG_LEVEL": "ERROR"}
        os.environ.update(urls | own | {"DJANGO_SETTINGS_MODULE": "sora2.settings"})
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        yield


def copied(name: str) -> str:
    """Copy the database as it now is; return the address of the copy."""
    from django.db import connection

    connection.close()
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url.replace("/sora2?", "/postgres?"), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE sora2")
    return url.replace("/sora2?", f"/{name}?")
