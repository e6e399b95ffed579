"""The one HTTP client for addresses that others chose (customers, providers): public HTTPS servers only, ends always.

A name is resolved once, every rule is applied to the address it resolved to, and the connection is pinned to
that address: a name that changes its mind between the check and the call gains nothing. Redirects, proxies,
cookies and the machine's own passwords are never used. A call ends at its deadline whatever a receiver does.
"""

import contextlib
import functools
import http.client
import ipaddress
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import certifi
import requests
import urllib3
from django.conf import settings
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter

from webhooks.deadlines import POOL_CLASSES, Call, current_call, watching

_PoolKey = tuple[dict[str, Any], dict[str, Any]]
_Reader = Callable[[requests.PreparedRequest, urllib3.BaseHTTPResponse], None]

HEADERS = {
    "User-Agent": "Sora2-Webhooks/1.0",
    "Content-Type": "application/json",
    "Accept-Encoding": "identity",
}
GET_HEADERS = {"User-Agent": "sora2-enterprise", "Accept-Encoding": "identity"}
DEADLINE_SECONDS = 20.0
RESPONSE_MAX_BYTES = 16 * 1024
# In UTF-8; more than this would not fit into an index row, nor into the columns that keep addresses.
URL_MAX_BYTES = 2000
# Addresses that are called and not kept may carry the long signatures of clouds' storage.
GET_URL_MAX_BYTES = 8000
PORTS = (443, 8443)
# Where the test endpoints of ours listen.
SINK_PATH = "/webhook-sink/"

# Names that mean "this machine" or "this network" (RFC 6761, 6762, 8375, and .internal, which clouds use).
INTERNAL_NAMES = ("localhost", "localdomain", "local", "internal", "home.arpa")

# Servers of the public IPv6 internet live in 2000::/3 only. Most forms that carry an IPv4 address inside
# (::/96, ::ffff:0:0/96, 64:ff9b::/96), fc00::/7, fe80::/10, fec0::/10 and multicast all lie outside it.
PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
# The IANA registries of special addresses, and one address of a cloud. Python's own `is_global` is asked too,
# but it depends on Python's patch version and lets several of these pass. A NAT64 prefix of the machine's own
# network can't be known here.
FORBIDDEN_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers' NAT, and some clouds' metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host agent, on an address that looks public
        "169.254.0.0/16",  # link-local, and most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarking and others
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address inside
        "3ffe::/16",  # the former 6bone
        "3fff::/20",  # documentation
    )
)

# A year: enough for any honest receiver, and small enough to add to a date.
RETRY_AFTER_MAX_SECONDS = 366 * 86400.0

ONCE = urllib3.Retry(0, read=False)

# Connections kept for reuse: at most 24 × 16 idle ones, which stays below the usual limit of 1024 open files, also with
# 256 calls under way, of which each has two.
POOLS = 24
CONNECTIONS_PER_POOL = 16


class ForbiddenTarget(ValueError):
    """This address may not be called. The message is fit for the customer: it names no internal address."""


@dataclass(frozen=True)
class Answer:
    """What came of one call.

    `error` is empty when an answer was read whole (or up to its limit), else one of: `forbidden_target`,
    `dns`, `tls`, `timeout`, `connection_refused`, `connection_reset`, `unreachable`, `invalid_response`.
    `status_code` is set as soon as the head of an answer was read whole, so it may stand beside an error. `response`
    is the beginning of the body.
    """

    status_code: int | None = None
    error: str = ""
    response: str = ""
    duration_ms: int = 0
    retry_after_seconds: float | None = None

    @property
    def ok(self) -> bool:
        """Say whether the receiver took it: a whole answer with a 2xx status."""
        return not self.error and self.status_code is not None and 200 <= self.status_code < 300


def check_url(url: str) -> None:
    """Refuse an address that a customer enters, as far as that shows without DNS. Raises ForbiddenTarget.

    One of a test endpoint of ours is told by how it is written (webhooks.sinks.elsewhere): it has one spelling.
    """
    path = unquote(urlsplit(_target(url).url).path)
    if SINK_PATH in path and path not in url:
        raise ForbiddenTarget("Write the address of a test endpoint as its page shows it: nothing in it is escaped.")


def is_public(address: str) -> bool:
    """Say whether `address` (IPv4 or IPv6, as text) is one of a server on the public internet."""
    ip = ipaddress.ip_address(address)
    if not ip.is_global or (ip.version == 6 and ip not in PUBLIC_IPV6):
        return False
    return not any(ip in network for network in FORBIDDEN_NETWORKS)


def post(url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float = DEADLINE_SECONDS) -> Answer:
    """POST `body` and return what came of it, at the latest `deadline_seconds` from now.

    Trouble of the network or of the receiver is in the answer, never raised. Safe to call from many threads.
    """
    response = bytearray()
    headers = {**HEADERS, **headers}
    answer = _call("POST", url, headers, body, lambda _, raw: _read_into(response, raw), deadline_seconds)
    return replace(answer, response=response.decode(errors="replace").replace("\x00", ""))


def get(url: str, *, read: Callable[[requests.Response], None], deadline_seconds: float) -> Answer:
    """GET `url`, let `read` take the answer, and return what came of it, at the latest `deadline_seconds` from now.

    `read` sees the status and the headers (of a redirect too: it is not followed) and streams the body from
    `response.raw`. What it raises of its own passes through; trouble of the network is in the answer, as in `post`.
    Safe to call from many threads.
    """

    def read_whole(request: requests.PreparedRequest, raw: urllib3.BaseHTTPResponse) -> None:
        read(HTTPAdapter().build_response(request, raw))

    return _call("GET", url, GET_HEADERS, None, read_whole, deadline_seconds)


def parse_retry_after(value: str, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks for, from 0 to a year, or None when it says nothing.

    It holds seconds or an HTTP date (RFC 9110, 10.2.3).
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value), RETRY_AFTER_MAX_SECONDS)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max((at - now).total_seconds(), 0.0), RETRY_AFTER_MAX_SECONDS)


# --- which addresses ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Target:
    """An address that may be called, as far as that shows; `path` is with its query, as it is sent."""

    url: str
    path: str
    scheme: str
    is_development: bool


def _target(url: str, max_bytes: int = URL_MAX_BYTES) -> _Target:
    """Apply the rules to `url` as requests will send it, so that no two parsers can disagree."""
    return _judged(url, max_bytes, tuple(settings.WEBHOOK_DEV_ALLOWED_TARGETS))


# What a URL looks like does not change; what its name resolves to is looked up, and judged, for each call.
@functools.lru_cache(maxsize=1024)
def _judged(url: str, max_bytes: int, allowed: tuple[str, ...]) -> _Target:
    if len(url.encode(errors="replace")) > max_bytes or re.search(r"[\s\\\x00-\x1f\x7f]", url):
        raise ForbiddenTarget("The address is too long or contains spaces or control characters.")
    prepared = requests.PreparedRequest()
    try:
        prepared.prepare_url(url, None)
        parts = urlsplit(prepared.url or "")
        # One dot is that of the root, which names may end with.
        scheme, host, port = parts.scheme, (parts.hostname or "").removesuffix("."), parts.port
        given = urlsplit(url)
        if port != given.port:  # requests drops a port of 0 without a word.
            raise ValueError(given.port)
    except (requests.RequestException, ValueError):
        raise ForbiddenTarget("The address is not a valid URL.") from None
    if "@" in parts.netloc or "@" in given.netloc:
        raise ForbiddenTarget("The address must not contain a user name or a password.")
    if "#" in url:
        raise ForbiddenTarget("The address must not contain a fragment (#).")
    is_development = _is_development_target(scheme, host, port, allowed)
    if not is_development:
        _check_public(scheme, host, port)
    return _Target(url=str(prepared.url), path=prepared.path_url, scheme=scheme, is_development=is_development)


def _check_public(scheme: str, host: str, port: int | None) -> None:
    if scheme != "https":
        raise ForbiddenTarget("The address must begin with https://.")
    if port is not None and port not in PORTS:
        raise ForbiddenTarget("The address must use port 443 or 8443.")
    if not _looks_public(host):
        raise ForbiddenTarget("The address must name a server on the public internet.")


def _looks_public(host: str) -> bool:
    if _is_address(host):
        return is_public(host) and "%" not in host
    labels = host.split(".")
    # 2130706433, 0x7f.1, 0177.0.0.1 and 127.1 are all spellings of an IPv4 address to a resolver.
    is_odd_ipv4 = re.fullmatch(r"\d+|0x[0-9a-f]*", labels[-1]) is not None
    is_internal = any(host == name or host.endswith(f".{name}") for name in INTERNAL_NAMES)
    is_name = re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+", host) is not None
    return is_name and not is_odd_ipv4 and not is_internal


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_development_target(scheme: str, host: str, port: int | None, allowed: tuple[str, ...]) -> bool:
    """Say whether one of `allowed` names this scheme, host and port (`http://127.0.0.1:*`)."""
    origin = f"{scheme}://[{host}]" if ":" in host else f"{scheme}://{host}"
    port = port or {"http": 80, "https": 443}.get(scheme)
    return bool({entry.lower() for entry in allowed} & {f"{origin}:{port}", f"{origin}:*"})


# --- one call -----------------------------------------------------------------------------------------------


def _call(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None, read: _Reader, deadline_seconds: float
) -> Answer:
    started = time.monotonic()
    try:
        target = _target(url, URL_MAX_BYTES if method == "POST" else GET_URL_MAX_BYTES)
    except ForbiddenTarget:
        return Answer(error="forbidden_target")
    request = _Request(method, target, headers, body)
    call = Call(started, deadline_seconds)
    answer = _attempt(request, read, call)
    if answer.error == "connection_reset" and answer.status_code is None and call.is_reused:
        # The receiver closed an idle connection at the moment we used it: no fault worth recording.
        answer = _attempt(request, read, Call(started, deadline_seconds))
    return answer


@dataclass(frozen=True)
class _Request:
    method: str
    target: _Target
    headers: Mapping[str, str]
    body: bytes | None


def _attempt(request: _Request, read: _Reader, call: Call) -> Answer:
    status_code, retry_after, error = None, None, ""
    adapter = _client().adapters[request.target.scheme, request.target.is_development]
    with watching(call):
        try:
            with adapter.answer_to(request) as (prepared, raw):
                status_code = raw.status
                retry_after = parse_retry_after(raw.headers.get("Retry-After", ""), datetime.now(UTC))
                read(prepared, raw)
        except (OSError, ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError) as exception:
            error = _error_code(exception)
    if call.is_cut and error not in ("forbidden_target", "dns"):
        # Cutting looks like whatever the end of the stream means at that point, even like a whole answer.
        error = "timeout"
    return Answer(
        status_code=status_code,
        error=error,
        duration_ms=round((time.monotonic() - call.started) * 1000),
        retry_after_seconds=retry_after,
    )


def _read_into(body: bytearray, raw: urllib3.BaseHTTPResponse) -> None:
    while len(body) < RESPONSE_MAX_BYTES:
        # read1 returns what has come; read would wait for the whole amount.
        chunk = raw.read1(RESPONSE_MAX_BYTES - len(body), decode_content=False)
        if not chunk:
            return
        body += chunk


# In this order: the first that occurs anywhere among an exception's causes names the trouble.
_ERRORS: tuple[tuple[str, tuple[type[BaseException], ...]], ...] = (
    ("forbidden_target", (InvalidIPAddress,)),
    ("dns", (socket.gaierror, UnicodeError)),
    ("timeout", (TimeoutError, urllib3.exceptions.ReadTimeoutError)),
    ("connection_refused", (ConnectionRefusedError,)),
    ("tls", (ssl.SSLError, ssl.CertificateError, urllib3.exceptions.SSLError)),
    ("connection_reset", (ConnectionError, http.client.IncompleteRead, urllib3.exceptions.IncompleteRead)),
    ("invalid_response", (ValueError, http.client.HTTPException, urllib3.exceptions.InvalidHeader)),
)


def _error_code(exception: BaseException) -> str:
    causes = list(_causes(exception))
    codes = (code for code, types in _ERRORS if any(isinstance(cause, types) for cause in causes))
    return next(codes, "unreachable")


def _causes(exception: BaseException) -> Iterator[BaseException]:
    """Yield `exception` and what it wraps: requests and urllib3 keep the origin in args, reason or cause."""
    seen: list[BaseException] = [exception]
    for each in seen:
        yield each
        wrapped = (*each.args, getattr(each, "reason", None), each.__cause__, each.__context__)
        seen += [one for one in wrapped if isinstance(one, BaseException) and one not in seen]


# --- connections --------------------------------------------------------------------------------------------


class _GuardedAdapter(IPFilterAdapter):  # type: ignore[misc]  # The package has no types.
    """Resolves and pins as its base does; adds our own table, a deadline for DNS, sockets that can be cut.

    Its connections are used without a Session, and without the base's `send`, which takes as long as all the rest: so
    there are no redirects, no cookies, no proxies and no passwords from ~/.netrc that would have to be switched off.
    """

    def __init__(self, scheme: str, *, is_development: bool, tls: ssl.SSLContext) -> None:
        super().__init__(is_https_proto=scheme == "https", allow_loopback=is_development)
        self._is_development = is_development
        self._tls = tls

    def init_poolmanager(self, *_: Any, **__: Any) -> None:
        super().init_poolmanager(POOLS, CONNECTIONS_PER_POOL, block=False)
        self.poolmanager.pool_classes_by_scheme = POOL_CLASSES

    @contextlib.contextmanager
    def answer_to(self, request: _Request) -> Iterator[tuple[requests.PreparedRequest, urllib3.BaseHTTPResponse]]:
        """Send a request to its pinned address, within what is left to the current call, and give out the answer.

        What is left unread of it makes closing it close the connection too, so that it is not used again.
        """
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url = request.method, request.target.url
        prepared.headers = CaseInsensitiveDict(request.headers)
        pool = self.get_connection_with_tls_context(prepared, verify=True)
        raw = pool.urlopen(
            request.method,
            request.target.path,
            body=request.body,
            headers=prepared.headers,
            retries=ONCE,
            redirect=False,
            assert_same_host=False,
            timeout=urllib3.Timeout(total=current_call.get().remaining_seconds()),
            preload_content=False,
            decode_content=False,
        )
        try:
            yield prepared, raw
        finally:
            raw.close()
            raw.release_conn()

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> _PoolKey:
        resolve = functools.partial(super().build_connection_pool_key_attributes, request, verify, cert)
        if _is_address(urlsplit(request.url or "").hostname or ""):
            host_params, pool_kwargs = resolve()  # Nothing to wait for.
        else:
            host_params, pool_kwargs = _resolved_within(current_call.get().remaining_seconds(), resolve)
        address = ipaddress.ip_address(host_params["host"].strip("[]"))
        if not is_public(str(address)) and not (self._is_development and address.is_loopback):
            raise InvalidIPAddress(address)
        if self._is_https_proto:
            pool_kwargs["ssl_context"] = self._tls
            # Certificates are made out without the dot of the root.
            pool_kwargs["assert_hostname"] = pool_kwargs["assert_hostname"].removesuffix(".")
        return host_params, pool_kwargs

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Do nothing: the context verifies. The base would load all authorities anew for each connection."""


def _resolved_within(seconds: float, resolve: Callable[[], _PoolKey]) -> _PoolKey:
    """Return what `resolve` returns, or raise gaierror when the resolver takes too long.

    The system's resolver can't be interrupted, so it gets a thread of its own, left behind if it must be: the
    resolver's own limits end it.
    """
    future: Future[_PoolKey] = Future()

    def work() -> None:
        try:
            future.set_result(resolve())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, name="webhooks-dns", daemon=True).start()
    try:
        return future.result(timeout=seconds)
    except TimeoutError as error:
        raise socket.gaierror(socket.EAI_AGAIN, "no answer in time") from error


class _Client:
    """What one process keeps between calls: open connections and the trusted authorities."""

    def __init__(self) -> None:
        tls = ssl.create_default_context(cafile=certifi.where())
        self.adapters = {
            (scheme, is_development): _GuardedAdapter(scheme, is_development=is_development, tls=tls)
            for scheme, is_development in (("https", False), ("https", True), ("http", True))
        }


_creating = threading.Lock()


def _client() -> _Client:
    with _creating:
        return _client_of_process(os.getpid())


@functools.lru_cache(maxsize=1)
def _client_of_process(_id: int) -> _Client:
    """Make a new client after a fork: its parent's connections are not the child's to use."""
    return _Client()
