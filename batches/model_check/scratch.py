"""A database of its own for a check, on the server that the settings name: nobody else's is written to."""

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

from celery import Celery
from celery.app import app_or_default
from django.core.management import call_command
from django.db import connection, connections


@contextlib.contextmanager
def scratch_database() -> Iterator[str]:
    """Create and migrate a database, make it the default one, and drop it at the end; yield its name.

    All threads see it, and their bells wake no worker of a running system. Raises DatabaseError where the role may not
    create databases.
    """
    name = f"sora2_model_{uuid.uuid4().hex[:12]}"
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}"')
    try:
        with connected_to(name), _silent_bells():
            call_command("migrate", verbosity=0)
            yield name
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@contextlib.contextmanager
def connected_to(name: str) -> Iterator[None]:
    """Let every connection that is opened from now on lead to the database `name`."""
    settings = connection.settings_dict  # One for all threads.
    before = settings["NAME"]
    connections.close_all()
    settings["NAME"] = name
    try:
        yield
    finally:
        connections.close_all()
        settings["NAME"] = before


class _NobodyHears(Celery):
    """An application whose bells wake nobody."""

    def send_task(self, name: str, *_: Any, **__: Any) -> None:  # type: ignore[override]
        """Send nothing."""


@contextlib.contextmanager
def _silent_bells() -> Iterator[None]:
    """Let the threads that are started from now on ring in vain: no worker of a running system is to wake up."""
    before = app_or_default()
    _NobodyHears("check_ledger_model", fixups=[], set_as_current=False).set_default()
    try:
        yield
    finally:
        before.set_default()
