"""The adapter for Google's Veo, against answers recorded from its documents, its client libraries and its issues."""

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from batches.failures import FailureType
from batches.providers import (
    Accepted,
    Ambiguous,
    DownloadFailed,
    JobStatus,
    NotAccepted,
    Polled,
    Provider,
    SubmitOutcome,
    Verdict,
    singly,
)
from batches.providers import veo_wire as wire
from batches.providers.answers import Answer as HTTPAnswer
from batches.providers.veo import Veo
from tests.batches.provider_faults import (
    IMPATIENT,
    KEY,
    MB,
    NOW,
    PATIENT,
    Answer,
    answer,
    drip_header,
    faulty,
    path_of,
    playing,
    request,
    reset,
    silence,
)

MODEL = "veo-3.1-generate-preview"
NAME = f"models/{MODEL}/operations/abc123"
AUTH, REFUSED, INVALID = FailureType.PROVIDER_AUTH, FailureType.CONTENT_REFUSED, FailureType.INVALID_REQUEST
BROKEN = FailureType.PROVIDER_ERROR
REFUSAL = "This prompt contains words that violate Gemini API's usage guidelines. Try rephrasing the prompt."
AUDIO = "We encountered an issue with the audio for your prompt, so your video was blocked."


def veo(base_url: str, *, patience: float = PATIENT) -> Veo:
    return Veo(
        base_url,
        KEY,
        connect_timeout_seconds=patience,
        submit_timeout_seconds=patience,
        read_timeout_seconds=patience,
        download_timeout_seconds=2 * patience,
    )


def submit_to(reply: Answer, *, patience: float = PATIENT) -> SubmitOutcome:
    with faulty(reply) as provider:
        return veo(provider.base_url, patience=patience).submit(request(model=MODEL))


def poll_one(reply: bytes) -> Verdict | None:
    with faulty(reply) as provider:
        return veo(provider.base_url).poll([NAME]).verdicts.get(NAME)


def google_error(code: int, status: str, message: str = "No.", *details: object, **headers: str) -> bytes:
    error = {"code": code, "message": message, "status": status, "details": list(details)}
    return answer(code, {"error": error}, **headers)


def done(**more: object) -> dict[str, object]:
    return {"name": NAME, "done": True, **more}


def made(*videos: object, **more: object) -> dict[str, object]:
    """Return an operation that ended as the Gemini API ends it."""
    samples = {"generatedSamples": [{"video": video} for video in videos]} if videos else {}
    return done(
        response={
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse",
            "generateVideoResponse": {**samples, **more},
        }
    )


# --- submit ---------------------------------------------------------------------------------------------------------


def test_the_adapter_is_a_provider_whose_jobs_cannot_be_recognized() -> None:
    provider: Provider = veo("http://127.0.0.1:1/v1beta")
    assert provider.jobs_since(NOW) == []


@pytest.mark.parametrize(
    ("size", "aspect_ratio", "resolution"),
    [
        ("1280x720", "16:9", "720p"),
        ("720x1280", "9:16", "720p"),
        ("1920x1080", "16:9", "1080p"),
        ("1080x1920", "9:16", "1080p"),
    ],
)
def test_a_submit_is_what_the_api_documents(size: str, aspect_ratio: str, resolution: str) -> None:
    with faulty(answer(200, {"name": NAME})) as provider:
        outcome = veo(provider.base_url).submit(request("A cat", model=MODEL, size=size))
    assert outcome == Accepted(NAME, poll_after_seconds=10.0)
    assert provider.paths() == [f"POST /v1/models/{MODEL}:predictLongRunning"]
    head, _, body = provider.requests[0].partition(b"\r\n\r\n")
    assert f"x-goog-api-key: {KEY}".encode() in head
    assert b"authorization" not in head.lower()
    assert json.loads(body) == {
        "instances": [{"prompt": "A cat"}],
        "parameters": {
            "aspectRatio": aspect_ratio,
            "resolution": resolution,
            "durationSeconds": 4,
            "sampleCount": 1,
        },
    }


@pytest.mark.parametrize("size", ["1792x1024", "1280x721", "4k", ""])
def test_a_size_that_cannot_be_made_is_refused_without_a_request(size: str) -> None:
    with faulty(answer(200, {"name": NAME})) as provider:
        outcome = veo(provider.base_url).submit(request(model=MODEL, size=size))
    assert outcome == NotAccepted(INVALID, f"no video of size {size}")
    assert provider.requests == []


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (google_error(400, "INVALID_ARGUMENT", "durationSeconds needs to be a number."), INVALID),
        (google_error(400, "INVALID_ARGUMENT", REFUSAL), REFUSED),
        (google_error(400, "INVALID_ARGUMENT", "API key not valid.", {"reason": "API_KEY_INVALID"}), AUTH),
        (google_error(400, "FAILED_PRECONDITION", "User location is not supported."), AUTH),
        (google_error(401, "UNAUTHENTICATED"), AUTH),
        (google_error(403, "PERMISSION_DENIED"), AUTH),
        (
            google_error(404, "NOT_FOUND", f"models/{MODEL} is not found for API version v1beta"),
            FailureType.MODEL_RETIRED,
        ),
        (answer(404, b"<html>Not Found</html>"), BROKEN),
        (google_error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota."), FailureType.RATE_LIMITED),
        (google_error(500, "INTERNAL"), BROKEN),
        (google_error(503, "UNAVAILABLE", "The model is overloaded."), FailureType.CAPACITY),
        (answer(400, [{"error": {"code": 400, "message": REFUSAL, "status": "INVALID_ARGUMENT"}}]), REFUSED),
    ],
)
def test_a_refusal_is_certainly_no_job_and_says_why(reply: bytes, failure: FailureType) -> None:
    outcome = submit_to(reply)
    assert isinstance(outcome, NotAccepted)
    assert (outcome.failure, outcome.answered) == (failure, True)


@pytest.mark.parametrize(
    ("reply", "answered"),
    [
        (google_error(504, "DEADLINE_EXCEEDED"), True),
        (google_error(499, "CANCELLED"), True),
        (answer(502, b"<html>"), True),
        (answer(200, {"done": False}), True),
        (answer(200, {"name": "../../admin/operations/x"}), True),
        (answer(200, {"name": "operations/.."}), True),
        (answer(200, {"name": "/operations/x"}), True),
        (answer(200, {"name": "operations//x"}), True),
        (answer(200, {"name": "operations/a b"}), True),
        (answer(200, {"name": ""}), True),
        (answer(200, {"name": 17}), True),
        (answer(200, {"name": f"operations/{'a' * 600}"}), True),
        (answer(200, b"<html>"), True),
        (b"", False),
        (reset, False),
        (silence, False),
        (drip_header, False),
    ],
)
def test_an_answer_that_settles_nothing_is_ambiguous(reply: Answer, answered: bool) -> None:
    outcome = submit_to(reply, patience=IMPATIENT if reply in (silence, drip_header) else PATIENT)
    assert isinstance(outcome, Ambiguous)
    assert outcome.answered is answered


def test_a_provider_that_is_not_reached_has_no_job() -> None:
    outcome = veo("http://127.0.0.1:1/v1beta").submit(request(model=MODEL))
    assert isinstance(outcome, NotAccepted)
    assert (outcome.failure, outcome.answered) == (FailureType.NETWORK_ERROR, False)


@pytest.mark.parametrize(
    ("delay", "seconds"), [("17s", 17.0), ("3.5s", 3.5), ("0s", 0.0), ("90000s", 3600.0), ("soon", None)]
)
def test_a_limit_says_when_to_come_back(delay: str, seconds: float | None) -> None:
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "PerMinute"}]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
    ]
    outcome = submit_to(google_error(429, "RESOURCE_EXHAUSTED", "quota", *details))
    assert isinstance(outcome, NotAccepted)
    assert (outcome.failure, outcome.retry_after_seconds) == (FailureType.RATE_LIMITED, seconds), outcome.detail


def test_a_header_says_when_to_come_back_before_the_body_does() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}
    for text, seconds in [("5", 5.0), (later, 90.0)]:
        outcome = submit_to(google_error(503, "UNAVAILABLE", "busy", retry, Retry_After=text))
        assert isinstance(outcome, NotAccepted)
        assert outcome.retry_after_seconds == pytest.approx(seconds, abs=3)


# --- poll -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "status", "failure"),
    [
        ({"name": NAME}, JobStatus.RUNNING, None),
        ({"name": NAME, "done": False, "metadata": {}}, JobStatus.RUNNING, None),
        ({"name": NAME, "done": "perhaps"}, JobStatus.RUNNING, None),
        (made({"uri": "https://x.example/v"}), JobStatus.SUCCEEDED, None),
        (made({"uri": "https://x.example/v"}, raiMediaFilteredCount=1), JobStatus.SUCCEEDED, None),
        (made({"encodedVideo": "TVA0"}), JobStatus.SUCCEEDED, None),
        (done(response={"videos": [{"gcsUri": "gs://b/o.mp4"}]}), JobStatus.SUCCEEDED, None),
        (done(response={"videos": [{"bytesBase64Encoded": "TVA0"}]}), JobStatus.SUCCEEDED, None),
        # The content filter: done, no error, no samples.
        (made(raiMediaFilteredCount=1, raiMediaFilteredReasons=[AUDIO]), JobStatus.FAILED, REFUSED),
        (made(raiMediaFilteredReasons=["violence"]), JobStatus.FAILED, REFUSED),
        (made(generatedSamples=[], raiMediaFilteredCount=1), JobStatus.FAILED, REFUSED),
        (done(response={"videos": [], "raiMediaFilteredCount": 1}), JobStatus.FAILED, REFUSED),
        # Nothing at all.
        (done(), JobStatus.FAILED, BROKEN),
        (done(response={}), JobStatus.FAILED, BROKEN),
        (done(response=None, error=None), JobStatus.FAILED, BROKEN),
        (made(raiMediaFilteredCount=0), JobStatus.FAILED, BROKEN),
        (made({}), JobStatus.FAILED, BROKEN),
        (made("what"), JobStatus.FAILED, BROKEN),
        # Errors, of which some have only a number.
        (done(error={"code": 3, "message": REFUSAL}), JobStatus.FAILED, REFUSED),
        (done(error={"code": 3, "message": "The image was blocked for safety."}), JobStatus.FAILED, REFUSED),
        (done(error={"code": 3, "message": "Unsupported fps."}), JobStatus.FAILED, INVALID),
        (done(error={"code": 4, "message": "Deadline."}), JobStatus.FAILED, BROKEN),
        (done(error={"code": 7, "message": "No."}), JobStatus.FAILED, AUTH),
        (done(error={"code": 8, "message": "Quota."}), JobStatus.FAILED, FailureType.RATE_LIMITED),
        (done(error={"code": 13, "message": "Internal server issue."}), JobStatus.FAILED, BROKEN),
        (done(error={"code": 14, "message": "High load."}), JobStatus.FAILED, FailureType.CAPACITY),
        (done(error={"code": 400, "status": "INVALID_ARGUMENT", "message": "x"}), JobStatus.FAILED, INVALID),
        (done(error={"code": 99, "message": "?"}), JobStatus.FAILED, BROKEN),
        (done(error="text"), JobStatus.FAILED, BROKEN),
        (
            done(error={"code": 3, "message": "x"}, response={"videos": [{"gcsUri": "gs://b"}]}),
            JobStatus.FAILED,
            INVALID,
        ),
    ],
)
def test_an_operations_end_is_read(
    operation: dict[str, object], status: JobStatus, failure: FailureType | None
) -> None:
    verdict = poll_one(answer(200, operation))
    assert verdict is not None
    assert (verdict.status, verdict.failure, verdict.again) == (status, failure, True)
    assert verdict.poll_after_seconds == (10.0 if status is JobStatus.RUNNING else None)


def test_why_a_video_was_filtered_is_kept_for_operators() -> None:
    verdict = poll_one(answer(200, made(raiMediaFilteredCount=1, raiMediaFilteredReasons=[AUDIO])))
    assert verdict is not None
    assert AUDIO in verdict.detail


@pytest.mark.parametrize("name", [None, "operations/abc123", NAME])
def test_an_operation_is_recognized_also_when_a_gateway_cuts_its_name(name: str | None) -> None:
    operation = {**made({"uri": "https://x.example/v"}), "name": name}
    assert poll_one(answer(200, operation)) == Verdict(JobStatus.SUCCEEDED)


def test_a_name_of_any_signs_travels_whole() -> None:
    name = "models/m:1/operations/a?b=c#d%2e"
    with faulty(answer(200, {"name": name})) as provider:
        assert veo(provider.base_url).submit(request(model=MODEL)) == Accepted(name, poll_after_seconds=10.0)
        assert veo(provider.base_url).poll([name]).verdicts[name].status == JobStatus.RUNNING
    assert unquote(path_of(provider.requests[1])) == f"/v1/{name}"


def test_an_operation_that_google_lacks_is_gone() -> None:
    verdict = poll_one(google_error(404, "NOT_FOUND", "Requested entity was not found."))
    assert verdict is not None
    assert (verdict.failure, verdict.again) == (BROKEN, False)


TROUBLE: dict[str, Answer] = {
    "closed": b"",
    "reset": reset,
    "silent": silence,
    "dripping header": drip_header,
    "500": google_error(500, "INTERNAL"),
    "503": google_error(503, "UNAVAILABLE"),
    "429": google_error(429, "RESOURCE_EXHAUSTED"),
    "403": google_error(403, "PERMISSION_DENIED"),
    "404 of a router": answer(404, b"<html>Error 404 (Not Found)!!1</html>", content_type="text/html"),
    "HTML": answer(200, b"<html>", content_type="text/html"),
    "other operation": answer(200, {"name": "operations/other", "done": True}),
    "something else": answer(200, {"status": "ok"}),
}


@pytest.mark.parametrize("kind", TROUBLE)
def test_trouble_is_no_verdict_and_no_usable_answer(kind: str) -> None:
    with faulty(TROUBLE[kind]) as provider:
        assert veo(provider.base_url, patience=IMPATIENT).poll([NAME], since=NOW) == Polled({}, answered=False)


def test_many_operations_are_asked_for_at_once_and_in_turns() -> None:
    names = [f"operations/{number:04}" for number in range(500)]

    def play(sent: bytes) -> Answer:
        time.sleep(0.01)
        return answer(200, {"name": path_of(sent).removeprefix("/v1/"), "done": False})

    with playing(play) as server:
        provider = veo(server.base_url)
        started = time.monotonic()
        first, second = provider.poll(names), provider.poll(names)
        assert time.monotonic() - started < 2 * singly.MOST * 0.01
    assert len(first.verdicts) == singly.MOST
    assert first.verdicts.keys() | second.verdicts.keys() == set(names)
    assert first.answered


def test_no_operations_are_polled_without_a_request() -> None:
    assert veo("http://127.0.0.1:1/v1beta").poll([]) == Polled({}, answered=True)


# --- download -------------------------------------------------------------------------------------------------------


@pytest.fixture
def target(tmp_path: Path, settings: Settings) -> Path:
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = []
    return tmp_path / "clip.mp4"


def failure(base_url: str, target: Path, max_bytes: int = MB) -> DownloadFailed:
    with pytest.raises(DownloadFailed) as caught:
        veo(base_url).download(NAME, target, max_bytes=max_bytes)
    assert not target.exists()
    return caught.value


def test_a_video_on_googles_host_is_fetched_with_the_key(target: Path) -> None:
    replies: list[bytes] = []
    with playing(lambda _: replies.pop(0)) as provider:
        uri = f"{provider.base_url}/files/xyz:download?alt=media"
        replies += [answer(200, made({"uri": uri})), answer(200, b"clip")]
        veo(provider.base_url).download(NAME, target, max_bytes=MB)
    assert target.read_bytes() == b"clip"
    assert provider.paths() == [f"GET /v1/{NAME}", "GET /v1/files/xyz:download?alt=media"]
    assert all(f"x-goog-api-key: {KEY}".encode() in request for request in provider.requests)


def test_an_address_that_carries_our_key_is_called_without_it_and_with_the_header(target: Path) -> None:
    replies: list[bytes] = []
    with playing(lambda _: replies.pop(0)) as provider:
        uri = f"{provider.base_url}/files/xyz:download?key={KEY}&alt=media"
        replies += [answer(200, made({"uri": uri})), answer(200, b"clip")]
        veo(provider.base_url).download(NAME, target, max_bytes=MB)
    assert provider.paths()[1] == "GET /v1/files/xyz:download?alt=media"
    assert f"x-goog-api-key: {KEY}".encode() in provider.requests[1]


def test_a_redirect_to_storage_is_followed_without_the_key(target: Path, settings: Settings) -> None:
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = ["http://127.0.0.1:*"]
    replies: list[bytes] = []
    with faulty(answer(200, b"clip")) as storage, playing(lambda _: replies.pop(0)) as provider:
        uri = f"{provider.base_url}/files/xyz:download?alt=media"
        moved = answer(302, b"", Location=f"{storage.base_url}/clip?signature=s")
        replies += [answer(200, made({"uri": uri})), moved]
        veo(provider.base_url).download(NAME, target, max_bytes=MB)
    assert target.read_bytes() == b"clip"
    assert KEY.encode() not in storage.requests[0]


def test_a_video_on_another_host_is_fetched_without_the_key_even_if_its_address_names_it(
    target: Path, settings: Settings
) -> None:
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = ["http://127.0.0.1:*"]
    with faulty(answer(200, b"clip")) as storage:
        with faulty(answer(200, made({"uri": f"{storage.base_url}/clip?key={KEY}"}))) as provider:
            veo(provider.base_url).download(NAME, target, max_bytes=MB)
        assert KEY.encode() not in storage.requests[0]
    assert target.read_bytes() == b"clip"


def test_a_video_on_a_host_inside_is_not_fetched(target: Path) -> None:
    with faulty(answer(200, b"secret")) as inside:
        with faulty(answer(200, made({"uri": f"{inside.base_url}/clip"}))) as provider:
            assert failure(provider.base_url, target).permanent
        assert inside.requests == []


@pytest.mark.parametrize("field", ["encodedVideo", "bytesBase64Encoded"])
def test_a_video_that_came_along_is_written_down(target: Path, field: str) -> None:
    content = bytes(range(256))
    with faulty(answer(200, made({field: base64.b64encode(content).decode()}))) as provider:
        veo(provider.base_url).download(NAME, target, max_bytes=MB)
        assert target.read_bytes() == content
        target.unlink()
        assert failure(provider.base_url, target, max_bytes=255).permanent


@pytest.mark.parametrize(
    "operation",
    [
        done(response={"videos": [{"gcsUri": "gs://bucket/o.mp4"}]}),
        made({"uri": "files/xyz"}),
        made({"uri": ["https://x.example/"]}),
        made({"encodedVideo": "A"}),
    ],
)
def test_a_video_that_cannot_be_fetched_is_given_up(target: Path, operation: dict[str, object]) -> None:
    with faulty(answer(200, operation)) as provider:
        assert failure(provider.base_url, target).permanent


@pytest.mark.parametrize(
    "reply", [b"", answer(500, {}), google_error(429, "RESOURCE_EXHAUSTED"), answer(200, {"name": NAME, "done": False})]
)
def test_an_operation_that_does_not_tell_is_asked_again_later(target: Path, reply: bytes) -> None:
    with faulty(reply) as provider:
        assert not failure(provider.base_url, target).permanent


# --- whatever comes -------------------------------------------------------------------------------------------------

FIELDS = [
    *("name", "done", "error", "code", "message", "status", "details", "retryDelay", "response", "videos", "video"),
    *("generateVideoResponse", "generatedSamples", "uri", "gcsUri", "encodedVideo", "bytesBase64Encoded"),
    *("raiMediaFilteredCount", "raiMediaFilteredReasons"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=12,
)


@given(status=st.integers(200, 599), body=JSON)
def test_no_answer_makes_the_reading_raise(status: int, body: object) -> None:
    reply = HTTPAnswer(status, {}, json.dumps(body).encode())
    wire.submit_outcome(reply, now=NOW)
    operation = reply.json()
    if operation is not None:
        wire.is_of(operation, NAME)
        wire.output_of(operation)
        verdict = wire.verdict_of({**operation, "done": True})
        assert verdict.status is not JobStatus.RUNNING
        assert verdict.detail.isprintable()
