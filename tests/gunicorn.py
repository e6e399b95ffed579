"""gunicorn as the Procfile runs it, for what is only true with a real server: its processes, threads and sockets."""

import contextlib
import http.client
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from sora2.parts import PROJECT_DIR
from sora2.processes import Child, Program, last_lines

START_SECONDS = 120.0


@dataclass(frozen=True)
class Gunicorn:
    """A running server: its first process, and its port on 127.0.0.1."""

    pid: int
    port: int

    def workers(self) -> list[psutil.Process]:
        """Return its worker processes."""
        return psutil.Process(self.pid).children()

    def answers(self, host: str) -> bool:
        """Say whether it serves."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        try:
            connection.request("GET", "/readyz", headers={"Host": host})
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@contextlib.contextmanager
def gunicorn(
    log: Path, environment: Mapping[str, str], *, processes: int, host: str = "127.0.0.1"
) -> Iterator[Gunicorn]:
    """Run a server while the block runs, which starts when it answers at `host`; `environment` comes to our own."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        # gunicorn sets it too, but too late for a connection that came before.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        size = ("--worker-class", "gthread", "--workers", str(processes), "--threads", "8", "--keep-alive", "75")
        bind = ("--bind", f"fd://{listener.fileno()}", "--no-control-socket", "--log-level", "warning")
        program = Program(
            name="web",
            argv=(sys.executable, "-m", "gunicorn", "sora2.wsgi", *size, *bind),
            log=log,
            environment={**os.environ, **environment},
            directory=PROJECT_DIR,
            inherit=(listener.fileno(),),
        )
        child = Child(program)
        try:
            running = Gunicorn(child.pid, listener.getsockname()[1])
            until = time.monotonic() + START_SECONDS
            while not running.answers(host):
                assert child.running(), last_lines(program.log)
                assert time.monotonic() < until, last_lines(program.log)
                time.sleep(0.1)
            yield running
        finally:
            child.stop()
