"""HTTP to a provider, for adapters: what was certainly not sent, bounded answers, the key to its own host only.

Redirects are never followed here: the key must not travel to a host that an answer names. Nothing of the
environment is used, neither proxies nor `~/.netrc`. Every request ends in time, however the provider drips.
"""

import contextlib
import functools
import io
import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import certifi
import requests
import urllib3
from requests.adapters import HTTPAdapter

from batches.providers import DownloadFailed, TooLarge
from batches.providers.answers import Answer
from webhooks.deadlines import POOL_CLASSES, Call, watching

# A page of a hundred jobs with the longest prompts, all of it escaped, fits.
MAX_ANSWER_BYTES = 32 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
MAX_CONNECTIONS = 32
# A shorter key protects nothing, and taking it out of answers might hit words that it is part of.
SECRET_LENGTH = 12
KEY_PLACE = "[key]"
NETWORK_TROUBLE = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    HTTPException,
    OSError,
    ValueError,
)

KeyHeader = Literal["Authorization", "x-goog-api-key"]


class NotSent(Exception):
    """The request certainly never reached the provider."""


class MaybeSent(Exception):
    """The provider may have got the request; no answer came."""


class NoAnswer(Exception):
    """The provider gave no usable answer to a question."""


@dataclass(frozen=True)
class Timeouts:
    """How long to wait, in seconds: for a connection, and after it for the whole of an answer."""

    connect: float = 5.0
    submit: float = 30.0
    read: float = 20.0
    download: float = 300.0


class Transport:
    """Requests under one base URL with one key, sent as `key_header`. Safe from many threads, and after a fork."""

    def __init__(
        self, base_url: str, api_key: str, timeouts: Timeouts, *, key_header: KeyHeader = "Authorization"
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.timeouts = timeouts
        self._api_key = api_key.strip()
        self._key_spellings = _spellings(self._api_key)
        self._headers = {"User-Agent": "sora2-enterprise", "Accept-Encoding": "identity"}
        if self._api_key:
            prefix = "Bearer " if key_header == "Authorization" else ""
            self._headers[key_header] = f"{prefix}{self._api_key}"
        parts = urlsplit(self.base_url)
        self._origin = f"{parts.scheme}://{parts.netloc}".lower()
        self._kept: tuple[int, _Adapter] | None = None

    def owns(self, url: str) -> bool:
        """Say whether `url` is one of the provider's own host: the same scheme, host and port, letter by letter."""
        return url[: len(self._origin) + 1].lower() == f"{self._origin}/"

    def redacted(self, text: str) -> str:
        """Return `text` without our key, in whatever spelling it stands there."""
        for spelling in self._key_spellings:
            text = text.replace(spelling, KEY_PLACE)
        return text

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post on a connection of its own: one kept alive may be dead, and that looks like a job in limbo.

        Raises NotSent or MaybeSent.
        """
        sent = _Body(body)
        request = requests.Request("POST", f"{self.base_url}{path}", {"Connection": "close", **headers}, data=sent)
        waits = (self.timeouts.connect, self.timeouts.submit)
        try:
            with (
                _limit(sum(waits)),
                contextlib.closing(_Adapter(max_retries=0)) as adapter,
                self._open(adapter, request, waits) as response,
            ):
                return self._read(response)
        except Exception as error:  # Whatever it was, all that matters is whether the job was on its way.
            raise (MaybeSent if sent.sending else NotSent)(reason(error)) from None

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """Get a small answer. Raises NoAnswer when there is none."""
        request = requests.Request("GET", f"{self.base_url}{path}", params=params)
        waits = (self.timeouts.connect, self.timeouts.read)
        try:
            with _limit(sum(waits)), self._open(self._adapter(), request, waits) as response:
                return self._read(response)
        except (*NETWORK_TROUBLE, DownloadFailed) as error:
            raise NoAnswer(reason(error)) from None

    def stream(self, url: str, *, read: Callable[[requests.Response], None], seconds: float) -> None:
        """GET `url`, which the provider `owns`, and let `read` take the answer.

        Raises one of NETWORK_TROUBLE, or what `read` raises.
        """
        request = requests.Request("GET", _without_key(url))
        waits = (self.timeouts.connect, self.timeouts.read)
        with _limit(seconds), self._open(self._adapter(), request, waits) as response:
            read(response)

    def _open(self, adapter: "_Adapter", request: requests.Request, waits: tuple[float, float]) -> requests.Response:
        """Send with the key. An adapter alone follows no redirect, keeps no cookie and reads no environment."""
        request.headers = {**self._headers, **request.headers}
        return adapter.send(request.prepare(), stream=True, timeout=waits)

    def _read(self, response: requests.Response) -> Answer:
        """Read the whole answer. One that quotes our key doesn't keep it: what it says may be stored."""
        body = b"".join(chunks(response, MAX_ANSWER_BYTES))
        body = self.redacted(body.decode("latin-1")).encode("latin-1")  # Any bytes come back as they were.
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, body)

    def _adapter(self) -> "_Adapter":
        """Return this process's adapter: a forked worker must not share its parent's connections."""
        if self._kept is None or self._kept[0] != os.getpid():
            self._kept = (os.getpid(), _Adapter(pool_maxsize=MAX_CONNECTIONS, max_retries=0))
        return self._kept[1]


def chunks(response: requests.Response, max_bytes: int) -> Iterator[bytes]:
    """Yield the body as it comes. Raises TooLarge when it is larger than `max_bytes`."""
    total = 0
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
        total += len(chunk)
        if total > max_bytes:
            raise TooLarge(f"more than {max_bytes} bytes")
        yield chunk


def reason(error: BaseException) -> str:
    """Name an error and its root by their types: their texts may quote headers and addresses, and so the key."""
    if isinstance(error, DownloadFailed):
        return error.detail
    root = error
    for _ in range(8):
        below = getattr(root, "reason", None) or root.__cause__ or root.__context__
        if not isinstance(below, BaseException):
            break
        root = below
    return ": ".join(dict.fromkeys((type(error).__name__, type(root).__name__)))


def _spellings(key: str) -> set[str]:
    """Return how a secret key may stand in an answer: as it is, in JSON of some kinds, and in an address."""
    return {key, key.replace("/", r"\/"), quote(key, safe="")} if len(key) >= SECRET_LENGTH else set()


def _without_key(url: str) -> str:
    """Drop the parameter out of which the key was taken: it goes as a header, as addresses are logged."""
    parts = urlsplit(url)
    return parts._replace(query="&".join(p for p in parts.query.split("&") if KEY_PLACE not in p)).geturl()


@functools.cache
def _tls() -> ssl.SSLContext:
    """Return the trusted authorities: reading them takes longer than a submit."""
    return ssl.create_default_context(cafile=certifi.where())


class _Adapter(HTTPAdapter):
    """Makes connections that end at the deadline of the call that uses them."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=_tls(), **kwargs)
        self.poolmanager.pool_classes_by_scheme = POOL_CLASSES

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Do nothing: the context verifies. The base would load all authorities anew for each connection."""


class _Body(io.BytesIO):
    """A request's body that knows whether any of it may have left: it is read only once a connection stands.

    Name resolution, connecting and the TLS handshake all come before, so a failure there is certainly no job.
    """

    sending = False

    def read(self, size: int | None = -1, /) -> bytes:
        self.sending = True
        return super().read(size)


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """End what is done inside after so many seconds, with TimeoutError."""
    call = Call(time.monotonic(), seconds)
    try:
        with watching(call):
            yield
    except NETWORK_TROUBLE:
        if not call.is_cut:
            raise
    if call.is_cut:
        raise TimeoutError
