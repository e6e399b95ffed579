"""Whether a downloaded file is the clip that was ordered: found out in a child process that may crash.

Starting a child costs more than looking into ten clips, so children are kept: a few per process, each for one
clip at a time. They end with their parent, since their stdin ends.
"""

import atexit
import base64
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("media_worker.py")
CHILDREN = 2
PROBE_SECONDS = 20.0
START_SECONDS = 30.0
# A child is replaced after this many clips, so that what a C library leaks doesn't add up.
CLIPS_PER_CHILD = 500
MAX_ANSWER_BYTES = 4 * 1024 * 1024
# All that the child is told of its surroundings: where programs and shared libraries are. No secrets.
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG")


@dataclass(frozen=True)
class Clip:
    """A clip that plays as ordered."""

    duration_seconds: float
    width: int
    height: int


class Unplayable(Exception):
    """The file doesn't play as ordered; `detail` is for operators."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class ProbeUnavailable(Exception):
    """Nobody could look into the clip: the fault is ours and says nothing about it, so try again later."""


def probe(path: Path, *, expected_seconds: float, poster: Path) -> Clip:
    """Look into the MP4 at `path`, and write its first frame to `poster`: a JPEG, at most 640 pixels wide.

    Its duration may differ by half a second or a tenth, whichever is more. Raises Unplayable,
    ProbeUnavailable. Safe to call from several threads and after a fork.
    """
    answer = _pool.ask({"path": str(path.resolve()), "expected_seconds": expected_seconds})
    if "broken" in answer:
        raise ProbeUnavailable(str(answer["broken"]))
    if "unplayable" in answer:
        raise Unplayable(str(answer["unplayable"]))
    poster.write_bytes(base64.b64decode(answer["poster"]))
    return Clip(float(answer["duration_seconds"]), int(answer["width"]), int(answer["height"]))


class _Crashed(Exception):
    """The child ended without an answer."""


class _Child:
    """One child process, used by one thread at a time."""

    def __init__(self) -> None:
        self.clips = 0
        try:
            self._process = _start()
        except OSError as error:
            raise ProbeUnavailable("the media worker could not be started") from error
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101 (told to mypy: it is a pipe)
        assert stdout is not None  # noqa: S101 (the same)
        self._to_child, self._from_child = stdin.fileno(), stdout.fileno()
        try:
            self._read_line(START_SECONDS)
        except (_Crashed, Unplayable) as error:
            self.end()
            raise ProbeUnavailable("the media worker did not get ready") from error

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def usable(self) -> bool:
        return self._process.poll() is None and self.clips < CLIPS_PER_CHILD

    def ask(self, request: dict[str, object]) -> dict[str, Any]:
        """Return the answer. Raises _Crashed, or Unplayable if none came in time; then it must be ended."""
        self.clips += 1
        try:
            os.write(self._to_child, json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise _Crashed from error
        return self._read_line(PROBE_SECONDS)

    def end(self) -> None:
        """Kill the process and wait for it."""
        self._process.kill()
        self._process.communicate()

    def _read_line(self, seconds: float) -> dict[str, Any]:
        until = time.monotonic() + seconds
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._from_child, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, until - time.monotonic())) or len(line) > MAX_ANSWER_BYTES:
                    raise Unplayable(f"could not be read within {seconds:g} s")
                read = os.read(self._from_child, 65536)
                if not read:
                    raise _Crashed
                line += read
        answer: dict[str, Any] = json.loads(line)
        return answer


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", str(WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
        cwd="/",
        start_new_session=True,
    )


class _Pool:
    """Up to CHILDREN children, started when they are needed."""

    def __init__(self) -> None:
        self._slots = threading.BoundedSemaphore(CHILDREN)
        self._lock = threading.Lock()
        self._idle: list[_Child] = []

    def ask(self, request: dict[str, object]) -> dict[str, Any]:
        """Return a child's answer. Raises Unplayable, ProbeUnavailable.

        A crash may not have been the clip's fault (memory was short, somebody killed the child), so it has a
        second try; a second crash is.
        """
        try:
            return self._ask_once(request)
        except _Crashed:
            pass
        try:
            return self._ask_once(request)
        except _Crashed:
            raise Unplayable("crashes the decoder") from None

    def close(self) -> None:
        """End the children that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.end()

    def _ask_once(self, request: dict[str, object]) -> dict[str, Any]:
        with self._slots:
            child = self._take()
            try:
                answer = child.ask(request)
            except BaseException:
                child.end()
                raise
            with self._lock:
                self._idle.append(child)
            return answer

    def _take(self) -> _Child:
        with self._lock:
            child = self._idle.pop() if self._idle else None
        if child is not None and child.usable:
            return child
        if child is not None:
            child.end()
        return _Child()


_pool = _Pool()


def _after_fork() -> None:
    """A forked worker starts with children of its own: two processes can't share one line to a child."""
    global _pool
    _pool = _Pool()


def _at_exit() -> None:
    _pool.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
