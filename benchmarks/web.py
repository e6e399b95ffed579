"""The web server of a benchmark: gunicorn as in production, without DEBUG, and one connection to it that stays open."""

import base64
import contextlib
import http.client
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sora2.parts import PROJECT_DIR
from sora2.processes import Child, Program, last_lines

START_SECONDS = 60.0
PUBLIC_HOST = "benchmark.example.com"
# As sora2.api has it, which reads the settings: they are not there yet when this is imported.
BASE_PATH = "/api/enterprise"


class Web:
    """A running server, and a client that sends one request after the other."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)

    def send(self, method: str, path: str, secret: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Return status and body of the answer."""
        headers = {"Host": PUBLIC_HOST, "X-API-Key": secret, "Content-Type": "application/json"}
        self._connection.request(method, BASE_PATH + path, body, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def get(self, path: str, secret: str) -> Mapping[str, Any]:
        """Return the answer to a GET that must succeed."""
        status, body = self.send("GET", path, secret)
        assert status == http.HTTPStatus.OK, body
        answer: Mapping[str, Any] = json.loads(body)
        return answer

    def answers(self) -> bool:
        """Say whether it serves."""
        try:
            self._connection.request("GET", "/readyz", headers={"Host": PUBLIC_HOST})
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return False
        return answer.status == http.HTTPStatus.OK


@contextlib.contextmanager
def web(folder: Path, **settings: str) -> Iterator[Web]:
    """Run gunicorn as the Procfile does, with one worker process, on the servers that the environment names."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        # gunicorn sets it too, but too late for a connection that came before.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        size = ("--worker-class", "gthread", "--workers", "1", "--threads", "8", "--keep-alive", "75")
        bind = ("--bind", f"fd://{listener.fileno()}", "--no-control-socket", "--log-level", "warning")
        program = Program(
            name="web",
            argv=(sys.executable, "-m", "gunicorn", "sora2.wsgi", *size, *bind),
            log=folder / "web.log",
            environment={**os.environ, **_production(), **settings},
            directory=PROJECT_DIR,
            inherit=(listener.fileno(),),
        )
        child = Child(program)
        try:
            serving = Web(child.pid, listener.getsockname()[1])
            until = time.monotonic() + START_SECONDS
            while not serving.answers():
                assert child.running(), last_lines(program.log)
                assert time.monotonic() < until, last_lines(program.log)
                time.sleep(0.1)
            yield serving
        finally:
            child.stop()


def _production() -> Mapping[str, str]:
    """Return the settings without which nothing starts outside DEBUG."""
    return {
        "DEBUG": "0",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "SEAL_SIGNING_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "ALLOWED_HOSTS": PUBLIC_HOST,
        "PUBLIC_BASE_URL": f"https://{PUBLIC_HOST}",
        "PROVIDER_OPENAI_BASE_URL": "https://provider.example.com/v1",
    }
