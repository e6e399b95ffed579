"""The web server of a benchmark: gunicorn as in production, without DEBUG, and one connection to it that stays open."""

import base64
import contextlib
import http.client
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.gunicorn import Gunicorn, gunicorn

HOST = "benchmark.example.com"
# As sora2.api has it, which reads the settings: they are not there yet when this is imported.
BASE_PATH = "/api/enterprise"
TIMEOUT_SECONDS = 60.0


class Web:
    """A running server of one worker process, and a client that sends one request after the other."""

    def __init__(self, server: Gunicorn) -> None:
        self.server = server
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_SECONDS)

    def send(self, method: str, path: str, secret: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Send a request to the API; return status and body of the answer."""
        headers = {"X-API-Key": secret, "Content-Type": "application/json"}
        return self._answer(method, BASE_PATH + path, body, headers)

    def page(self, path: str, session: str) -> tuple[int, bytes]:
        """Ask for a page as whoever has the session; return status and body of the answer."""
        return self._answer("GET", path, None, {"Cookie": f"sessionid={session}"})

    def _answer(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        self._connection.request(method, path, body, {"Host": HOST, **headers})
        answer = self._connection.getresponse()
        return answer.status, answer.read()


@contextlib.contextmanager
def web(log: Path, **settings: str) -> Iterator[Web]:
    """Run a server with one worker process while the block runs, on the database and broker of the environment."""
    with gunicorn(log, {**_production(), **settings}, processes=1, host=HOST) as server:
        yield Web(server)


def _production() -> Mapping[str, str]:
    """Return the settings without which nothing starts outside DEBUG."""
    return {
        "DEBUG": "0",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "SEAL_SIGNING_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "ALLOWED_HOSTS": HOST,
        "PUBLIC_BASE_URL": f"https://{HOST}",
        "PROVIDER_OPENAI_BASE_URL": "https://provider.example.com/v1",
    }
