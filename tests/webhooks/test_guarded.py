"""The guarded client against real receivers on loopback, and against addresses that it must refuse."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import certifi
import pytest
import time_machine
from pytest_django import Settings

from tests.webhooks import receivers
from webhooks import guarded

# No call may take longer than this, whatever its deadline: it guards against hanging, and measures nothing.
HANG_SECONDS = 8.0

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def loopback(settings: Settings) -> None:
    """Allow receivers on loopback, as a developer does."""
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = ["http://127.0.0.1:*", "https://127.0.0.1:*"]


@pytest.fixture
def no_exception(settings: Settings) -> None:
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = []


@pytest.fixture
def fresh_client() -> Iterator[None]:
    """Forget open connections and trusted authorities, before and after."""
    guarded._client_of_process.cache_clear()
    yield
    guarded._client_of_process.cache_clear()


def post(url: str, deadline_seconds: float = 5.0, headers: dict[str, str] | None = None) -> guarded.Answer:
    started = time.monotonic()
    answer = guarded.post(url, body=b'{"a": 1}', headers=headers or {}, deadline_seconds=deadline_seconds)
    assert time.monotonic() - started < HANG_SECONDS
    return answer


def resolve(monkeypatch: pytest.MonkeyPatch, name: str, *addresses: str) -> list[str]:
    """Let `name` resolve to these addresses in turn (the last repeats); return the look-ups made."""
    real, left, asked = socket.getaddrinfo, list(addresses), []

    def getaddrinfo(host: str, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != name:
            return real(host, port, *args, **kwargs)
        asked.append(host)
        return real(left.pop(0) if len(left) > 1 else left[0], port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


# --- which addresses ----------------------------------------------------------------------------------------

FORBIDDEN_ADDRESSES = [
    "0.0.0.0",  # noqa: S104  # It is refused, not bound to.
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.0.9",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "3ffe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]

FORBIDDEN_URLS = [
    "http://example.com/hook",
    "ftp://example.com/hook",
    "file:///etc/passwd",
    "gopher://example.com/",
    "//example.com/hook",
    "example.com/hook",
    "https://",
    "https:///hook",
    "https://example.com:80/",
    "https://example.com:22/",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://example.com:port/",
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://@example.com/",
    "https://example.com@127.0.0.1/",
    "https://example.com/#fragment",
    "https://example.com/#",
    "https://example.com\\@127.0.0.1/",
    "https://example.com/a b",
    " https://example.com/",
    "https://example.com/\r\nX-Injected: 1",
    "https://example.com/\x00",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://hooks.localhost/",
    "https://printer.local/",
    "https://metadata.google.internal/",
    "https://router.home.arpa/",
    "https://intranet/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://127.0.0.1./",
    "https://１２７.0.0.1/",  # Digits of another width are the same to a resolver.
    "https://127。0。0。1/",
    "https://%31%32%37.0.0.1/",
    "https://[::1]/",
    "https://[::1%25lo]/",
    "https://[fe80::1%25eth0]/",
    "https://[2606:4700::1%25eth0]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[::1/",
    "https://example..com/",
    "https://example.com/" + "a" * 2000,
    "https://example.com/" + "ä" * 1000,
]

ALLOWED_URLS = [
    "https://example.com",
    "https://example.com/hook?token=a%20b&x=1",
    "https://EXAMPLE.com:443/hook",
    "https://hooks.example.com:8443/hook",
    "https://example.com./hook",
    "https://bücher.example/hook",
    "https://a_b.example.com/",
    "https://8.8.8.8/hook",
    "https://[2606:4700:4700::1111]:8443/hook",
]


@pytest.mark.parametrize("address", FORBIDDEN_ADDRESSES)
def test_an_address_that_is_not_on_the_public_internet_is_refused(address: str, no_exception: None) -> None:
    host = f"[{address}]" if ":" in address else address
    assert not guarded.is_public(address)
    with pytest.raises(guarded.ForbiddenTarget):
        guarded.check_url(f"https://{host}/hook")


@pytest.mark.parametrize("address", FORBIDDEN_ADDRESSES)
def test_a_name_that_resolves_to_such_an_address_is_never_called(
    address: str, no_exception: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch, "hooks.example.com", address)
    dialled = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, to: dialled.append(to))
    answer = post("https://hooks.example.com/hook")
    assert (answer.error, answer.status_code, answer.response) == ("forbidden_target", None, "")
    assert not dialled


@pytest.mark.parametrize("url", FORBIDDEN_URLS)
def test_an_address_that_breaks_a_rule_is_refused_when_entered_and_when_called(url: str, no_exception: None) -> None:
    with pytest.raises(guarded.ForbiddenTarget, match=r"^The address .*\.$"):
        guarded.check_url(url)
    assert post(url) == guarded.Answer(error="forbidden_target")


@pytest.mark.parametrize("url", ALLOWED_URLS)
def test_a_public_https_address_is_accepted_without_a_look_up(
    url: str, no_exception: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "getaddrinfo")
    guarded.check_url(url)


def test_refusing_never_names_the_address_that_a_name_resolved_to(
    no_exception: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch, "hooks.example.com", "10.1.2.3")
    assert "10.1.2.3" not in repr(post("https://hooks.example.com/"))


@pytest.mark.parametrize("mapped", ["8.8.8.8", "::ffff:8.8.8.8"])
def test_a_connection_goes_to_the_very_address_that_was_checked(
    mapped: str, no_exception: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolve(monkeypatch, "hooks.example.com", mapped, "127.0.0.1")
    dialled: list[tuple[str, int]] = []

    def refuse(_: socket.socket, to: tuple[str, int]) -> None:
        dialled.append(to)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert post("https://hooks.example.com:8443/").error == "connection_refused"
    assert dialled == [("8.8.8.8", 8443)]
    assert asked == ["hooks.example.com"]


def test_a_name_that_turns_to_loopback_after_its_check_is_refused(
    no_exception: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: socket.socket, to: tuple[str, int]) -> None:
        raise ConnectionRefusedError

    resolve(monkeypatch, "hooks.example.com", "8.8.8.8", "127.0.0.1")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert post("https://hooks.example.com/").error == "connection_refused"
    assert post("https://hooks.example.com/").error == "forbidden_target"


@pytest.mark.parametrize(
    ("entry", "url", "allowed"),
    [
        ("http://127.0.0.1:*", "http://127.0.0.1:8000/", True),
        ("http://127.0.0.1:*", "http://127.0.0.1/", True),
        ("http://127.0.0.1:80", "http://127.0.0.1/", True),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/", True),
        ("HTTP://LocalHost:*", "http://localhost:8000/", True),
        ("http://[::1]:*", "http://[::1]:8000/", True),
        ("https://127.0.0.1:443", "https://127.0.0.1/", True),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8001/", False),
        ("http://127.0.0.1:8000", "http://127.0.0.1:80001/", False),
        ("http://127.0.0.1:*", "https://127.0.0.1:8000/", False),
        ("http://127.0.0.1:*", "http://127.0.0.2:8000/", False),
        ("http://127.0.0.1:*", "http://localhost:8000/", False),
        ("http://127.0.0.1:*", "http://127.0.0.1.example.com:8000/", False),
        ("http://127.0.0.1:*", "http://user@127.0.0.1:8000/", False),
        ("http://*:*", "http://127.0.0.1:8000/", False),
        ("127.0.0.1", "http://127.0.0.1:8000/", False),
    ],
)
def test_the_exception_for_development_holds_for_just_its_scheme_host_and_port(
    entry: str, url: str, allowed: bool, settings: Settings
) -> None:
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = [entry]
    if allowed:
        guarded.check_url(url)
    else:
        with pytest.raises(guarded.ForbiddenTarget):
            guarded.check_url(url)


def test_the_exception_for_development_reaches_loopback_but_no_other_internal_address(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = ["http://hooks.test:*"]
    resolve(monkeypatch, "hooks.test", "127.0.0.1", "168.63.129.16")
    with receivers.serve(receivers.answers(200)) as receiver:
        assert post(f"http://hooks.test:{receiver.port}/").ok
        assert post(f"http://hooks.test:{receiver.port}/").error == "forbidden_target"
    assert len(receiver.requests) == 1
    assert receiver.requests[0].headers["host"] == f"hooks.test:{receiver.port}"


# --- what comes of a call -----------------------------------------------------------------------------------


def test_the_body_and_headers_arrive_as_given(loopback: None) -> None:
    with receivers.serve(receivers.answers(200, b"thanks", {"Retry-After": "7"})) as receiver:
        answer = post(receiver.url, headers={"webhook-id": "evt_1"})
    [request] = receiver.requests
    assert (request.method, request.path, request.body) == ("POST", "/hook", b'{"a": 1}')
    assert request.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "user-agent": "Sora2-Webhooks/1.0",
        "content-type": "application/json",
        "accept-encoding": "identity",
        "content-length": "8",
        "webhook-id": "evt_1",
    }
    assert answer.ok
    assert (answer.status_code, answer.error, answer.response) == (200, "", "thanks")
    assert answer.retry_after_seconds == 7
    assert answer.duration_ms >= 0


@pytest.mark.parametrize(
    ("status", "ok"),
    [(200, True), (204, True), (299, True), (304, False), (400, False), (410, False), (503, False)],
)
def test_only_2xx_is_success(status: int, ok: bool, loopback: None) -> None:
    with receivers.serve(receivers.answers(status)) as receiver:
        answer = post(receiver.url)
    assert (answer.status_code, answer.error, answer.ok) == (status, "", ok)


def test_a_redirect_is_an_answer_and_is_not_followed(loopback: None) -> None:
    with receivers.serve(receivers.answers(200)) as other:  # noqa: SIM117  # The second needs the first's address.
        with receivers.serve(receivers.redirects_to(other.url)) as receiver:
            answer = post(receiver.url)
    assert (answer.status_code, answer.ok) == (302, False)
    assert not other.requests


def test_proxies_passwords_and_cookies_of_the_machine_are_not_used(
    loopback: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dead = f"http://127.0.0.1:{receivers.free_port()}"
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, dead)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with receivers.serve(receivers.answers(200, headers={"Set-Cookie": "a=1; Path=/"})) as receiver:
        assert post(receiver.url).ok
        assert post(receiver.url).ok
    for request in receiver.requests:
        assert not {"authorization", "cookie", "proxy-authorization"} & set(request.headers)


def test_a_response_is_shown_up_to_16_kb(loopback: None) -> None:
    with receivers.serve(receivers.huge_body(8 * 1024 * 1024)) as receiver:
        answer = post(receiver.url)
    assert answer.ok
    assert answer.response == "x" * 16 * 1024


def test_a_response_is_text_without_nul_whatever_was_sent(loopback: None) -> None:
    with receivers.serve(receivers.answers(500, b"a\x00b\xff\xc3\xbc")) as receiver:
        assert post(receiver.url).response == "ab\ufffdü"


def test_a_slow_answer_within_the_deadline_is_taken(loopback: None) -> None:
    with receivers.serve(receivers.slow(0.3, receivers.answers(200))) as receiver:
        answer = post(receiver.url)
    assert answer.ok
    assert answer.duration_ms >= 300


LATE = {
    "hanging": (receivers.hangs(), None),
    "dripping headers": (receivers.drips_headers(), 200),
    "dripping status": (receivers.drips(b"x", before=b"HTTP/1.1 2"), None),
    "endless 100 Continue": (receivers.drips(b"HTTP/1.1 100 Continue\r\n\r\n", every_seconds=0.001), None),
    "dripping body": (receivers.drips_body(), 200),
    "dripping chunk size": (
        receivers.drips(b"0", before=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        200,
    ),
    "dripping until closed": (receivers.drips(b"x", before=b"HTTP/1.1 500 No\r\n\r\n"), 500),
}


@pytest.mark.parametrize("kind", LATE)
def test_a_call_ends_at_its_deadline_however_the_receiver_delays(kind: str, loopback: None) -> None:
    behaviour, status_code = LATE[kind]
    with receivers.serve(behaviour) as receiver:
        answer = post(receiver.url, deadline_seconds=0.6)
    assert (answer.error, answer.status_code, answer.ok) == ("timeout", status_code, False)
    assert answer.duration_ms >= 500


def test_a_call_ends_at_its_deadline_on_a_reused_connection_too(loopback: None, fresh_client: None) -> None:
    behaviour = receivers.in_turn(receivers.answers(200), receivers.drips_headers())
    with receivers.serve(behaviour) as receiver:
        assert post(receiver.url).ok
        assert post(receiver.url, deadline_seconds=0.6).error == "timeout"
        assert (receiver.connections, len(receiver.requests)) == (1, 2)


def test_connecting_ends_at_the_deadline(loopback: None) -> None:
    with receivers.accepts_nothing() as port:
        assert post(f"http://127.0.0.1:{port}/", deadline_seconds=0.6).error == "timeout"


def test_time_spent_on_dns_is_not_given_to_connecting_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = ["http://hooks.test:*"]
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "hooks.test":
            time.sleep(1.2)
        return real("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with receivers.accepts_nothing() as port:
        answer = post(f"http://hooks.test:{port}/", deadline_seconds=1.5)
    assert answer.error == "timeout"
    assert answer.duration_ms < 2500


def test_a_tls_handshake_ends_at_the_deadline(loopback: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = post(f"https://127.0.0.1:{silent.getsockname()[1]}/", deadline_seconds=0.6)
    assert answer.error == "timeout"


def test_a_resolver_that_does_not_answer_ends_at_the_deadline(
    no_exception: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def getaddrinfo(*_: Any, **__: Any) -> Any:
        released.wait(HANG_SECONDS)
        raise socket.gaierror(socket.EAI_AGAIN, "at last")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert post("https://hooks.example.com/", deadline_seconds=0.6).error == "dns"
    released.set()


def test_a_name_that_does_not_resolve_is_dns(no_exception: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    answer = post("https://hooks.example.com/")
    assert (answer.error, answer.status_code) == ("dns", None)


def test_a_closed_port_is_connection_refused(loopback: None) -> None:
    assert post(f"http://127.0.0.1:{receivers.free_port()}/").error == "connection_refused"


BROKEN = {
    "reset": (receivers.resets(), "connection_reset", None),
    "closed without an answer": (receivers.sends_and_closes(b""), "connection_reset", None),
    "closed in the body": (
        receivers.sends_and_closes(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
        "connection_reset",
        200,
    ),
    "not HTTP": (receivers.sends_and_closes(b"SSH-2.0-OpenSSH_9.2\r\n"), "invalid_response", None),
    "a header without end": (
        receivers.sends_and_closes(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000),
        "invalid_response",
        None,
    ),
    "endless headers": (
        receivers.sends_and_closes(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 1000),
        "invalid_response",
        None,
    ),
    "chunks that are none": (
        receivers.sends_and_closes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        "connection_reset",
        200,
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_trouble_of_the_receiver_is_in_the_answer(kind: str, loopback: None) -> None:
    behaviour, error, status_code = BROKEN[kind]
    with receivers.serve(behaviour) as receiver:
        answer = post(receiver.url)
    assert (answer.error, answer.status_code, answer.ok) == (error, status_code, False)


# --- TLS ----------------------------------------------------------------------------------------------------


@pytest.fixture
def named_receiver(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fresh_client: None
) -> Iterator[receivers.Receiver]:
    """A TLS receiver whose certificate is for `hooks.test` and trusted; `other.test` leads to it as well."""
    tls, certificate = receivers.self_signed("hooks.test", tmp_path)
    monkeypatch.setattr(certifi, "where", lambda: str(certificate))
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = [
        "https://hooks.test:*",
        "https://other.test:*",
        "https://127.0.0.1:*",
    ]
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> Any:
        return real("127.0.0.1" if host.endswith(".test") else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with receivers.serve(receivers.answers(200), tls=tls) as receiver:
        yield receiver


def test_a_certificate_is_checked_against_the_name_not_the_pinned_address(
    named_receiver: receivers.Receiver,
) -> None:
    for _ in range(2):
        assert post(f"https://hooks.test:{named_receiver.port}/").ok
    assert named_receiver.connections == 1
    assert named_receiver.requests[0].headers["host"] == f"hooks.test:{named_receiver.port}"


@pytest.mark.parametrize("host", ["other.test", "127.0.0.1"])
def test_a_certificate_for_another_name_is_refused(host: str, named_receiver: receivers.Receiver) -> None:
    assert post(f"https://hooks.test:{named_receiver.port}/").ok
    answer = post(f"https://{host}:{named_receiver.port}/")
    assert (answer.error, answer.status_code) == ("tls", None)
    assert len(named_receiver.requests) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(loopback: None, tmp_path: Path) -> None:
    tls, _ = receivers.self_signed("127.0.0.1", tmp_path)
    with receivers.serve(receivers.answers(200), tls=tls) as receiver:
        assert post(receiver.url).error == "tls"
    assert not receiver.requests


def test_a_receiver_that_speaks_no_tls_is_refused(loopback: None) -> None:
    with receivers.serve(receivers.answers(200)) as receiver:
        assert post(receiver.url.replace("http://", "https://")).error in ("tls", "connection_reset")
    assert not receiver.requests


# --- connections --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"ok"])
def test_one_connection_serves_many_calls(body: bytes, loopback: None, fresh_client: None) -> None:
    with receivers.serve(receivers.answers(200, body)) as receiver:
        assert all(post(receiver.url).ok for _ in range(10))
    assert (receiver.connections, len(receiver.requests)) == (1, 10)


def test_calls_from_many_threads_each_get_their_own_answer(loopback: None, fresh_client: None) -> None:
    with receivers.serve(receivers.echoes_path()) as receiver, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: post(f"{receiver.url}/{number}"), range(200)))
    assert [answer.response for answer in answers] == [f"/hook/{number}" for number in range(200)]
    assert len(receiver.requests) == 200
    assert receiver.connections <= 16


def test_a_connection_that_was_closed_while_idle_costs_no_attempt(loopback: None, fresh_client: None) -> None:
    # The receiver answers once, then closes the connection at the moment it is used again.
    behaviour = receivers.in_turn(receivers.answers(200), receivers.resets(), receivers.answers(201))
    with receivers.serve(behaviour) as receiver:
        assert post(receiver.url).status_code == 200
        assert post(receiver.url).status_code == 201
    assert receiver.connections == 2


def test_a_call_leaves_no_socket_behind_but_the_one_kept_for_reuse(loopback: None, fresh_client: None) -> None:
    open_files = Path("/proc/self/fd")
    if not open_files.exists():
        pytest.skip("The system doesn't list open files.")
    with receivers.serve(receivers.drips_headers()) as receiver:
        post(receiver.url, deadline_seconds=0.1)
        before = len(list(open_files.iterdir()))
        for _ in range(5):
            post(receiver.url, deadline_seconds=0.1)
        time.sleep(0.2)
        assert len(list(open_files.iterdir())) <= before + 2


# --- Retry-After --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30),
        ("Saturday, 21-Nov-26 12:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 12:00:30 -0000", 30),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("9" * 500, guarded.RETRY_AFTER_MAX_SECONDS),
        ("Fri, 31 Dec 9999 23:59:59 GMT", guarded.RETRY_AFTER_MAX_SECONDS),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("Sat, 99 Nov 2026 99:00:30 GMT", None),
    ],
)
def test_retry_after_holds_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert guarded.parse_retry_after(value, NOW) == seconds


def test_a_date_to_retry_after_counts_from_now(loopback: None) -> None:
    with (
        time_machine.travel(NOW, tick=False),
        receivers.serve(receivers.answers(503, headers={"Retry-After": "Sat, 21 Nov 2026 12:01:00 GMT"})) as receiver,
    ):
        assert post(receiver.url).retry_after_seconds == 60
