"""Receivers that misbehave: what is on record after one attempt, and when the next one is.

Each goes the real way: an event is published, what is due is delivered, and the rows say what came of it.
"""

import gzip
import re
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import certifi
import pytest
from django.utils import timezone

from customers.models import Mode, Organization
from tests.webhooks.receivers import (
    Behaviour,
    accepts_nothing,
    answers,
    drips,
    drips_body,
    drips_headers,
    floods,
    free_port,
    hangs,
    resets,
    self_signed,
    sends,
    sends_and_closes,
    serve,
)
from webhooks import delivery, guarded
from webhooks.endpoints import create_endpoint
from webhooks.models import Attempt, Delivery, EventType, new_event_id
from webhooks.services import publish

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("loopback", "fresh_client")]

State = Delivery.State

# The first wait of the schedule with its jitter, in seconds.
SCHEDULE = (4.0, 6.0)
HOUR, DAY = 3600.0, 86_400.0
# Who delays is given this long here; all others as long as a machine may need that is busy.
SHORT_SECONDS, LONG_SECONDS = 1.0, 15.0

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
KEPT = guarded.RESPONSE_MAX_BYTES
BOMB = gzip.compress(b"x" * 10_000_000)
AT_LAST = {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}


@dataclass(frozen=True)
class Outcome:
    """What is on record: `response` as a pattern for the whole of it, `wait` in seconds up to the next attempt."""

    status_code: int | None = None
    error: str = ""
    response: str = ""
    state: Delivery.State = State.PENDING
    wait: tuple[float, float] | None = SCHEDULE


def failed(status_code: int | None = None, error: str = "", response: str = "") -> Outcome:
    """It is tried again after the schedule's wait."""
    return Outcome(status_code, error, response)


def asked(status_code: int, wait_seconds: float) -> Outcome:
    """It is tried again when the receiver wants."""
    return Outcome(status_code, wait=(wait_seconds, wait_seconds))


def taken(status_code: int = 200, response: str = "") -> Outcome:
    """It is delivered."""
    return Outcome(status_code, response=response, state=State.DELIVERED, wait=None)


# They are left at the deadline.
LATE: dict[str, tuple[Behaviour, Outcome]] = {
    "hangs": (hangs(), failed(None, "timeout")),
    "drips the status line": (drips(b"x", before=b"HTTP/1.1 2"), failed(None, "timeout")),
    "drips a header": (drips_headers(), failed(None, "timeout")),
    "drips headers": (drips(b"X: x\r\n", before=HEAD), failed(None, "timeout")),
    "answers 100 for ever": (drips(b"HTTP/1.1 100 Continue\r\n\r\n", every_seconds=0.001), failed(None, "timeout")),
    "answers 103 for ever": (drips(b"HTTP/1.1 103 Early Hints\r\n\r\n", every_seconds=0.001), failed(None, "timeout")),
    "answers 101 and waits": (sends(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), failed(None, "timeout")),
    "drips the body": (drips_body(), failed(200, "timeout", "x+")),
    "drips a body that ends when it closes": (
        drips(b"x", before=b"HTTP/1.1 500 No\r\n\r\n"),
        failed(500, "timeout", "x+"),
    ),
    "drips the size of a chunk": (drips(b"0", before=CHUNKED), failed(200, "timeout")),
    "stops in the body": (sends(HEAD + b"Content-Length: 9\r\n\r\nabc"), failed(200, "timeout", "abc")),
}

# What comes is no whole answer.
BROKEN: dict[str, tuple[Behaviour, Outcome]] = {
    "resets": (resets(), failed(None, "connection_reset")),
    "closes": (sends_and_closes(b""), failed(None, "connection_reset")),
    "closes in the status": (sends_and_closes(b"HTTP/1.1 2"), failed(None, "invalid_response")),
    "closes after the status": (sends_and_closes(b"HTTP/1.1 200"), failed(None, "connection_reset")),
    "closes after the status line": (sends_and_closes(HEAD), failed(None, "connection_reset")),
    "closes in a header": (sends_and_closes(HEAD + b"Content-Le"), failed(None, "connection_reset")),
    "closes between headers": (sends_and_closes(HEAD + b"Content-Length: 0\r\n"), failed(None, "connection_reset")),
    "closes before the body": (
        sends_and_closes(HEAD + b"Content-Length: 9\r\n\r\n"),
        failed(200, "connection_reset"),
    ),
    "closes in the body": (
        sends_and_closes(HEAD + b"Content-Length: 9\r\n\r\nabc"),
        failed(200, "connection_reset", "abc"),
    ),
    "closes in a chunk": (sends_and_closes(CHUNKED + b"9\r\nabc"), failed(200, "connection_reset", "abc")),
    "closes before the last chunk": (
        sends_and_closes(CHUNKED + b"3\r\nabc\r\n"),
        failed(200, "connection_reset", "abc"),
    ),
    "sends chunks that are none": (sends_and_closes(CHUNKED + b"zz\r\n"), failed(200, "connection_reset")),
    "speaks SSH": (sends_and_closes(b"SSH-2.0-OpenSSH_9.2\r\n"), failed(None, "invalid_response")),
    "speaks HTTP/2": (sends_and_closes(b"HTTP/2 200\r\n\r\n"), failed(None, "invalid_response")),
    "sends noise": (sends_and_closes(bytes(range(256))), failed(None, "invalid_response")),
    "has no such status": (sends_and_closes(b"HTTP/1.1 2000 OK\r\n\r\n"), failed(None, "invalid_response")),
    "has two lengths": (
        sends_and_closes(HEAD + b"Content-Length: 0\r\nContent-Length: 1\r\n\r\n"),
        failed(None, "invalid_response"),
    ),
    "sends a status line without end": (floods(b"x" * 1000, before=HEAD[:-2]), failed(None, "invalid_response")),
    "sends a header without end": (floods(b"x" * 1000, before=HEAD + b"X: "), failed(None, "invalid_response")),
    "sends headers without end": (floods(b"X: x\r\n" * 10, before=HEAD), failed(None, "invalid_response")),
}

# It is one, and no success.
ANSWERS: dict[str, tuple[Behaviour, Outcome]] = {
    "400 with a reason": (answers(400, b"no such hook"), failed(400, response="no such hook")),
    "404": (answers(404), failed(404)),
    "410": (answers(410, b"gone"), Outcome(410, response="gone", state=State.EXHAUSTED, wait=None)),
    "410 that breaks off": (
        sends_and_closes(b"HTTP/1.1 410 Gone\r\nContent-Length: 9\r\n\r\n"),
        Outcome(410, "connection_reset", state=State.EXHAUSTED, wait=None),
    ),
    "429": (answers(429), failed(429)),
    "429, in an hour": (answers(429, headers={"Retry-After": "3600"}), asked(429, HOUR)),
    "429, in a second": (answers(429, headers={"Retry-After": "1"}), failed(429)),
    "429, in two days": (answers(429, headers={"Retry-After": "172800"}), asked(429, DAY)),
    "429, at the end of time": (answers(429, headers=AT_LAST), asked(429, DAY)),
    "429, soon": (answers(429, headers={"Retry-After": "soon"}), failed(429)),
    "429, in a zone that is none": (
        answers(429, headers={"Retry-After": "Sat, 21 Nov 2026 12:00:30 +" + "9" * 20}),
        failed(429),
    ),
    "500": (answers(500, b"oops"), failed(500, response="oops")),
    "503": (answers(503), failed(503)),
    "503, in an hour": (answers(503, headers={"Retry-After": "3600"}), asked(503, HOUR)),
}

# It is a success, whatever comes with it.
TAKEN: dict[str, tuple[Behaviour, Outcome]] = {
    "200": (answers(200, b"thanks"), taken(200, "thanks")),
    "200, in an hour": (answers(200, headers={"Retry-After": "3600"}), taken()),
    "202": (answers(202), taken(202)),
    "204": (sends(b"HTTP/1.1 204 No Content\r\n\r\n"), taken(204)),
    "204 that announces a body": (sends(b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n"), taken(204)),
    "200 after 100 and 103": (
        sends(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\nHTTP/1.1 204 OK\r\n\r\n"),
        taken(204),
    ),
    "HTTP/1.0": (sends_and_closes(b"HTTP/1.0 200 OK\r\n\r\nthanks"), taken(200, "thanks")),
    "chunks": (sends(CHUNKED + b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"), taken(200, "abcdef")),
    "no length": (sends_and_closes(HEAD + b"\r\nthanks"), taken(200, "thanks")),
    "body without end": (floods(b"x" * 65536, before=HEAD + b"\r\n"), taken(200, f"x{{{KEPT}}}")),
    "body of a terabyte": (
        floods(b"x" * 65536, before=HEAD + b"Content-Length: 1000000000000\r\n\r\n"),
        taken(200, f"x{{{KEPT}}}"),
    ),
    "chunks without end": (floods(b"1000\r\n" + b"x" * 4096 + b"\r\n", before=CHUNKED), taken(200, f"x{{{KEPT}}}")),
    "what PostgreSQL refuses": (
        answers(200, b"\x00\xff" + b"x" * 20_000),
        taken(200, f"\N{REPLACEMENT CHARACTER}x{{{KEPT - 2}}}"),
    ),
    "gzip bomb, not decoded": (
        answers(200, BOMB, {"Content-Encoding": "gzip"}),
        taken(200, re.escape(BOMB.decode(errors="replace").replace("\x00", ""))),
    ),
    "gzip that is none": (answers(200, b"thanks", {"Content-Encoding": "gzip"}), taken(200, "thanks")),
}


@pytest.fixture
def acme() -> Organization:
    return Organization.objects.create(name="Acme")


@pytest.fixture(autouse=True)
def _long_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded.post, "__kwdefaults__", {"deadline_seconds": LONG_SECONDS})


@pytest.fixture
def short_deadline(_long_deadline: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded.post, "__kwdefaults__", {"deadline_seconds": SHORT_SECONDS})


def deliver(acme: Organization, url: str) -> tuple[datetime, datetime]:
    """Tell the endpoint at `url` of an event, once; return the times before and after."""
    create_endpoint(organization=acme, mode=Mode.LIVE, url=url)
    event_id = new_event_id()
    publish(
        organization_id=acme.pk,
        mode=Mode.LIVE,
        event_type=EventType.BATCH_COMPLETED,
        event_id=event_id,
        body='{"event":"batch.completed"}',
        reference=f"bat_of_{event_id}",
    )
    before = timezone.now()
    assert delivery.deliver_due() == 1
    return before, timezone.now()


def check(expected: Outcome, before: datetime, after: datetime) -> None:
    """Compare what is on record with what is expected."""
    attempt, row = Attempt.objects.get(), Delivery.objects.get()
    assert (attempt.number, attempt.status_code, attempt.error) == (1, expected.status_code, expected.error)
    assert re.fullmatch(expected.response, attempt.response, re.DOTALL)
    assert len(attempt.response.encode()) <= 3 * KEPT  # A byte that is no text takes three.
    assert attempt.duration_ms is not None
    assert (row.state, row.lease, row.attempts_made) == (expected.state, None, 1)
    if expected.wait is None:
        assert row.due_at is None
        return
    earliest, latest = expected.wait
    assert row.due_at is not None
    assert before + timedelta(seconds=earliest) <= row.due_at <= after + timedelta(seconds=latest)


@pytest.mark.parametrize(("behaviour", "expected"), LATE.values(), ids=LATE)
def test_who_delays_is_left_at_the_deadline(
    behaviour: Behaviour, expected: Outcome, acme: Organization, short_deadline: None
) -> None:
    with serve(behaviour) as receiver:
        times = deliver(acme, receiver.url)
        assert len(receiver.requests) == 1
    check(expected, *times)


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [*BROKEN.values(), *ANSWERS.values(), *TAKEN.values()],
    ids=[*BROKEN, *ANSWERS, *TAKEN],
)
def test_whatever_comes_is_on_record_and_decides_what_is_next(
    behaviour: Behaviour, expected: Outcome, acme: Organization
) -> None:
    """Nothing without end is waited for: the deadline would show as an error."""
    with serve(behaviour) as receiver:
        times = deliver(acme, receiver.url)
        assert len(receiver.requests) == 1
    check(expected, *times)


def test_who_answers_before_it_has_read_the_body_has_taken_it(acme: Organization) -> None:
    with serve(answers(200, b"thanks"), reads_bodies=False) as receiver:
        times = deliver(acme, receiver.url)
    check(taken(200, "thanks"), *times)


@pytest.mark.parametrize("status_code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("elsewhere", ["{other}", "/elsewhere", "https://example.com/", "http://[::1", ""])
def test_a_redirect_is_a_failure_and_nobody_else_hears_of_it(
    status_code: int, elsewhere: str, acme: Organization
) -> None:
    with ExitStack() as stack:
        other = stack.enter_context(serve(answers(200)))
        location = elsewhere.replace("{other}", other.url)
        receiver = stack.enter_context(serve(answers(status_code, headers={"Location": location})))
        times = deliver(acme, receiver.url)
    check(failed(status_code), *times)
    assert ([request.path for request in receiver.requests], other.connections) == (["/hook"], 0)


def test_nobody_listens(acme: Organization) -> None:
    check(failed(None, "connection_refused"), *deliver(acme, f"http://127.0.0.1:{free_port()}/hook"))


def test_nobody_accepts(acme: Organization, short_deadline: None) -> None:
    with accepts_nothing() as port:
        times = deliver(acme, f"http://127.0.0.1:{port}/hook")
    check(failed(None, "timeout"), *times)


# --- TLS ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "valid_days", "is_trusted", "expected"),
    [
        ("127.0.0.1", 1, True, taken(200)),
        ("127.0.0.1", 1, False, failed(None, "tls")),
        ("hooks.example.com", 1, True, failed(None, "tls")),
        ("127.0.0.1", -1, True, failed(None, "tls")),
    ],
    ids=["sound", "self-signed", "for another name", "expired"],
)
def test_a_certificate_must_be_sound(
    host: str,
    valid_days: int,
    is_trusted: bool,
    expected: Outcome,
    acme: Organization,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tls, certificate = self_signed(host, tmp_path, valid_days=valid_days)
    if is_trusted:
        monkeypatch.setattr(certifi, "where", lambda: str(certificate))
    with serve(answers(200), tls=tls) as receiver:
        times = deliver(acme, receiver.url)
    check(expected, *times)
    assert len(receiver.requests) == (expected.state == State.DELIVERED)


def test_who_speaks_no_tls_gets_nothing(acme: Organization) -> None:
    with serve(answers(200)) as receiver:
        times = deliver(acme, receiver.url.replace("http://", "https://"))
    error = Attempt.objects.get().error
    assert error in ("tls", "connection_reset")
    check(failed(None, error), *times)
    assert receiver.requests == []


def test_a_handshake_that_does_not_come_is_left_at_the_deadline(acme: Organization, short_deadline: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        times = deliver(acme, f"https://127.0.0.1:{silent.getsockname()[1]}/")
    check(failed(None, "timeout"), *times)
