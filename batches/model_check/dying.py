"""Let a worker die in the middle: its connection to the database is really cut, and it runs no further."""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection, connections

from batches.model_check.plan import Death

# The server ends a cut session at once; this is for a machine that is very busy.
GONE_SECONDS = 30.0


class Died(BaseException):
    """This worker is dead. Not an Exception: nothing that goes on after errors goes on after this."""


@contextlib.contextmanager
def dying(death: Death | None) -> Iterator[None]:
    """Run the block until its death, if it is to die; then Died is raised, when the server has ended the session.

    Raises nothing where the block makes fewer statements than that.
    """
    if death is None:
        yield
        return
    try:
        with connection.execute_wrapper(_Countdown(death)):
            yield
    except Died:
        connection.close()
        # The next one to work in this thread gets a new one.
        del connections[connection.alias]
        raise


class _Countdown:
    """Counts statements as Django sends them, and cuts the connection around the last one."""

    def __init__(self, death: Death) -> None:
        self.death = death
        self.statements = 0
        self.is_due = self.is_dead = False

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if self.is_dead:
            return execute(sql, params, many, context)  # Django tries to roll back, and is told what has happened.
        self.statements += 1
        if self.is_due or (self.statements == self.death.statement and not self.death.after):
            self.die()
        result = execute(sql, params, many, context)
        if self.statements == self.death.statement:
            # Outside of a transaction the statement is committed, and whoever sent it may still learn its result.
            self.is_due = True
            if connection.in_atomic_block:
                self.die()
        return result

    def die(self) -> None:
        self.is_dead = True
        _cut(hangs_up=self.death.hangs_up)
        raise Died


def _cut(*, hangs_up: bool) -> None:
    """End this thread's session, and wait until the server has rolled it back."""
    raw = connection.connection
    assert raw is not None  # noqa: S101 - a statement is just being sent on it.
    pid = raw.info.backend_pid
    with contextlib.closing(connection.copy()) as other, other.cursor() as cursor:
        if hangs_up:
            with socket.socket(fileno=os.dup(raw.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)
        else:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        until = time.monotonic() + GONE_SECONDS
        while True:
            cursor.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid])
            if cursor.fetchone() is None:
                return
            if time.monotonic() > until:
                raise TimeoutError(f"session {pid} was cut, and is still there")
            time.sleep(0.002)
