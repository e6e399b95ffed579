"""Pytest plugin: the tests do everything as the restricted role that `manage.py database_role` makes.

Loaded where SORA2_TEST_ROLE is set. A test marked `owner` or `unbooked` stays the tables' owner: it does, or sets up,
what the role may not.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.backends.signals import connection_created
from psycopg.sql import SQL, Identifier
from pytest_django.plugin import DjangoDbBlocker

from tests.conftest import uses_database

# The role that new connections take on; none outside the tests that run as it.
_active: list[str] = []


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Make the role as a deployment does, and let new connections take it on while a test runs as it."""

    def take_on(connection: Any, **_: object) -> None:
        if _active and connection.alias == "default":
            _set_role(connection)

    with django_db_blocker.unblock():
        call_command("database_role", _role())
    connection_created.connect(take_on)
    yield
    connection_created.disconnect(take_on)
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(Identifier(_role())))


@pytest.fixture(autouse=True)
def _as_role(request: pytest.FixtureRequest) -> Iterator[None]:
    """Be the role from here to the end of the test; what the database was before and after it is the owner's."""
    node = request.node
    if not uses_database(request) or node.get_closest_marker("owner") or node.get_closest_marker("unbooked"):
        yield
        return
    request.getfixturevalue("transactional_db" if "transactional_db" in request.fixturenames else "db")
    _active.append(_role())
    _set_role(connection)
    yield
    _active.clear()
    if not connection.in_atomic_block:  # Else the end of the transaction takes the role back.
        connection.close()


@contextlib.contextmanager
def as_owner() -> Iterator[None]:
    """Be the tables' owner for a moment, in a test that may run as the role."""
    if not _active:
        yield
        return
    role = _active.pop()
    with connection.cursor() as cursor:
        cursor.execute("RESET SESSION AUTHORIZATION")
    yield
    _active.append(role)
    _set_role(connection)


def _role() -> str:
    # Roles belong to the whole server, and test workers have databases of their own on it.
    return f"{connection.settings_dict['NAME']}_role"


def _set_role(connection: Any) -> None:
    with connection.cursor() as cursor:
        # Not SET ROLE: a superuser who has taken on a role may still take on any other.
        cursor.execute(SQL("SET SESSION AUTHORIZATION {}").format(Identifier(_active[0])))
