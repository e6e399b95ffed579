"""Providers for tests, all on loopback over real sockets: our simulator in a thread, and one that plays answers."""

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batches.providers import JobRequest
from batches.providers.openai_videos import BodyFormat, OpenAIVideos
from batches.simulator.provider import Options
from batches.simulator.server import SimulatorServer

NOW = datetime(2026, 1, 24, 10, 0, tzinfo=UTC)
KEY = "sk-very-secret-key"
MB = 1024 * 1024
# For how long a test waits for each step, in seconds: on a busy machine an answer may be late.
PATIENT = 20.0
# Where nothing comes, or only drips: a test of silences must not take long.
IMPATIENT = 1.0

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
    """Answers each request with what `play` returns for it; keeps what it was sent."""

    def __init__(self, play: Callable[[bytes], Answer]) -> None:
        self._play = play
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
            answer = self._play(request)
            if callable(answer):
                answer(connection)
            else:
                connection.sendall(answer)


@contextlib.contextmanager
def faulty(*answers: Answer) -> Iterator[FaultyProvider]:
    """Run a provider that gives these answers in turn, the last one again and again."""
    left = list(answers)
    with playing(lambda _: left.pop(0) if len(left) > 1 else left[0]) as provider:
        yield provider


@contextlib.contextmanager
def playing(play: Callable[[bytes], Answer]) -> Iterator[FaultyProvider]:
    """Run a provider that answers each request (its bytes) with what `play` returns."""
    provider = FaultyProvider(play)
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


def path_of(request: bytes) -> str:
    """Return the path of a request, with its query."""
    return request.split(b" ", 2)[1].decode()


def reset(connection: socket.socket) -> None:
    """Reset the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silence(connection: socket.socket) -> None:
    """Never say a word."""
    with contextlib.suppress(OSError):
        connection.recv(1)  # Returns when the client hangs up.


def drip(connection: socket.socket) -> None:
    """Send a long body, byte by byte."""
    _drip(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")


def drip_header(connection: socket.socket) -> None:
    """Send a header that never ends, byte by byte."""
    _drip(connection, b"HTTP/1.1 200 OK\r\nX-Drip: ")


def request(prompt: str = "A cat playing piano", *, model: str = "sora-2", size: str = "1280x720") -> JobRequest:
    """Return what the engine asks a provider for."""
    return JobRequest(model=model, prompt=prompt, seconds=4, size=size, client_id="itm_1.1")


def openai(
    base_url: str, key: str = KEY, body_format: BodyFormat = "json", *, patience: float = PATIENT
) -> OpenAIVideos:
    """Return the adapter for the OpenAI Videos format, which waits so many seconds, for a file twice as long."""
    return OpenAIVideos(
        base_url,
        key,
        body_format=body_format,
        connect_timeout_seconds=patience,
        submit_timeout_seconds=patience,
        read_timeout_seconds=patience,
        download_timeout_seconds=2 * patience,
    )


def video(job_id: str, status: object = "completed", **more: object) -> dict[str, object]:
    """Return a `video` object of the OpenAI Videos format."""
    return {
        "id": job_id,
        "object": "video",
        "created_at": int(NOW.timestamp()),
        "model": "sora-2",
        "prompt": "A cat",
        "seconds": "4",
        "size": "1280x720",
        "status": status,
        "error": None,
        **more,
    }


def _drip(connection: socket.socket, beginning: bytes) -> None:
    connection.sendall(beginning)
    with contextlib.suppress(OSError):
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.05)


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
