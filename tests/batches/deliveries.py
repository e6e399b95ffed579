"""A provider whose jobs are done at once, and whose deliveries are whatever a test wants, byte by byte."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# A delivery: the headers of the answer besides its status, and the bytes that are sent before the connection ends.
Delivery = tuple[dict[str, str], bytes]


def whole(content: bytes) -> Delivery:
    """Deliver these bytes as they should be."""
    return {"Content-Length": str(len(content))}, content


def cut_short(content: bytes, *, announced: int) -> Delivery:
    """Announce more bytes than arrive."""
    return {"Content-Length": str(announced)}, content


def chunked(content: bytes, *, ends: bool = True) -> Delivery:
    """Deliver without a length: in chunks, of which the last one may be missing."""
    data = b"%x\r\n%s\r\n" % (len(content), content) if content else b""
    return {"Transfer-Encoding": "chunked"}, data + b"0\r\n\r\n" * ends


def unmeasured(content: bytes) -> Delivery:
    """Deliver without a length: the end of the connection is the end of the file."""
    return {"Connection": "close"}, content


class DeliveringProvider:
    """Answers with its deliveries in turn, with the last one again and again."""

    def __init__(self, *deliveries: Delivery) -> None:
        self._deliveries = list(deliveries)
        self._jobs: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def jobs(self) -> int:
        """How many jobs were ordered."""
        return len(self._jobs)

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.02)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def order(self, wanted: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            job = {**wanted, "id": f"video_{len(self._jobs)}", "object": "video", "created_at": int(time.time())}
            self._jobs.append({**job, "status": "completed", "progress": 100})
            return {**job, "status": "queued", "progress": 0}

    def asked(self, path: str) -> dict[str, Any]:
        with self._lock:
            if path.startswith("/v1/videos/"):
                return next(job for job in self._jobs if path.endswith(f"/{job['id']}"))
            return {"object": "list", "data": self._jobs[::-1], "has_more": False}

    def delivery(self) -> Delivery:
        with self._lock:
            return self._deliveries.pop(0) if len(self._deliveries) > 1 else self._deliveries[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._say({"Content-Type": "application/json"}, provider.order(wanted))

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if not path.endswith("/content"):
                    self._say({"Content-Type": "application/json"}, provider.asked(path))
                    return
                headers, content = provider.delivery()
                self._send({"Content-Type": "video/mp4", **headers}, content)
                self.close_connection = True

            def _say(self, headers: dict[str, str], body: object) -> None:
                content = json.dumps(body).encode()
                self._send({**headers, "Content-Length": str(len(content))}, content)

            def _send(self, headers: dict[str, str], content: bytes) -> None:
                self.send_response(200)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):  # Who asked may have had enough.
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


@contextlib.contextmanager
def delivering(*deliveries: Delivery) -> Iterator[DeliveringProvider]:
    """Run such a provider."""
    provider = DeliveringProvider(*deliveries)
    thread = threading.Thread(target=provider.serve, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.close()
        thread.join(10)
