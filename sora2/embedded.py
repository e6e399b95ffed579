"""The embedded servers of a data directory: for who sets no DATABASE_URL or REDIS_URL, shared while they run.

One process owns a server, as its parent. Others that want the same data directory at the same time use that
server, and a command that owns it waits for them at its end.
"""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import environ

from sora2.places import EmbeddedServerError
from sora2.processes import FileLock
from sora2.servers import Postgres, Server, Valkey
from sora2.supervisor import ProgramFailed, Supervisor

__all__ = ["EmbeddedServerError", "embedded_servers", "servers_for_command"]

# A start after a crash replays what was not yet written to the tables.
START_SECONDS = 120.0
JOIN_SECONDS = 130.0
# A command that started a server lets those who joined finish before it takes the server down.
LAST_USER_SECONDS = 60.0
# These need no server, or bring their own.
COMMANDS_WITHOUT_SERVERS = frozenset(
    {"help", "version", "stack", "demo", "simulate_provider", "makemigrations", "collectstatic", "findstatic"}
    | {"startapp", "diffsettings", "verify_ledger", "verify_proof"}
)


def data_dir() -> Path:
    """Return the data directory that the environment names, before there are settings to ask."""
    default = Path(__file__).resolve().parent.parent / ".sora2"
    return Path(os.environ.get("SORA2_DATA_DIR") or default).resolve()


@contextlib.contextmanager
def embedded_servers(
    directory: Path, *, postgres: bool = True, valkey: bool = True, durable: bool = True
) -> Iterator[dict[str, str]]:
    """Have the wanted servers run, and yield their addresses as DATABASE_URL and REDIS_URL.

    Servers that another process runs already are used, and left running. Call it from the main thread. Raises
    EmbeddedServerError when a server doesn't start, with the last lines of its log.
    """
    with contextlib.ExitStack() as stack:
        yield {
            server.variable: stack.enter_context(_available(server))
            for server in chosen_servers(directory, postgres=postgres, valkey=valkey, durable=durable)
        }


def chosen_servers(directory: Path, *, postgres: bool, valkey: bool, durable: bool = True) -> list[Server]:
    """Return the wanted servers of a data directory, not started."""
    servers: list[Server] = []
    if postgres:
        servers.append(Postgres(directory, durable=durable))
    if valkey:
        servers.append(Valkey(directory, durable=durable))
    return servers


@contextlib.contextmanager
def servers_for_command(argv: Sequence[str]) -> Iterator[None]:
    """Run one management command with the servers it needs; exit with a message when they don't start.

    It sets the environment of this process, so it must come before Django's settings are imported.
    """
    with contextlib.ExitStack() as stack:
        if needs_servers(argv):
            directory = data_dir()
            stack.enter_context(_exiting_on_sigterm())
            try:
                urls = stack.enter_context(
                    embedded_servers(
                        directory,
                        postgres=not os.environ.get("DATABASE_URL"),
                        valkey=not os.environ.get("REDIS_URL"),
                    )
                )
            except (EmbeddedServerError, OSError) as error:
                raise SystemExit(f"error: {error}") from error
            _fill_environment(development_defaults(os.environ) | stack_environment(directory) | urls)
        yield


def needs_servers(argv: Sequence[str]) -> bool:
    """Say whether this command line of manage.py needs embedded servers."""
    if os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL"):
        return False
    return len(argv) > 1 and argv[1].lstrip("-") not in COMMANDS_WITHOUT_SERVERS and not {"-h", "--help"} & set(argv)


def development_defaults(environment: Mapping[str, str], url: str = "http://127.0.0.1:8000") -> dict[str, str]:
    """Return settings for a developer's machine, reached at `url`: what `environment` lacks.

    A machine whose environment names no database is a developer's, and may call webhooks on itself; one with DEBUG on
    is reached at `url` too.
    """
    embedded = not environment.get("DATABASE_URL")
    debug = environment.get("DEBUG") or ("1" if embedded else "")
    is_on = debug.lower() in environ.Env.BOOLEAN_TRUE_STRINGS
    defaults: dict[str, str] = {}
    if embedded:
        defaults["DEBUG"] = debug
    if embedded or is_on:
        defaults["PUBLIC_BASE_URL"] = url
    if embedded and is_on:
        defaults["WEBHOOK_DEV_ALLOWED_TARGETS"] = "http://127.0.0.1:*"
    return {name: value for name, value in defaults.items() if not environment.get(name)}


def stack_lock(directory: Path) -> FileLock:
    """Return the lock that a running stack holds on its data directory."""
    return FileLock(directory / "run" / "stack.lock")


def stack_file(directory: Path) -> Path:
    """Return the file in which a running stack says what it runs."""
    return directory / "stack.json"


def stack_environment(directory: Path) -> dict[str, str]:
    """Return the settings that a stack which runs on this data directory gave its own processes.

    So a command sees the same address of the web server and the same simulator as the stack.
    """
    lock = stack_lock(directory)
    if lock.acquire():
        lock.release()
        return {}
    try:
        environment = json.loads(stack_file(directory).read_text())["environment"]
    except (OSError, ValueError, KeyError):
        return {}
    return {str(name): str(value) for name, value in environment.items()}


def claim(server: Server, *, seconds: float) -> FileLock:
    """Become the one process that may start `server`. Raises EmbeddedServerError when another stays it."""
    lock = _owner_lock(server)
    deadline = time.monotonic() + seconds
    while not lock.acquire():
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"Process {lock.holder()} runs {server.name} on {server.data_dir} already: end it first."
            )
        time.sleep(0.1)
    return lock


def start(server: Server, supervisor: Supervisor) -> None:
    """Start a claimed server under `supervisor` and wait until it answers. Raises EmbeddedServerError."""
    program = server.prepare()
    try:
        supervisor.start(program)
        supervisor.until(server.answers, program=program, seconds=START_SECONDS)
    except ProgramFailed as error:
        raise EmbeddedServerError(str(error)) from error
    server.settle()


@contextlib.contextmanager
def _available(server: Server) -> Iterator[str]:
    """Start `server`, or join it where it runs already."""
    owner, users = _owner_lock(server), _users_lock(server)
    try:
        if _own_or_join(server, owner, users):
            try:
                with Supervisor() as supervisor:
                    start(server, supervisor)
                    try:
                        yield server.url
                    finally:
                        _wait_for_users(server, users)
            finally:
                server.clear()
        else:
            yield server.url
    finally:
        users.release()
        owner.release()


def _own_or_join(server: Server, owner: FileLock, users: FileLock) -> bool:
    """Return True holding `owner`, or False holding `users` while the owner's server answers.

    An owner takes all of `users` before it stops the server: whoever holds a share can rely on the server.
    """
    deadline = time.monotonic() + JOIN_SECONDS
    while time.monotonic() < deadline:
        if owner.acquire():
            return True
        if users.acquire(shared=True):
            if server.answers():
                return False
            users.release()
        time.sleep(0.1)
    raise EmbeddedServerError(
        f"Process {owner.holder()} holds {server.name} on {server.data_dir}, which doesn't answer."
    )


def _wait_for_users(server: Server, users: FileLock) -> None:
    deadline = time.monotonic() + LAST_USER_SECONDS
    told = False
    while not users.acquire() and time.monotonic() < deadline:
        if not told:
            sys.stderr.write(f"waiting for other commands that use this {server.name}\n")
            told = True
        time.sleep(0.1)


def _owner_lock(server: Server) -> FileLock:
    return FileLock(server.data_dir / "run" / f"{server.name}.lock")


def _users_lock(server: Server) -> FileLock:
    return FileLock(server.data_dir / "run" / f"{server.name}.users")


def _fill_environment(values: Mapping[str, str]) -> None:
    for name, value in values.items():
        if not os.environ.get(name):
            os.environ[name] = value


@contextlib.contextmanager
def _exiting_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end this process through its `finally` blocks, which stop the servers."""

    def leave(number: int, *_: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
