"""The adapter for the OpenAI Videos format, against the simulator and against providers that misbehave."""

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.failures import FailureType
from batches.providers import (
    Accepted,
    Ambiguous,
    DownloadFailed,
    JobRequest,
    JobStatus,
    NotAccepted,
    Provider,
    SubmitOutcome,
)
from batches.providers import openai_wire as wire
from batches.providers.openai_videos import BodyFormat, OpenAIVideos
from batches.providers.transport import Answer
from tests.batches.provider_faults import answer, error, faulty, simulator

NOW = datetime(2026, 1, 24, 10, 0, tzinfo=UTC)
KEY = "sk-very-secret-key"
MB = 1024 * 1024


def request(prompt: str = "A cat playing piano", client_id: str = "itm_1.1") -> JobRequest:
    return JobRequest(model="sora-2", prompt=prompt, seconds=4, size="1280x720", client_id=client_id)


def adapter(base_url: str, key: str = KEY, body_format: BodyFormat = "json") -> OpenAIVideos:
    return OpenAIVideos(
        base_url,
        key,
        body_format=body_format,
        connect_timeout_seconds=0.5,
        submit_timeout_seconds=0.5,
        read_timeout_seconds=0.5,
        download_timeout_seconds=1.0,
    )


def submit_to(reply: bytes) -> SubmitOutcome:
    with faulty(reply) as provider:
        return adapter(provider.base_url).submit(request())


def video(job_id: str, status: object = "completed", **more: object) -> dict[str, object]:
    return {
        "id": job_id,
        "object": "video",
        "created_at": int(NOW.timestamp()),
        "model": "sora-2",
        "prompt": "A cat",
        "seconds": "4",
        "size": "1280x720",
        "status": status,
        "error": None,
        **more,
    }


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silence(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.recv(1)  # Returns when the client hangs up.


def drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    with contextlib.suppress(OSError):
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.05)


# --- submit ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body_format", ["json", "form"])
def test_a_submit_is_accepted_with_the_jobs_id_and_a_hint(body_format: BodyFormat) -> None:
    with simulator(latency_seconds=2.0) as server:
        outcome = adapter(server.base_url, body_format=body_format).submit(request("Zwölf Boxkämpfer"))
        assert isinstance(outcome, Accepted)
        assert outcome.poll_after_seconds == pytest.approx(2.0, abs=0.5)
        (listed,) = adapter(server.base_url).jobs_since(datetime.now(UTC) - timedelta(minutes=1))
    assert (listed.job_id, listed.prompt, listed.seconds) == (outcome.job_id, "Zwölf Boxkämpfer", 4)


def test_the_adapter_is_a_provider() -> None:
    provider: Provider = adapter("http://127.0.0.1:1/v1")
    assert provider.jobs_since(NOW) == []


def test_a_refused_connection_is_certainly_no_job() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    outcome = adapter(f"http://127.0.0.1:{port}/v1").submit(request())
    assert outcome == NotAccepted(FailureType.NETWORK_ERROR, "ConnectionError: ConnectionRefusedError")


def test_a_host_that_cannot_be_resolved_is_certainly_no_job() -> None:
    outcome = adapter(f"http://{'a' * 64}.example/v1").submit(request())
    assert isinstance(outcome, NotAccepted)
    assert outcome.failure == FailureType.NETWORK_ERROR


def test_a_connection_that_is_never_taken_is_certainly_no_job() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        for _ in range(4):
            client = stack.enter_context(contextlib.closing(socket.socket()))
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        outcome = adapter(f"http://127.0.0.1:{full.getsockname()[1]}/v1").submit(request())
    assert isinstance(outcome, NotAccepted)
    assert outcome.failure == FailureType.NETWORK_ERROR


def test_a_failed_tls_handshake_is_certainly_no_job() -> None:
    with faulty(answer(200, video("video_1"))) as provider:
        outcome = adapter(provider.base_url.replace("http:", "https:")).submit(request())
    assert isinstance(outcome, NotAccepted)
    assert outcome.failure == FailureType.NETWORK_ERROR
    assert provider.requests == []


def test_no_answer_in_time_is_ambiguous() -> None:
    with faulty(silence) as provider:
        outcome = adapter(provider.base_url).submit(request())
    assert isinstance(outcome, Ambiguous)
    assert len(provider.requests) == 1


@pytest.mark.parametrize("fault", [b"", reset], ids=["closed", "reset"])
def test_a_connection_lost_after_sending_is_ambiguous(fault: bytes) -> None:
    assert isinstance(submit_to(fault), Ambiguous)


def test_an_answer_that_drips_is_ambiguous_after_its_time() -> None:
    started = time.monotonic()
    with faulty(drip) as provider:
        assert isinstance(adapter(provider.base_url).submit(request()), Ambiguous)
    assert time.monotonic() - started < 3


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


@pytest.mark.parametrize("status", [408, 502, 504, 520, 522, 524, 599])
def test_a_gateway_that_gave_up_is_ambiguous(status: int) -> None:
    assert isinstance(submit_to(answer(status, b"<html>", content_type="text/html")), Ambiguous)


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
    assert outcome.failure == failure
    assert outcome.detail.startswith(str(status))


@pytest.mark.parametrize(
    "body",
    [
        {"error": "litellm.ContentPolicyViolationError: no"},
        {"detail": "blocked by our moderation system"},
        {"error": {"message": "Violates our content policy.", "code": 400}},
        {"detail": [{"loc": ["prompt"], "msg": "safety system"}]},
    ],
)
def test_a_gateways_own_wording_of_a_content_refusal_is_understood(body: object) -> None:
    outcome = submit_to(answer(400, body))
    assert isinstance(outcome, NotAccepted)
    assert outcome.failure == FailureType.CONTENT_REFUSED


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    later = format_datetime(NOW + timedelta(seconds=90), usegmt=True)
    for text, seconds in [("7", 7.0), ("0.5", 0.5), (later, 90.0), ("-3", 0.0), ("1e300", 3600.0)]:
        assert wire.retry_after_seconds({"retry-after": text}, now=NOW) == seconds
    for nonsense in ["", "soon", "nan", "inf", "Thu, 99 Foo 2026"]:
        assert wire.retry_after_seconds({"retry-after": nonsense}, now=NOW) is None


def test_a_refusal_hands_on_when_to_come_back() -> None:
    for status in (429, 503):
        outcome = submit_to(error(status, None, Retry_After="3"))
        assert isinstance(outcome, NotAccepted)
        assert outcome.retry_after_seconds == 3.0


def test_the_key_stays_out_of_what_is_stored() -> None:
    outcome = submit_to(error(401, "invalid_api_key", f"Incorrect API key provided: {KEY}."))
    assert isinstance(outcome, NotAccepted)
    assert KEY not in outcome.detail
    assert "[key]" in outcome.detail


def test_a_submit_carries_key_and_client_id_and_the_fields_of_the_format() -> None:
    with faulty(answer(200, video("video_1"))) as provider:
        adapter(provider.base_url).submit(request(client_id="itm_9.2"))
    head, _, body = provider.requests[0].partition(b"\r\n\r\n")
    assert f"Authorization: Bearer {KEY}".encode() in head
    assert b"X-Client-Request-Id: itm_9.2" in head
    fields = {"model": "sora-2", "prompt": "A cat playing piano", "seconds": "4", "size": "1280x720"}
    assert json.loads(body) == fields


def test_every_submit_has_a_connection_of_its_own_and_questions_share_one() -> None:
    connections: list[object] = []
    with simulator() as server:
        original = server.get_request

        def counted() -> tuple[socket.socket, object]:
            taken = original()
            connections.append(taken[1])
            return taken

        server.get_request = counted  # type: ignore[method-assign]
        provider = adapter(server.base_url)
        outcomes = [provider.submit(request()) for _ in range(3)]
        assert len(connections) == 3
        for outcome in outcomes:
            assert isinstance(outcome, Accepted)
            provider.poll([outcome.job_id])
        assert len(connections) == 4


# --- poll -----------------------------------------------------------------------------------------------------------


def test_a_hundred_jobs_are_polled_with_one_request() -> None:
    jobs = [video(f"video_{n}") for n in range(100)]
    page = {"object": "list", "data": jobs, "has_more": True, "last_id": "video_99"}
    with faulty(answer(200, page)) as provider:
        verdicts = adapter(provider.base_url).poll([f"video_{n}" for n in range(100)])
    assert provider.paths() == ["GET /v1/videos?limit=100&order=desc"]
    assert {verdict.status for verdict in verdicts.values()} == {JobStatus.SUCCEEDED}
    assert len(verdicts) == 100


def test_jobs_on_later_pages_are_found() -> None:
    with simulator() as server:
        provider = adapter(server.base_url)
        outcomes = [provider.submit(request()) for _ in range(130)]
        ids = [outcome.job_id for outcome in outcomes if isinstance(outcome, Accepted)]
        assert provider.poll(ids).keys() == set(ids)


def test_jobs_that_the_list_lacks_are_asked_for_one_by_one() -> None:
    page = {"object": "list", "data": [video("video_0")], "has_more": False}
    with faulty(answer(200, page), answer(404, {"error": {"message": "gone"}})) as provider:
        verdicts = adapter(provider.base_url).poll([f"video_{n}" for n in range(4)])
    assert len(provider.requests) == 4
    assert verdicts["video_0"].status == JobStatus.SUCCEEDED
    assert {verdicts[f"video_{n}"].failure for n in (1, 2, 3)} == {FailureType.PROVIDER_ERROR}


def test_a_provider_without_a_list_is_asked_for_each_job_and_not_for_its_list_again() -> None:
    ids = [f"video_{n}" for n in range(5)]
    with faulty(answer(405, {"detail": "Method Not Allowed"}), answer(404, {"error": {"message": "gone"}})) as provider:
        single = adapter(provider.base_url)
        assert single.poll(ids).keys() == set(ids)
        assert single.poll(ids).keys() == set(ids)
    assert provider.paths().count("GET /v1/videos?limit=100&order=desc") == 1
    assert len(provider.requests) == 11


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        reset,
        silence,
        answer(500, {"error": {"message": "oops"}}),
        answer(429, {"error": {"message": "slow down"}}, Retry_After="1"),
        answer(502, b"<html>"),
        answer(401, {"error": {"message": "key"}}),
        answer(404, b"<html>no such page</html>", content_type="text/html"),
        answer(200, b"<html>", content_type="text/html"),
        answer(200, video("video_of_somebody_else")),
    ],
    ids=["closed", "reset", "silent", "500", "429", "502", "401", "404 html", "200 html", "other job"],
)
@pytest.mark.parametrize("count", [1, 4])
def test_trouble_is_no_verdict(reply: bytes, count: int) -> None:
    with faulty(reply) as provider:
        assert adapter(provider.base_url).poll([f"video_{n}" for n in range(count)]) == {}


def test_a_provider_in_trouble_gets_no_hundred_more_requests() -> None:
    with faulty(answer(500, {})) as provider:
        adapter(provider.base_url).poll([f"video_{n}" for n in range(100)])
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("job", "status", "failure"),
    [
        (video("v", "queued"), JobStatus.RUNNING, None),
        (video("v", "in_progress"), JobStatus.RUNNING, None),
        (video("v", "polishing"), JobStatus.RUNNING, None),
        (video("v", None), JobStatus.RUNNING, None),
        (video("v", 3), JobStatus.RUNNING, None),
        (video("v", "completed"), JobStatus.SUCCEEDED, None),
        (video("v", "completed", error={"code": "x"}), JobStatus.FAILED, FailureType.PROVIDER_ERROR),
        (video("v", "failed"), JobStatus.FAILED, FailureType.PROVIDER_ERROR),
        (video("v", "failed", error="boom"), JobStatus.FAILED, FailureType.PROVIDER_ERROR),
        (video("v", "failed", error={"code": 500}), JobStatus.FAILED, FailureType.PROVIDER_ERROR),
        (
            video("v", "failed", error={"code": "moderation_blocked", "message": "no"}),
            JobStatus.FAILED,
            FailureType.CONTENT_REFUSED,
        ),
        (video("v", "failed", error={"code": "server_overloaded"}), JobStatus.FAILED, FailureType.CAPACITY),
        (video("v", "cancelled"), JobStatus.FAILED, FailureType.PROVIDER_ERROR),
    ],
)
def test_a_jobs_state_is_read_with_doubt_kept(
    job: dict[str, object], status: JobStatus, failure: FailureType | None
) -> None:
    with faulty(answer(200, job, openai_poll_after_ms="1500")) as provider:
        verdict = adapter(provider.base_url).poll(["v"])["v"]
    assert (verdict.status, verdict.failure) == (status, failure)
    assert verdict.poll_after_seconds == (None if status is JobStatus.FAILED else 1.5)


# --- list -----------------------------------------------------------------------------------------------------------


def test_jobs_since_reads_pages_until_older_jobs_come() -> None:
    old = int((NOW - timedelta(hours=1)).timestamp())
    first = {"data": [video("video_3"), video("video_2")], "has_more": True, "last_id": "video_2"}
    second = {"data": [video("video_1"), video("video_0", created_at=old)], "has_more": True, "last_id": "x"}
    with faulty(answer(200, first), answer(200, second)) as provider:
        jobs = adapter(provider.base_url).jobs_since(NOW + timedelta(microseconds=900_000))
    assert [job.job_id for job in jobs] == ["video_3", "video_2", "video_1"]
    assert provider.paths()[1] == "GET /v1/videos?limit=100&order=desc&after=video_2"
    assert jobs[0].created_at == NOW


def test_a_list_that_repeats_itself_comes_to_an_end() -> None:
    page = {"data": [video("video_1")], "has_more": True, "last_id": "video_1"}
    with faulty(answer(200, page)) as provider:
        adapter(provider.base_url).jobs_since(NOW)
    assert len(provider.requests) == 2


def test_a_list_that_breaks_off_is_no_list() -> None:
    page = {"data": [video("video_1")], "has_more": True, "last_id": "video_1"}
    with faulty(answer(200, page), b"") as provider:
        assert adapter(provider.base_url).jobs_since(NOW) == []


def test_entries_that_cannot_be_recognized_are_left_out() -> None:
    odd = [video("a", prompt=None), video("b", created_at="soon"), video("c", seconds="long"), 7, {"id": "d"}]
    with faulty(answer(200, {"data": [*odd, video("e", created_at=1e20), video("f")]})) as provider:
        jobs = adapter(provider.base_url).jobs_since(NOW)
    assert [job.job_id for job in jobs] == ["f"]


# --- download -------------------------------------------------------------------------------------------------------


def failed_download(provider_url: str, target: Path, max_bytes: int = MB) -> DownloadFailed:
    with pytest.raises(DownloadFailed) as caught:
        adapter(provider_url).download("video_1", target, max_bytes=max_bytes)
    assert not target.exists()
    return caught.value


def test_a_finished_video_is_streamed_into_the_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    with faulty(answer(200, content, content_type="video/mp4")) as provider:
        adapter(provider.base_url).download("video_1", tmp_path / "clip.mp4", max_bytes=MB)
    assert (tmp_path / "clip.mp4").read_bytes() == content
    assert provider.paths() == ["GET /v1/videos/video_1/content"]


@pytest.mark.parametrize("status", [413])
def test_a_file_that_is_too_large_is_not_asked_for_again(tmp_path: Path, status: int) -> None:
    with faulty(answer(status, {})) as provider:
        assert failed_download(provider.base_url, tmp_path / "clip.mp4").permanent


@pytest.mark.parametrize(
    "reply",
    [b"", reset, silence, answer(500, {}), answer(429, {}), answer(401, {}), answer(409, {})],
    ids=["closed", "reset", "silent", "500", "429", "401", "409"],
)
def test_a_download_that_may_work_later_is_not_given_up(tmp_path: Path, reply: bytes) -> None:
    with faulty(reply) as provider:
        assert not failed_download(provider.base_url, tmp_path / "clip.mp4").permanent


def test_a_file_cut_short_is_not_taken_for_whole(tmp_path: Path) -> None:
    whole = answer(200, b"x" * 100_000)
    with faulty(whole[:-1]) as provider:
        assert not failed_download(provider.base_url, tmp_path / "clip.mp4").permanent
    with faulty(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n") as provider:
        assert not failed_download(provider.base_url, tmp_path / "clip.mp4").permanent


def test_a_file_that_is_too_large_is_refused_announced_or_not(tmp_path: Path) -> None:
    with faulty(answer(200, b"x" * 2000)) as provider:
        assert failed_download(provider.base_url, tmp_path / "clip.mp4", max_bytes=1999).permanent
    with faulty(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 2000) as provider:
        assert failed_download(provider.base_url, tmp_path / "clip.mp4", max_bytes=1999).permanent


def test_a_file_that_drips_is_given_up_in_time(tmp_path: Path) -> None:
    started = time.monotonic()
    with faulty(drip) as provider:
        assert not failed_download(provider.base_url, tmp_path / "clip.mp4").permanent
    assert time.monotonic() - started < 3


def test_the_key_does_not_follow_a_redirect(tmp_path: Path) -> None:
    with faulty(answer(200, b"stolen")) as thief:
        with faulty(answer(302, b"", Location=thief.base_url)) as provider:
            assert failed_download(provider.base_url, tmp_path / "clip.mp4").permanent
        assert thief.requests == []


# --- whatever comes -------------------------------------------------------------------------------------------------

FIELDS = [
    *("id", "error", "code", "message", "type", "param", "status", "data"),
    *("last_id", "has_more", "created_at", "seconds", "prompt", "detail"),
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
    wire.page_of(reply)
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


def test_a_hundred_threads_may_share_the_adapter(busy: OpenAIVideos, tmp_path: Path) -> None:
    outcomes: list[SubmitOutcome] = []
    threads = [threading.Thread(target=lambda: outcomes.append(busy.submit(request()))) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    ids = {outcome.job_id for outcome in outcomes if isinstance(outcome, Accepted)}
    assert len(ids) == 100
