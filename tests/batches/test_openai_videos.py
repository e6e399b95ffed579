"""The adapter for the OpenAI Videos format, against the simulator and against providers that misbehave."""

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.failures import FailureType
from batches.providers import Accepted, Ambiguous, NotAccepted, Provider, SubmitOutcome, transport
from batches.providers import openai_wire as wire
from batches.providers.answers import Answer, retry_after_seconds
from batches.providers.openai_videos import BodyFormat, OpenAIVideos
from batches.providers.refusals import says_gone
from tests.batches.provider_faults import (
    IMPATIENT,
    KEY,
    NOW,
    answer,
    drip,
    drip_header,
    error,
    faulty,
    openai,
    request,
    reset,
    silence,
    simulator,
    video,
)
from tests.webhooks import receivers

Fault = Callable[[socket.socket], None]


def submit_to(reply: bytes) -> SubmitOutcome:
    with faulty(reply) as provider:
        return openai(provider.base_url).submit(request())


# --- submit ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body_format", ["json", "form"])
def test_a_submit_is_accepted_with_the_jobs_id_and_a_hint(body_format: BodyFormat) -> None:
    with simulator(latency_seconds=2.0) as server:
        outcome = openai(server.base_url, body_format=body_format).submit(request("Zwölf Boxkämpfer"))
        assert isinstance(outcome, Accepted)
        assert outcome.poll_after_seconds == pytest.approx(2.0, abs=0.5)
        (listed,) = openai(server.base_url).jobs_since(datetime.now(UTC) - timedelta(minutes=1))
    assert (listed.job_id, listed.prompt, listed.seconds) == (outcome.job_id, "Zwölf Boxkämpfer", 4)


def test_the_adapter_is_a_provider() -> None:
    provider: Provider = openai("http://127.0.0.1:1/v1")
    assert provider.jobs_since(NOW) == []


def test_a_refused_connection_is_certainly_no_job() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    outcome = openai(f"http://127.0.0.1:{port}/v1").submit(request())
    detail = "ConnectionError: ConnectionRefusedError"
    assert outcome == NotAccepted(FailureType.NETWORK_ERROR, detail, answered=False)


def test_a_host_that_cannot_be_resolved_is_certainly_no_job() -> None:
    outcome = openai(f"http://{'a' * 64}.example/v1").submit(request())
    assert isinstance(outcome, NotAccepted)
    assert outcome.failure == FailureType.NETWORK_ERROR


def test_a_connection_that_is_never_taken_is_certainly_no_job() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        for _ in range(4):
            client = stack.enter_context(contextlib.closing(socket.socket()))
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        outcome = openai(f"http://127.0.0.1:{full.getsockname()[1]}/v1", patience=IMPATIENT).submit(request())
    assert isinstance(outcome, NotAccepted)
    assert (outcome.failure, outcome.answered) == (FailureType.NETWORK_ERROR, False)


def test_a_failed_tls_handshake_is_certainly_no_job() -> None:
    with faulty(answer(200, video("video_1"))) as provider:
        outcome = openai(provider.base_url.replace("http:", "https:"), patience=IMPATIENT).submit(request())
    assert isinstance(outcome, NotAccepted)
    assert outcome.failure == FailureType.NETWORK_ERROR
    assert provider.requests == []


def test_a_provider_is_known_by_its_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls, certificate = receivers.self_signed("127.0.0.1", tmp_path)
    job = receivers.answers(200, json.dumps(video("video_1")).encode())
    with receivers.serve(job, tls=tls) as server:
        base_url = f"https://127.0.0.1:{server.port}/v1"
        assert isinstance(openai(base_url).submit(request()), NotAccepted)
        assert server.requests == []
        monkeypatch.setattr(transport, "_tls", lambda: ssl.create_default_context(cafile=certificate))
        assert openai(base_url).submit(request()) == Accepted("video_1")


def test_no_answer_in_time_is_ambiguous() -> None:
    with faulty(silence) as provider:
        outcome = openai(provider.base_url, patience=IMPATIENT).submit(request())
    assert isinstance(outcome, Ambiguous)
    assert not outcome.answered
    assert len(provider.requests) == 1


@pytest.mark.parametrize("fault", [b"", reset], ids=["closed", "reset"])
def test_a_connection_lost_after_sending_is_ambiguous(fault: bytes) -> None:
    outcome = submit_to(fault)
    assert isinstance(outcome, Ambiguous)
    assert not outcome.answered


@pytest.mark.parametrize("fault", [drip, drip_header], ids=["body", "header"])
def test_an_answer_that_drips_is_ambiguous_after_its_time(fault: Fault) -> None:
    started = time.monotonic()
    with faulty(fault) as provider:
        assert isinstance(openai(provider.base_url, patience=IMPATIENT).submit(request()), Ambiguous)
    assert time.monotonic() - started < 8, "what drips would last for ten seconds"


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, b"<html>ok</html>", content_type="text/html"),
        answer(200, {"ok": True}),
        answer(200, {"id": 17}),
        answer(200, {"id": "a\x00b"}),
        answer(200, [1, 2]),
        answer(200, b"[" * 100_000),
        answer(200, video("video_1")).replace(b"Content-Length: ", b"Content-Length: 9"),
        answer(303, b"", Location="/v1/videos/video_1"),
    ],
    ids=["html", "no id", "number as id", "NUL in id", "list", "deep", "cut short", "see other"],
)
def test_success_without_a_job_is_ambiguous(reply: bytes) -> None:
    assert isinstance(submit_to(reply), Ambiguous)


@pytest.mark.parametrize("status", [200, 303, 408, 499, 502, 504, 520, 522, 524, 599])
def test_a_gateway_that_gave_up_is_ambiguous_though_it_answered(status: int) -> None:
    outcome = submit_to(answer(status, b"<html>", content_type="text/html"))
    assert isinstance(outcome, Ambiguous)
    assert outcome.answered


@pytest.mark.parametrize(
    ("status", "code", "failure"),
    [
        (400, "moderation_blocked", FailureType.CONTENT_REFUSED),
        (400, "sentinel_block", FailureType.CONTENT_REFUSED),
        (400, "content_policy_violation", FailureType.CONTENT_REFUSED),
        (403, "content_filter", FailureType.CONTENT_REFUSED),
        (400, "invalid_value", FailureType.INVALID_REQUEST),
        (400, None, FailureType.INVALID_REQUEST),
        (400, 400, FailureType.INVALID_REQUEST),
        (413, None, FailureType.INVALID_REQUEST),
        (422, "whatever", FailureType.INVALID_REQUEST),
        (400, "model_not_found", FailureType.MODEL_RETIRED),
        (404, "model_not_found", FailureType.MODEL_RETIRED),
        (410, None, FailureType.MODEL_RETIRED),
        (404, None, FailureType.PROVIDER_ERROR),
        (401, "invalid_api_key", FailureType.PROVIDER_AUTH),
        (402, None, FailureType.PROVIDER_AUTH),
        (403, None, FailureType.PROVIDER_AUTH),
        (429, "insufficient_quota", FailureType.PROVIDER_AUTH),
        (400, "billing_hard_limit_reached", FailureType.PROVIDER_AUTH),
        (429, "rate_limit_exceeded", FailureType.RATE_LIMITED),
        (429, 429, FailureType.RATE_LIMITED),
        (503, "server_overloaded", FailureType.CAPACITY),
        (529, None, FailureType.CAPACITY),
        (500, "server_error", FailureType.PROVIDER_ERROR),
        (501, None, FailureType.PROVIDER_ERROR),
        (521, None, FailureType.NETWORK_ERROR),
        (308, None, FailureType.PROVIDER_ERROR),
    ],
)
def test_a_refusal_is_certainly_no_job_and_says_why(status: int, code: object, failure: FailureType) -> None:
    outcome = submit_to(error(status, code))
    assert isinstance(outcome, NotAccepted)
    assert (outcome.failure, outcome.answered) == (failure, True)
    assert outcome.detail.startswith(str(status))


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    later = format_datetime(NOW + timedelta(seconds=90), usegmt=True)
    for text, seconds in [("7", 7.0), ("0.5", 0.5), (later, 90.0), ("-3", 0.0), ("1e300", 3600.0)]:
        assert retry_after_seconds({"retry-after": text}, now=NOW) == seconds
    for nonsense in ["", "soon", "nan", "inf", "Thu, 99 Foo 2026"]:
        assert retry_after_seconds({"retry-after": nonsense}, now=NOW) is None


def test_a_refusal_hands_on_when_to_come_back() -> None:
    for status in (429, 503):
        outcome = submit_to(error(status, None, Retry_After="3"))
        assert isinstance(outcome, NotAccepted)
        assert outcome.retry_after_seconds == 3.0


def test_a_submit_carries_key_and_client_id_and_the_fields_of_the_format() -> None:
    with faulty(answer(200, video("video_1"))) as provider:
        openai(provider.base_url).submit(request())
    head, _, body = provider.requests[0].partition(b"\r\n\r\n")
    assert f"Authorization: Bearer {KEY}".encode() in head
    assert b"X-Client-Request-Id: itm_1.1" in head
    fields = {"model": "sora-2", "prompt": "A cat playing piano", "seconds": "4", "size": "1280x720"}
    assert json.loads(body) == fields


def test_a_form_has_plain_fields_that_a_server_reads_back() -> None:
    with faulty(answer(200, video("video_1"))) as provider:
        openai(provider.base_url, body_format="form").submit(request("Zwölf\r\nBoxkämpfer"))
    head, _, body = provider.requests[0].partition(b"\r\n\r\n")
    form = message_from_bytes(b"Content-Type:" + head.split(b"Content-Type:")[1].split(b"\r\n")[0] + b"\r\n\r\n" + body)
    fields = {}
    for part in form.walk():
        if not part.is_multipart():
            assert part.get_filename() is None
            assert part.keys() == ["Content-Disposition"]
            fields[part.get_param("name", header="Content-Disposition")] = part.get_payload(decode=True)
    prompt = "Zwölf\r\nBoxkämpfer".encode()
    assert fields == {"model": b"sora-2", "prompt": prompt, "seconds": b"4", "size": b"1280x720"}


def test_a_prompt_that_no_form_can_carry_is_refused() -> None:
    outcome = openai("http://127.0.0.1:1/v1", body_format="form").submit(request("half a pair \ud83d"))
    assert isinstance(outcome, NotAccepted)
    assert outcome.failure == FailureType.INVALID_REQUEST


def test_every_submit_has_a_connection_of_its_own_and_questions_share_one() -> None:
    connections: list[object] = []
    with simulator() as server:
        original = server.get_request

        def counted() -> tuple[socket.socket, object]:
            taken = original()
            connections.append(taken[1])
            return taken

        server.get_request = counted  # type: ignore[method-assign]
        provider = openai(server.base_url)
        outcomes = [provider.submit(request()) for _ in range(3)]
        assert len(connections) == 3
        for outcome in outcomes:
            assert isinstance(outcome, Accepted)
            provider.poll([outcome.job_id])
        assert len(connections) == 4


# --- look up --------------------------------------------------------------------------------------------------------


def test_jobs_since_reads_pages_until_older_jobs_come() -> None:
    old = int((NOW - timedelta(hours=1)).timestamp())
    first = {"data": [video("video_3"), video("video_2")], "has_more": True, "last_id": "video_2"}
    second = {"data": [video("video_1"), video("video_0", created_at=old)], "has_more": True, "last_id": "x"}
    with faulty(answer(200, first), answer(200, second)) as provider:
        jobs = openai(provider.base_url).jobs_since(NOW + timedelta(microseconds=900_000))
    assert [job.job_id for job in jobs] == ["video_3", "video_2", "video_1"]
    assert provider.paths()[1] == "GET /v1/videos?limit=100&order=desc&after=video_2"
    assert jobs[0].created_at == NOW


def test_a_list_that_repeats_itself_comes_to_an_end() -> None:
    page = {"data": [video("video_1")], "has_more": True, "last_id": "video_1"}
    with faulty(answer(200, page)) as provider:
        openai(provider.base_url).jobs_since(NOW)
    assert len(provider.requests) == 2


def test_a_list_that_breaks_off_is_no_list() -> None:
    page = {"data": [video("video_1")], "has_more": True, "last_id": "video_1"}
    with faulty(answer(200, page), b"") as provider:
        assert openai(provider.base_url).jobs_since(NOW) == []


def test_entries_that_cannot_be_recognized_are_left_out() -> None:
    odd = [video("a", prompt=None), video("b", created_at="soon"), video("c", seconds="long"), 7, {"id": "d"}]
    with faulty(answer(200, {"data": [*odd, video("e", created_at=1e20), video("f")]})) as provider:
        jobs = openai(provider.base_url).jobs_since(NOW)
    assert [job.job_id for job in jobs] == ["f"]


# --- whatever comes -------------------------------------------------------------------------------------------------

FIELDS = [
    *("id", "error", "code", "message", "type", "param", "status", "data"),
    *("last_id", "has_more", "created_at", "seconds", "prompt", "detail", "details", "retryDelay"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@given(status=st.integers(200, 599), body=JSON, header=st.text(max_size=20))
def test_no_answer_makes_the_reading_raise(status: int, body: object, header: str) -> None:
    headers = {"retry-after": header, "openai-poll-after-ms": header}
    reply = Answer(status, headers, json.dumps(body).encode())
    wire.submit_outcome(reply, now=NOW)
    page = wire.page_of(reply)
    if page is not None:
        page.is_before(NOW)
        page.verdicts({"": ""})
    says_gone(reply)
    said = reply.json()
    if said is not None:
        detail = wire.verdict_of(said, headers).detail
        assert detail.isprintable()
        assert len(detail) <= 500
        wire.listed_job_of(said)


@pytest.fixture
def busy() -> Iterator[OpenAIVideos]:
    with simulator(latency_seconds=0.2) as server:
        yield OpenAIVideos(server.base_url)


def test_a_hundred_threads_may_share_the_adapter(busy: OpenAIVideos) -> None:
    outcomes: list[SubmitOutcome] = []
    threads = [threading.Thread(target=lambda: outcomes.append(busy.submit(request()))) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    ids = {outcome.job_id for outcome in outcomes if isinstance(outcome, Accepted)}
    assert len(ids) == 100
