"""Where files are kept: Django's default storage, and what is asked of it beside saving, listing and deleting.

There are two: the files of a directory, here, and the objects of a bucket in batches.object_storage, which the settings
choose.
"""

import contextlib
import os
from pathlib import Path
from typing import Protocol, cast

from django.core.files import File
from django.core.files.storage import FileSystemStorage, default_storage


class Part(Protocol):
    """Bytes of a stored file, read as they are wanted. Closing gives back what it holds."""

    def read(self, amount: int, /) -> bytes:
        """Return up to `amount` bytes, or none at the end."""
        ...

    def close(self) -> None: ...


class Store(Protocol):
    """A storage that reads parts of a file without the rest of it. Memory never grows with a file."""

    def keep(self, name: str, path: Path, /) -> str:
        """Store a copy of a local file and return its name: a free one, since nothing is ever overwritten."""
        ...

    def size(self, name: str, /) -> int:
        """Return the file's bytes. Raises FileNotFoundError."""
        ...

    def part(self, name: str, *, first: int, length: int) -> Part:
        """Open `length` bytes from `first` on, which are in the file. Raises FileNotFoundError."""
        ...

    def signed_url(self, name: str, *, seconds: int, content_type: str, filename: str) -> str | None:
        """Return an address that gives anybody the file for so long, or None where the storage has no addresses."""
        ...

    def names_in(self, folder: str, /) -> list[str]:
        """Return the names of the files in a folder; none when there is no such folder."""
        ...

    def delete(self, name: str, /) -> None:
        """Delete a file; one that is not there is no error."""
        ...


def store() -> Store:
    """Return the storage that the settings choose."""
    return cast(Store, default_storage)


class FileStorage(FileSystemStorage):
    """The files below MEDIA_ROOT. What was saved is on the disk, also if the machine fails the next moment."""

    def keep(self, name: str, path: Path) -> str:
        """Store a copy of a local file and return its name."""
        with path.open("rb") as source:
            return self.save(name, File(source))

    def part(self, name: str, *, first: int, length: int) -> Part:  # noqa: ARG002 - a reader stops where it likes.
        """Open the file at `first`. Raises FileNotFoundError."""
        file = Path(self.path(name)).open("rb")  # noqa: SIM115 - the reader closes it.
        file.seek(first)
        return file

    def signed_url(self, name: str, *, seconds: int, content_type: str, filename: str) -> None:
        """Return None: whoever wants an address makes one of the web server's."""

    def names_in(self, folder: str) -> list[str]:
        """Return the names of the files in a folder; none when there is no such folder."""
        try:
            _, files = self.listdir(folder)
        except FileNotFoundError:
            return []
        return [f"{folder}/{name}" for name in files]

    def delete(self, name: str) -> None:
        """Delete a file, and its folder with the last one."""
        super().delete(name)
        folder = os.path.dirname(name)
        if folder:
            with contextlib.suppress(OSError):  # There are other files in it, or it is gone already.
                os.rmdir(self.path(folder))

    def _save(self, name: str, content: "File[bytes]") -> str:
        saved: str = super()._save(name, content)  # type: ignore[misc]  # Django's stubs leave it out.
        path, root = Path(self.path(saved)), Path(self.path(""))
        _sync(path)
        for folder in path.parents:
            if folder.is_relative_to(root):
                with contextlib.suppress(OSError):  # Not every file system takes it of a folder.
                    _sync(folder)
        return saved


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
