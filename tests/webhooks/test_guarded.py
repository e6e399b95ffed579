"""The guarded client against real receivers on loopback. Addresses that it must refuse: see test_addresses.

How receivers misbehave, and what is on record then: see test_faults.
"""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import certifi
import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from tests.programs import lacking
from tests.webhooks import receivers
from tests.webhooks.calling import HANG_SECONDS, post
from tests.webhooks.receivers import Received, Receiver
from webhooks import guarded

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


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


def test_nothing_is_taken_from_the_environment(
    loopback: None, fresh_client: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tls, certificate = receivers.self_signed("127.0.0.1", tmp_path)
    (tmp_path / ".netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(certificate))
    monkeypatch.setenv("NO_PROXY", "example.com")
    with ExitStack() as stack:
        proxy, receiver = (stack.enter_context(receivers.serve(receivers.answers(200))) for _ in range(2))
        strange = stack.enter_context(receivers.serve(receivers.answers(200), tls=tls))
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.upper(), proxy.url)
        assert post(receiver.url).ok
        assert post(strange.url).error == "tls"  # It would be trusted with the environment's authorities.
    assert "authorization" not in receiver.requests[0].headers
    assert (len(receiver.requests), len(strange.requests), proxy.connections) == (1, 0, 0)


def test_cookies_are_not_kept(loopback: None) -> None:
    with receivers.serve(receivers.answers(200, headers={"Set-Cookie": "a=1; Path=/"})) as receiver:
        assert post(receiver.url).ok
        assert post(receiver.url).ok
    assert all("cookie" not in request.headers for request in receiver.requests)


def test_a_response_is_text_without_nul_whatever_was_sent(loopback: None) -> None:
    with receivers.serve(receivers.answers(500, b"a\x00b\xff\xc3\xbc")) as receiver:
        assert post(receiver.url).response == "ab\ufffdü"


def test_a_slow_answer_within_the_deadline_is_taken(loopback: None) -> None:
    with receivers.serve(receivers.slow(0.3, receivers.answers(200))) as receiver:
        answer = post(receiver.url)
    assert answer.ok
    assert answer.duration_ms >= 300


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


# --- TLS ----------------------------------------------------------------------------------------------------


@pytest.fixture
def named_receiver(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fresh_client: None
) -> Iterator[Receiver]:
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
        return real("127.0.0.1" if host.removesuffix(".").endswith(".test") else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with receivers.serve(receivers.answers(200), tls=tls) as receiver:
        yield receiver


def test_a_certificate_is_checked_against_the_name_not_the_pinned_address(
    named_receiver: Receiver,
) -> None:
    for _ in range(2):
        assert post(f"https://hooks.test:{named_receiver.port}/").ok
    assert named_receiver.connections == 1
    assert named_receiver.requests[0].headers["host"] == f"hooks.test:{named_receiver.port}"


def test_a_name_with_the_dot_of_the_root_is_that_of_the_certificate(named_receiver: Receiver) -> None:
    assert post(f"https://hooks.test.:{named_receiver.port}/").ok


@pytest.mark.parametrize("host", ["other.test", "127.0.0.1"])
def test_a_certificate_for_another_name_is_refused(host: str, named_receiver: Receiver) -> None:
    assert post(f"https://hooks.test:{named_receiver.port}/").ok
    answer = post(f"https://{host}:{named_receiver.port}/")
    assert (answer.error, answer.status_code) == ("tls", None)
    assert len(named_receiver.requests) == 1


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


@pytest.mark.parametrize("broken", [b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_who_has_begun_to_answer_is_not_asked_again(broken: bytes, loopback: None, fresh_client: None) -> None:
    """Its connection was not closed while idle: it has the message."""
    behaviour = receivers.in_turn(receivers.answers(200), receivers.sends_and_closes(broken), receivers.answers(201))
    with receivers.serve(behaviour) as receiver:
        assert post(receiver.url).status_code == 200
        assert post(receiver.url).error == "connection_reset"
    assert (receiver.connections, len(receiver.requests)) == (1, 2)


def test_what_was_left_unread_of_an_answer_is_not_the_next_answer(loopback: None, fresh_client: None) -> None:
    too_much = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 1000
    behaviour = receivers.in_turn(receivers.answers(200, too_much), receivers.answers(500))
    with receivers.serve(behaviour) as receiver:
        assert post(receiver.url).status_code == 200
        assert post(receiver.url).status_code == 500
    assert receiver.connections == 2


def test_what_comes_after_an_interim_answer_is_not_the_next_answer(loopback: None, fresh_client: None) -> None:
    answer = receivers.slow(0.1, receivers.echoes_path())

    def hints_and_answers(connection: socket.socket, receiver: Receiver, received: Received) -> None:
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n")
        answer(connection, receiver, received)

    with receivers.serve(hints_and_answers) as receiver:
        answers = [post(f"{receiver.url}/{number}") for number in range(3)]
    assert [(answer.status_code, answer.response) for answer in answers] == [(200, f"/hook/{n}") for n in range(3)]
    assert receiver.connections == 1


def test_a_call_leaves_no_socket_behind_but_the_one_kept_for_reuse(loopback: None, fresh_client: None) -> None:
    open_files = Path("/proc/self/fd")
    if not open_files.exists():
        lacking("The system doesn't list open files.")
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
        ("Sat, 21 Nov 2026 12:00:30 +" + "9" * 20, None),
    ],
)
def test_retry_after_holds_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert guarded.parse_retry_after(value, NOW) == seconds


@given(st.text() | st.from_regex(r"Sat, [0-9]{1,3} Nov [0-9]{1,9} [0-9:]{1,20} [+-]?[0-9]{1,30}", fullmatch=True))
def test_whatever_retry_after_says_it_is_a_time_or_nothing(value: str) -> None:
    seconds = guarded.parse_retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= guarded.RETRY_AFTER_MAX_SECONDS


def test_a_date_to_retry_after_counts_from_now(loopback: None) -> None:
    with (
        time_machine.travel(NOW, tick=False),
        receivers.serve(receivers.answers(503, headers={"Retry-After": "Sat, 21 Nov 2026 12:01:00 GMT"})) as receiver,
    ):
        assert post(receiver.url).retry_after_seconds == 60
