"""Slots of this machine: how many of its processes may do one kind of work at once.

A provider that answers slowly, or a receiver that hangs, must not take every worker process. A slot is a lock on a
file, which the kernel gives back when its holder dies, however it dies.
"""

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings


class Slot:
    """One slot, held until it is given back; giving it back twice does nothing."""

    def __init__(self, file: int) -> None:
        self._file: int | None = file

    def give_back(self) -> None:
        """Let another process have it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


@contextlib.contextmanager
def slot(name: str, *, of: int = 1) -> Iterator[Slot | None]:
    """Hold one of the `of` slots called `name` while the block runs, or nothing when all are taken."""
    taken = next((held for number in range(of) if (held := _take(f"{name}-{number}"))), None)
    try:
        yield taken
    finally:
        if taken is not None:
            taken.give_back()


def _take(name: str) -> Slot | None:
    # Named by a hash: what a name may hold is not the file system's business.
    path = _folder() / hashlib.sha256(name.encode()).hexdigest()[:32]
    file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    return Slot(file)


def _folder() -> Path:
    """Return this system's own folder: another system on the same machine has other slots."""
    database = settings.DATABASES["default"]
    of_this = "\n".join(str(database.get(part, "")) for part in ("HOST", "PORT", "NAME"))
    mark = hashlib.sha256(f"{settings.SORA2_DATA_DIR}\n{of_this}".encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir(), f"sora2-slots-{os.getuid()}-{mark}")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
