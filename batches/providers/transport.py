"""HTTP to a provider, for adapters: what was certainly not sent, bounded answers, bounded downloads.

Redirects are never followed: the key must not travel to a host that an answer names. Nothing of the
environment is used, neither proxies nor `~/.netrc`.
"""

import io
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from batches.providers import DownloadFailed

# A page of a hundred jobs with the longest prompts, all of it escaped, fits.
MAX_ANSWER_BYTES = 32 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
MAX_CONNECTIONS = 32
# The file is gone, or will never be smaller.
# Beside redirects. A 404 is not among them: right after the end a file may not be everywhere yet.
USELESS_STATUSES = {413}
NETWORK_TROUBLE = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    HTTPException,
    OSError,
    ValueError,
)


class NotSent(Exception):
    """The request certainly never reached the provider."""


class MaybeSent(Exception):
    """The provider may have got the request; no answer came."""


class NoAnswer(Exception):
    """The provider gave no usable answer to a question."""


@dataclass(frozen=True)
class Timeouts:
    """How long to wait, in seconds. The last three bound each wait for bytes, and when to stop reading."""

    connect: float = 5.0
    submit: float = 30.0
    read: float = 20.0
    download: float = 300.0


@dataclass(frozen=True)
class Answer:
    """An HTTP answer that was read to its end; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Mapping[str, Any] | None:
        """Return the body if it is a JSON object."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


class Transport:
    """Requests under one base URL with one key. Safe to use from many threads, and after a fork."""

    def __init__(self, base_url: str, api_key: str, timeouts: Timeouts) -> None:
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key.strip()
        self._timeouts = timeouts
        self._kept: tuple[int, requests.Session] | None = None

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post on a connection of its own: one kept alive may be dead, and that looks like a job in limbo.

        Raises NotSent or MaybeSent.
        """
        sent = _Body(body)
        try:
            with self._new_session() as session, self._open_post(session, path, sent, headers) as response:
                return self._read(response, self._timeouts.submit)
        except Exception as error:  # Whatever it was, all that matters is whether the job was on its way.
            raise (MaybeSent if sent.sending else NotSent)(_reason(error)) from error

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """Get a small answer. Raises NoAnswer when there is none."""
        try:
            with self._open_get(path, params) as response:
                return self._read(response, self._timeouts.read)
        except (*NETWORK_TROUBLE, DownloadFailed) as error:
            raise NoAnswer(_reason(error)) from error

    def download(self, path: str, target: Path, *, max_bytes: int) -> None:
        """Stream an answer into `target`. Raises DownloadFailed, and then leaves no file."""
        try:
            with self._open_get(path, None) as response:
                _require_content(response, max_bytes)
                with target.open("wb") as file:
                    for chunk in _chunks(response, max_bytes, self._timeouts.download):
                        file.write(chunk)
        except NETWORK_TROUBLE as error:
            target.unlink(missing_ok=True)
            raise DownloadFailed(_reason(error)) from error
        except DownloadFailed:
            target.unlink(missing_ok=True)
            raise

    def _open_post(
        self, session: requests.Session, path: str, body: "_Body", headers: Mapping[str, str]
    ) -> requests.Response:
        return session.post(
            f"{self._base_url}{path}",
            data=body,
            headers={"Connection": "close", **headers},
            timeout=(self._timeouts.connect, self._timeouts.submit),
            stream=True,
            allow_redirects=False,
        )

    def _open_get(self, path: str, params: Mapping[str, str] | None) -> requests.Response:
        return self._session().get(
            f"{self._base_url}{path}",
            params=params,
            timeout=(self._timeouts.connect, self._timeouts.read),
            stream=True,
            allow_redirects=False,
        )

    def _read(self, response: requests.Response, seconds: float) -> Answer:
        """Read the whole answer. An error that quotes our key doesn't keep it: errors are stored."""
        body = b"".join(_chunks(response, MAX_ANSWER_BYTES, seconds))
        if response.status_code >= 400 and self._api_key:
            body = body.replace(self._api_key.encode(), b"[key]")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, body)

    def _session(self) -> requests.Session:
        """Return this process's session: a forked worker must not share its parent's connections."""
        if self._kept is None or self._kept[0] != os.getpid():
            self._kept = (os.getpid(), self._new_session())
        return self._kept[1]

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = HTTPAdapter(pool_maxsize=MAX_CONNECTIONS, max_retries=0)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        session.headers.update({"User-Agent": "sora2-enterprise", "Accept-Encoding": "identity"})
        if self._api_key:
            session.headers["Authorization"] = f"Bearer {self._api_key}"
        return session


class _Body(io.BytesIO):
    """A request's body that knows whether any of it may have left: it is read only once a connection stands.

    Name resolution, connecting and the TLS handshake all come before, so a failure there is certainly no job.
    """

    sending = False

    def read(self, size: int | None = -1, /) -> bytes:
        self.sending = True
        return super().read(size)


def _require_content(response: requests.Response, max_bytes: int) -> None:
    status = response.status_code
    if status != 200:
        permanent = status in USELESS_STATUSES or 300 <= status < 400
        raise DownloadFailed(f"status {status}", permanent=permanent)
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise DownloadFailed(f"{announced} bytes are more than {max_bytes}", permanent=True)


def _chunks(response: requests.Response, max_bytes: int, seconds: float) -> Iterator[bytes]:
    """Yield the body as it comes. The limit in `seconds` holds even for a server that drips single bytes."""
    until = time.monotonic() + seconds
    total = 0
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
        total += len(chunk)
        if total > max_bytes:
            raise DownloadFailed(f"more than {max_bytes} bytes", permanent=True)
        yield chunk
        if time.monotonic() > until:
            raise DownloadFailed(f"not finished after {seconds:g} seconds")


def _reason(error: BaseException) -> str:
    """Name an error and its root by their types: their texts may quote headers, and so the key."""
    if isinstance(error, DownloadFailed):
        return error.detail
    root = error
    for _ in range(8):
        below = getattr(root, "reason", None) or root.__cause__ or root.__context__
        if not isinstance(below, BaseException):
            break
        root = below
    return ": ".join(dict.fromkeys((type(error).__name__, type(root).__name__)))
