"""Child programs: each in its own session, logging to a file, stopped by signals, and gone when we are gone.

Nothing here knows what the programs are. Use a child from the thread that started it, and keep that thread
alive as long as the child: Linux sends the death signal when the starting *thread* ends.
"""

import contextlib
import ctypes
import fcntl
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypedDict

PR_SET_PDEATHSIG = 1
# A log that is larger than this when its program starts is moved to NAME.log.1 first.
LOG_MAX_BYTES = 10 * 1024 * 1024
# Loaded before any fork: between fork and exec nothing but the call itself may run.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, kw_only=True)
class OsUser:
    """Whom a program runs as, by number."""

    uid: int
    gid: int


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run, as whom, and how to end it.

    `stop_signals` are tried in turn, each with the seconds it gets; what is left then is killed with its
    process group. `orphan_signal` is sent when we die without having stopped the program (Linux only).
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] | None = None
    directory: Path | None = None
    user: OsUser | None = None
    inherit: tuple[int, ...] = ()
    stop_signals: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 5.0),)
    orphan_signal: signal.Signals = signal.SIGKILL


class Child:
    """A running program."""

    def __init__(self, program: Program) -> None:
        """Start `program`; its output is appended to its log."""
        self.program = program
        self.started_at = time.monotonic()
        with _open_log(program.log) as log:
            self._popen = subprocess.Popen(
                program.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=program.environment,
                cwd=program.directory,
                pass_fds=program.inherit,
                start_new_session=True,
                preexec_fn=functools.partial(_die_with, os.getpid(), program.orphan_signal),
                **_identity(program.user),
            )

    @property
    def pid(self) -> int:
        """Its process id, which is also its process group's."""
        return self._popen.pid

    def running(self) -> bool:
        """Say whether it still runs; once it has ended, nothing of its process group is left either."""
        if self._popen.poll() is None:
            return True
        self._kill_group()
        return False

    def ending(self) -> str:
        """Say how it ended, for people: `exit status 1`, `SIGKILL`."""
        code = self._popen.returncode
        return f"exit status {code}" if code >= 0 else signal.Signals(-code).name

    @property
    def exit_status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._popen.poll()

    def wait(self) -> int:
        """Wait for its end and return its exit status."""
        return self._popen.wait()

    def stop(self) -> None:
        """End it as its program says, and wait until it is gone. Safe to call twice."""
        for stop_signal, seconds in self.program.stop_signals:
            if not self.running():
                return
            self._popen.send_signal(stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(seconds)
        self._kill_group()
        self._popen.wait()

    def _kill_group(self) -> None:
        # A leader that died may leave children that hold its port. The group's number can't be another's yet:
        # process numbers are given out in turn, and we come right after the end.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


class FileLock:
    """A lock between processes, on a file. The kernel releases it when its holder dies, in whatever way."""

    def __init__(self, path: Path) -> None:
        """Make no claim yet; `acquire` does."""
        self.path = path
        self._file: int | None = None

    def acquire(self, *, shared: bool = False) -> bool:
        """Take the lock if it is free, without waiting; `shared` holders bar only an exclusive one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        if not shared:
            os.truncate(file, 0)
            os.write(file, str(os.getpid()).encode())
        self._file = file
        return True

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not ours."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def holder(self) -> str:
        """Return the process id that took the lock last, for messages."""
        try:
            return self.path.read_text() or "unknown"
        except OSError:
            return "unknown"


def run(program: Program) -> int:
    """Run `program` to its end and return its exit status, negative for a signal."""
    child = Child(program)
    try:
        return child.wait()
    finally:
        child.stop()


def last_lines(log: Path, count: int = 15) -> str:
    """Return the end of a log file, for an error message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return "(no log)"
    return "\n".join(lines[-count:]) or "(the log is empty)"


def command_line(pid: int) -> list[str]:
    """Return the arguments of a process, or an empty list when there is none with this number."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
        except OSError:
            return []
    shown = subprocess.run(["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.split()


def _open_log(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_MAX_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")


def _identity(user: OsUser | None) -> _Identity:
    # Naming a user, even our own, is refused to everybody but root: only root may get here with one.
    return {} if user is None else {"user": user.uid, "group": user.gid, "extra_groups": []}


def _die_with(parent: int, orphan_signal: int) -> None:
    """Between fork and exec: have the kernel signal us when the parent dies.

    This must come after the change of user, which clears the setting; Popen calls us after it.
    """
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, orphan_signal)
        if os.getppid() != parent:  # It died before the call: no signal will come.
            os._exit(1)
