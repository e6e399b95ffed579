"""Slots of this machine: how many of its processes may do one kind of work at once.

A provider that answers slowly, or a receiver that hangs, must not take every worker process. A slot is a lock on a
file, which the kernel gives back when its holder dies, however it dies.
"""

import contextlib
import fcntl
import hashlib
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from django.conf import settings

# Work is done again for who came in vain, as long as it began within this time; then beat's next bell sees to it.
AGAIN_SECONDS = 30.0


class Slot:
    """One slot, held until it is given back; giving it back twice does nothing."""

    def __init__(self, file: int) -> None:
        self._file: int | None = file

    def was_wanted(self) -> bool:
        """Say whether somebody has found it taken since this was asked last: what they came for may be undone."""
        if self._file is None or os.fstat(self._file).st_size == 0:
            return False
        os.ftruncate(self._file, 0)
        return True

    def give_back(self) -> None:
        """Let another process have it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def work_in_slot(name: str, work: Callable[[Slot], object], *, of: int = 1) -> None:
    """Do some work in one of the `of` slots called `name`, and again while others came for it meanwhile.

    When all are taken, whoever has the first of them is told, and nothing else is done.
    """
    with slot(name, of=of) as ours:
        if ours is None:
            return
        until = time.monotonic() + AGAIN_SECONDS
        work(ours)
        while ours.was_wanted() and time.monotonic() < until:
            work(ours)


@contextlib.contextmanager
def slot(name: str, *, of: int = 1) -> Iterator[Slot | None]:
    """Hold one of the `of` slots called `name` while the block runs, or nothing when all are taken."""
    taken = next((held for number in range(of) if (held := _take(f"{name}-{number}"))), None)
    if taken is None:
        _leave_word(f"{name}-0")
    try:
        yield taken
    finally:
        if taken is not None:
            taken.give_back()


def _take(name: str) -> Slot | None:
    file = _open(name)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    os.ftruncate(file, 0)
    return Slot(file)


def _leave_word(name: str) -> None:
    """One byte in the file tells its holder that somebody came."""
    file = _open(name)
    try:
        os.pwrite(file, b"1", 0)
    finally:
        os.close(file)


def _open(name: str) -> int:
    # Named by a hash: what a name may hold is not the file system's business.
    path = _folder() / hashlib.sha256(name.encode()).hexdigest()[:32]
    return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _folder() -> Path:
    """Return this system's own folder on this machine: another system on it has other slots.

    With the data of an embedded system, where there are such, so that they go together.
    """
    database = settings.DATABASES["default"]
    of_this = "\n".join(str(database.get(part, "")) for part in ("HOST", "PORT", "NAME"))
    mark = hashlib.sha256(f"{settings.SORA2_DATA_DIR}\n{socket.gethostname()}\n{of_this}".encode()).hexdigest()[:16]
    data = Path(settings.SORA2_DATA_DIR)
    place = data if os.access(data, os.W_OK) else Path(tempfile.gettempdir())
    folder = place / f"sora2-slots-{os.getuid()}-{mark}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
