"""The HTTP server in front of the simulated provider: HTTP/1.1, connections kept alive, a thread for each."""

import http.server
import os
import socket
import struct
import time
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import structlog

from batches.simulator.jobs import JobStore
from batches.simulator.provider import (
    DropConnection,
    Options,
    Reply,
    Request,
    ResetConnection,
    SimulatedProvider,
)

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 8 * 1024 * 1024
IDLE_SECONDS = 75
REMEMBERED_SECONDS = 7 * 86_400
# A slow body comes in so many pieces.
PIECES = 50


class SimulatorServer(http.server.ThreadingHTTPServer):
    """Listens on `host`:`port` (0 takes a free one) from construction on; `serve_forever` answers.

    With `state` the jobs live in that SQLite file and survive a restart.
    """

    daemon_threads = True
    block_on_close = False
    # The default of 5 would make a hundred workers that connect at once wait for a retransmitted SYN.
    request_queue_size = 1024

    closing = False

    def __init__(self, host: str, port: int, options: Options, *, state: Path | None = None) -> None:
        self._store = JobStore(state)
        self._store.forget_before(time.time() - REMEMBERED_SECONDS)
        self.provider = SimulatedProvider(self._store, options, clock=time.time)
        super().__init__((host, port), _Handler)

    @property
    def base_url(self) -> str:
        """The URL that a client is given, such as `http://127.0.0.1:8199/v1`."""
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}/v1"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is its own business; nothing else gets here."""

    def server_close(self) -> None:
        """Stop listening and close the state file."""
        self.closing = True
        super().server_close()
        self.provider.close()
        self._store.close()


class _Refused(Exception):
    """The request's frame cannot be read: answer `status` and hang up."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _Handler(http.server.BaseHTTPRequestHandler):
    server: SimulatorServer
    protocol_version = "HTTP/1.1"
    server_version = "sora2-simulator"
    sys_version = ""
    timeout = IDLE_SECONDS
    wbufsize = 64 * 1024  # Head and body of an answer leave in one packet.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet: thousands of polls would drown what matters."""

    def _serve(self) -> None:
        try:
            reply = self.server.provider.answer(self._request())
        except _Refused as error:
            self.close_connection = True
            reply = Reply(error.status, b'{"error": {"message": "The request could not be read."}}')
        except ResetConnection:
            self._reset()
            return
        except (DropConnection, OSError):  # Or the client hung up, or fell silent.
            self._drop()
            return
        except Exception:
            if self.server.closing:
                self._drop()
                return
            log.exception("simulator.request_failed", path=self.path)
            reply = Reply(500, b'{"error": {"message": "The simulator has a bug."}}')
        self._send(reply)

    def _request(self) -> Request:
        url = urlsplit(self.path)
        return Request(
            method=self.command,
            path=unquote(url.path),
            query=dict(parse_qsl(url.query)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self._body(),
        )

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if self.headers.get("Transfer-Encoding"):
            raise _Refused(411)
        if not length.isascii() or not length.isdigit():
            raise _Refused(400)
        if len(length) > 12 or int(length) > MAX_BODY_BYTES:
            raise _Refused(413)
        return self.rfile.read(int(length))

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self._send_body(reply)

    def _send_body(self, reply: Reply) -> None:
        body = reply.body[: reply.cut_at]
        size = max(1, -(-len(body) // PIECES)) if reply.slow_seconds else len(body) or 1
        for start in range(0, len(body), size):
            if reply.slow_seconds:
                self.wfile.flush()
                time.sleep(reply.slow_seconds / PIECES)
            self.wfile.write(body[start : start + size])
        if reply.cut_at is not None:
            self.wfile.flush()
            self._drop()

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _reset(self) -> None:
        """Close so that the client sees a reset: at once, whoever else still holds the socket."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
