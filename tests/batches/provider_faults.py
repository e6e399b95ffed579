"""Providers for tests, all on loopback over real sockets: our simulator in a thread, and one that misbehaves."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from batches.simulator.provider import Options
from batches.simulator.server import SimulatorServer

# What a faulty provider does with one request: bytes are sent as they are, then the connection is closed.
Answer = bytes | Callable[[socket.socket], None]


@contextlib.contextmanager
def simulator(state: Path | None = None, **options: Any) -> Iterator[SimulatorServer]:
    """Run the simulator on a free port, by default without latency; `options` are those of `Options`."""
    server = SimulatorServer("127.0.0.1", 0, Options(**{"latency_seconds": 0.0, **options}), state=state)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


class FaultyProvider:
    """Answers its requests with the given answers in turn, the last one again and again; keeps what it was sent."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.requests: list[bytes] = []
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def serve(self) -> None:
        """Take one connection after the other until closed."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def paths(self) -> list[str]:
        """Return `METHOD path` of each request."""
        return [b" ".join(request.split(b" ", 2)[:2]).decode() for request in self.requests]

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(20)
            request = _whole_request(connection)
            if not request:
                return
            self.requests.append(request)
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            if callable(answer):
                answer(connection)
            else:
                connection.sendall(answer)


@contextlib.contextmanager
def faulty(*answers: Answer) -> Iterator[FaultyProvider]:
    """Run a provider that misbehaves."""
    provider = FaultyProvider(*answers)
    thread = threading.Thread(target=provider.serve, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.close()
        thread.join(10)


def answer(status: int, body: object = b"", *, content_type: str = "application/json", **headers: str) -> bytes:
    """Return the bytes of an HTTP answer; a `body` that isn't bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"HTTP/1.1 {status} Whatever",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(content)}",
        "Connection: close",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def error(status: int, code: object, message: str = "No.", **headers: str) -> bytes:
    """Return an error of the format."""
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
    return answer(status, body, **headers)


def _whole_request(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        received = connection.recv(65536)
        if not received:
            return b""
        request += received
    head, _, body = request.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    length = int(lengths[0]) if lengths else 0
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
