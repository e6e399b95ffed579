"""The whole system on one machine, under one supervisor: servers, simulator, worker, beat and web."""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from sora2 import embedded
from sora2.parts import Parts
from sora2.places import EmbeddedServerError
from sora2.servers import Server
from sora2.supervisor import Report, Stopped, Supervisor, silent

READY_SECONDS = 120.0
# A command that is about to end may own this directory's servers; more patience would look like hanging.
CLAIM_SECONDS = 15.0
TEND_SECONDS = 0.2
BACKLOG = 2048


class StackError(Exception):
    """The stack can't run; the message says why and what to do."""


@contextlib.contextmanager
def running_stack(
    *, port: int = 8000, workers: int = 6, directory: Path | None = None, report: Report = silent
) -> Iterator["Stack"]:
    """Run the whole system while the block runs; `port=0` takes a free one.

    The block starts when web and worker answer. `report` gets one line for each thing worth telling, from
    another thread. Raises StackError when the stack can't start; nothing is left running then.
    """
    directory = (directory or embedded.data_dir()).resolve()
    with contextlib.ExitStack() as held:
        _claim_directory(directory, held)
        listener = held.enter_context(_listen(port))
        servers = _claim_servers(directory, held)
        stack = Stack(directory=directory, servers=servers, listener=listener, workers=workers, report=report)
        held.callback(stack.stop)
        stack.start()
        yield stack


class Stack:
    """What `running_stack` runs: the web server listens at `url`, all parts run with `environment`.

    One thread of its own starts, tends and stops the programs, because Linux ties their lives to the thread
    that started them.
    """

    def __init__(
        self, *, directory: Path, servers: list[Server], listener: socket.socket, workers: int, report: Report
    ) -> None:
        """Start nothing yet. The caller has claimed `servers` and bound `listener`."""
        port: int = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._directory = directory
        self._servers = servers
        self._listener = listener
        self._workers = workers
        self._report = report
        self._simulator_port = None if os.environ.get("PROVIDER_SIMULATOR_BASE_URL") else _free_port()
        self._additions = self._defaults()
        self.environment = dict(os.environ) | self._additions
        self._parts = Parts(directory=directory, environment=self.environment, port=port)
        self._stop = threading.Event()
        self._ready_or_over = threading.Event()
        self._over = threading.Event()
        self._error: Exception | None = None
        self._supervisor = Supervisor(report=report, changed=self._write_file, stop=self._stop)
        self._thread = threading.Thread(target=self._run, name="supervisor")

    def start(self) -> None:
        """Start all parts and return when web and worker answer. Raises StackError when they don't."""
        self._thread.start()
        self._ready_or_over.wait()
        self._raise_error()

    def wait(self) -> None:
        """Block until the stack is over. Raises StackError when it ended by itself."""
        # Not join(): up to Python 3.12, a signal handler that raises during one makes the next return at once.
        self._over.wait()
        self._raise_error()

    def stop(self) -> None:
        """Stop all parts and return when nothing is left, within 30 seconds."""
        self._stop.set()
        if self._thread.ident is not None:
            self._over.wait()
            self._thread.join()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise StackError(str(self._error)) from self._error

    def _run(self) -> None:
        try:
            with self._supervisor:
                try:
                    self._start_parts()
                    self._ready_or_over.set()
                    while not self._stop.wait(TEND_SECONDS):
                        self._supervisor.tend()
                finally:
                    self._report("stopping")
                    # Nobody new gets in from here on: gunicorn's copy of the socket goes with gunicorn.
                    self._listener.close()
        except Stopped:
            pass
        except Exception as error:
            self._error = error
        finally:
            embedded.stack_file(self._directory).unlink(missing_ok=True)
            self._ready_or_over.set()
            self._over.set()

    def _start_parts(self) -> None:
        """Start in the order of need; the supervisor stops in the opposite order."""
        for server in self._servers:
            self._report(f"starting {server.name}")
            embedded.start(server, self._supervisor)
        self._report("migrating the database")
        self._supervisor.run(self._parts.migrate())
        self._report("starting simulator, worker, beat and web")
        if self._simulator_port is not None:
            self._supervisor.start(self._parts.simulator(self._simulator_port))
        worker, web = self._parts.worker(self._workers), self._parts.web(self._listener)
        for program in (worker, self._parts.beat(), web):
            self._supervisor.start(program)
        self._supervisor.until(self._parts.web_ready, program=web, seconds=READY_SECONDS)
        self._supervisor.until(self._parts.worker_ready, program=worker, seconds=READY_SECONDS)

    def _defaults(self) -> dict[str, str]:
        """Return what the environment lacks, all of it safe to show."""
        defaults = {"DJANGO_SETTINGS_MODULE": "sora2.settings", "SORA2_DATA_DIR": str(self._directory)}
        defaults |= {server.variable: server.url for server in self._servers}
        defaults |= embedded.development_defaults(os.environ, self.url)
        if self._simulator_port is not None:
            defaults["PROVIDER_SIMULATOR_BASE_URL"] = f"http://127.0.0.1:{self._simulator_port}/v1"
        return defaults

    def _write_file(self) -> None:
        """Say for operators, tests and commands what runs; embedded.stack_environment reads it."""
        told = {
            "url": self.url,
            "pid": os.getpid(),
            "pids": self._supervisor.pids(),
            "environment": self._additions,
        }
        path = embedded.stack_file(self._directory)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(told, indent=1) + "\n")
        unfinished.replace(path)


def _claim_directory(directory: Path, held: contextlib.ExitStack) -> None:
    lock = embedded.stack_lock(directory)
    if not lock.acquire():
        raise StackError(
            f"Process {lock.holder()} runs a stack on {directory} already: end that, or set SORA2_DATA_DIR."
        )
    held.callback(lock.release)


def _claim_servers(directory: Path, held: contextlib.ExitStack) -> list[Server]:
    servers = embedded.chosen_servers(
        directory, postgres=not os.environ.get("DATABASE_URL"), valkey=not os.environ.get("REDIS_URL")
    )
    for server in servers:
        try:
            held.callback(embedded.claim(server, seconds=CLAIM_SECONDS).release)
            held.callback(server.clear)
        except EmbeddedServerError as error:
            raise StackError(str(error)) from error
    return servers


def _listen(port: int) -> socket.socket:
    try:
        listener = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
    except OSError as error:
        raise StackError(f"Port {port}: {os.strerror(error.errno or 0)}. Choose another with --port.") from error
    # A connection inherits it. Who comes before gunicorn is up would otherwise wait 40 ms for each answer.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
