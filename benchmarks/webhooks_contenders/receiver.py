"""A receiver of webhooks in a process of its own: it answers at once, or never, and keeps what came.

What is posted to a path below /hang is not answered before `release`. GET is for whoever measures. Beside the standard
library it imports nothing, and it parses no more than it must: so it is no bottleneck.
"""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HANGS = "/hang/"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
LOOK_SECONDS = 0.05
CONTROL_SECONDS = 30.0
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Arrival:
    """One post as it came: a Unix time, the path, the headers with names in lower case, and the exact body."""

    at: float
    path: str
    headers: Mapping[str, str]
    body: str


class Receiver:
    """The receiver, for whoever measures."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Wait until `process` says on which port of loopback it listens."""
        assert process.stdout is not None
        self.pid = process.pid
        self.root = f"http://127.0.0.1:{int(process.stdout.readline())}"

    def count(self) -> int:
        """Return how many posts have come."""
        return int(self._ask("count"))

    def arrivals(self) -> list[Arrival]:
        """Return what has come, in that order."""
        return [Arrival(at, path, _headers(head), body) for at, path, head, body in self._ask("arrivals")]

    def forget(self) -> None:
        """Forget what has come, and let hang from now on what is to."""
        self._ask("forget")

    def release(self) -> None:
        """Answer what hangs, and at once whatever comes after."""
        self._ask("release")

    def wait_for(self, count: int, *, seconds: float) -> None:
        """Wait until so many posts have come."""
        end = time.monotonic() + seconds
        while (came := self.count()) < count:
            assert time.monotonic() < end, f"{came} of {count} came within {seconds:.0f} s"
            time.sleep(LOOK_SECONDS)

    def _ask(self, what: str) -> Any:
        with urllib.request.urlopen(f"{self.root}/{what}", timeout=CONTROL_SECONDS) as answer:  # noqa: S310 - http.
            return json.load(answer)


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver."""
    command = [sys.executable, "-m", __name__]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None
        try:
            yield Receiver(process)
        finally:
            process.stdin.close()  # Its end, in whatever way we end.


def _headers(head: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in head.split("\r\n")[1:])
    return {name.lower(): value.strip() for name, _, value in pairs}


# --- its process --------------------------------------------------------------------------------------------


class _Book:
    """What came, and who waits for an answer."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[float, str, str, str]] = []
        self.hanging: list[asyncio.WriteTransport] = []
        self.hangs = True

    def command(self, what: str) -> object:
        if what == "forget":
            self.arrivals, self.hangs = [], True
        if what == "release":
            self.hangs = False
            for transport in self.hanging:
                transport.write(ANSWER % (0, b""))
            self.hanging = []
        return self.arrivals if what == "arrivals" else len(self.arrivals)


class _Conversation(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self, book: _Book) -> None:
        self._book, self._buffer = book, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if end and len(body) >= int(length[1] if length else 0):
            self._buffer = b""
            self._answer(head.decode("latin-1"), body.decode())

    def _answer(self, head: str, body: str) -> None:
        method, path, _ = head.split(" ", 2)
        if method == "GET":
            told = json.dumps(self._book.command(path[1:])).encode()
            self._transport.write(ANSWER % (len(told), told))
            return
        self._book.arrivals.append((time.time(), path, head, body))
        if self._book.hangs and path.startswith(HANGS):
            self._book.hanging.append(self._transport)
        else:
            self._transport.write(ANSWER % (0, b""))


async def _serve() -> None:
    """Serve until stdin ends."""
    loop, book = asyncio.get_running_loop(), _Book()
    server = await loop.create_server(lambda: _Conversation(book), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
