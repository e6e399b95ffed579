"""HTTP connections that end at a deadline, whatever the other side does, and whose answers have a whole head.

Socket timeouts start anew with each byte that drips in, and bound neither headers nor the framing of chunks. So
one thread of the process watches the calls under way, and shuts the socket of one that is past its deadline.
"""

import contextlib
import functools
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from http.client import HTTPResponse, RemoteDisconnected
from typing import Any, BinaryIO

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

# A call may overrun its deadline by this much.
WATCH_SECONDS = 0.05


class Call:
    """One call's deadline, and a handle on its socket by which another thread can end it."""

    def __init__(self, started: float, deadline_seconds: float) -> None:
        self.started = started
        self.ends_at = started + deadline_seconds
        self.is_cut = False
        # The connection had served before, and nothing of an answer has come: it may have been closed while idle.
        self.is_reused = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def remaining_seconds(self) -> float:
        return max(self.ends_at - time.monotonic(), 0.001)

    def hold(self, sock: socket.socket, *, is_reused: bool) -> None:
        """Take hold of the connection that this call uses; the first one counts."""
        with self._lock:
            if self._socket is not None:
                return
            # A duplicate, because TLS takes the original over: shutting either down ends the connection.
            self._socket = socket.socket(fileno=os.dup(sock.fileno()))
            self.is_reused = is_reused
        if self.is_cut:
            self.cut()

    def cut(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            self.is_cut = True
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        with self._lock:
            if self._socket is not None:
                self._socket.close()


# Set while a thread is inside a call; connections find their call here, as urllib3 hands nothing through.
current_call: ContextVar[Call] = ContextVar("current_call")


@contextlib.contextmanager
def watching(call: Call) -> Iterator[None]:
    """End `call` at its deadline. Cutting looks like any trouble, even like a whole answer: ask `is_cut`."""
    token = current_call.set(call)
    try:
        with _watchdog().watching(call):
            yield
    finally:
        call.release()
        current_call.reset(token)


class _Lines:
    """The lines of an answer's head as they are read; `last` is the latest one."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.last = b""

    def readline(self, limit: int = -1) -> bytes:
        self.last = self._stream.readline(limit)
        return self.last

    def close(self) -> None:
        self._stream.close()


class _HTTPResponse(HTTPResponse):
    """Refuses an answer that breaks off in its head, which its base takes for whole: `HTTP/1.1 200` would be a success.

    Waits for the final answer, too: to its base all interim ones (1xx) are final but 100, and what follows them would
    be the answer to the next request.
    """

    def begin(self) -> None:
        stream = self.fp
        lines = _Lines(stream)
        self.fp: Any = lines
        try:
            while self.headers is None:
                super().begin()
                if lines.last not in (b"\r\n", b"\n"):
                    current_call.get().is_reused = False
                    raise RemoteDisconnected("The answer broke off in its head.")
                if self.status < 200:
                    self.headers: Any = None
        finally:
            if self.fp is lines:
                self.fp = stream


class _HTTPConnection(HTTPConnection):
    """Puts its socket into the hands of the call that uses it, from the moment it is connected."""

    response_class = _HTTPResponse

    def _new_conn(self) -> socket.socket:
        call = current_call.get()
        # Time spent before, on DNS for one, is not given to connecting again.
        self.timeout = min(self.timeout or call.remaining_seconds(), call.remaining_seconds())
        sock = super()._new_conn()
        call.hold(sock, is_reused=False)
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            current_call.get().hold(self.sock, is_reused=True)
        super().request(*args, **kwargs)


class _HTTPSConnection(_HTTPConnection, HTTPSConnection):
    """The same, before the TLS handshake."""


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


# For a PoolManager's `pool_classes_by_scheme`; its connections can be used inside `watching` only.
POOL_CLASSES = {"http": _HTTPPool, "https": _HTTPSPool}


class _Watchdog(threading.Thread):
    """Cuts every call that is past its deadline."""

    def __init__(self) -> None:
        super().__init__(name="deadlines", daemon=True)
        self._calls: set[Call] = set()
        self._changed = threading.Condition()
        self.start()

    @contextlib.contextmanager
    def watching(self, call: Call) -> Iterator[None]:
        with self._changed:
            self._calls.add(call)
            if len(self._calls) == 1:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._calls.discard(call)

    def run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._calls)
                late = [call for call in self._calls if call.ends_at <= time.monotonic()]
            for call in late:
                call.cut()
            time.sleep(WATCH_SECONDS)


_creating = threading.Lock()


def _watchdog() -> _Watchdog:
    with _creating:
        return _watchdog_of_process(os.getpid())


@functools.lru_cache(maxsize=1)
def _watchdog_of_process(_id: int) -> _Watchdog:
    """Make a new watchdog after a fork: its parent's threads are not the child's."""
    return _Watchdog()
