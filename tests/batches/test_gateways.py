"""What servers and gateways make of the OpenAI Videos format: answers recorded from their code and their issues."""

import base64
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest

from batches.failures import FailureType
from batches.providers import Accepted, Ambiguous, JobStatus, NotAccepted, SubmitOutcome, Verdict
from batches.providers.adapters import Kind, adapter
from batches.providers.openai_wire import own_id
from tests.batches.provider_faults import KEY, NOW, Answer, answer, faulty, openai, path_of, playing, request, video

REFUSED, INVALID = FailureType.CONTENT_REFUSED, FailureType.INVALID_REQUEST


def submit_to(reply: bytes) -> SubmitOutcome:
    with faulty(reply) as provider:
        return openai(provider.base_url).submit(request())


def poll_one(reply: bytes, job_id: str = "v") -> Verdict | None:
    with faulty(reply) as provider:
        return openai(provider.base_url).poll([job_id]).verdicts.get(job_id)


def vllm_omni(status: str, **more: object) -> dict[str, object]:
    return video(
        "video_gen_1",
        status,
        progress=0,
        quality="default",
        media_type="video/mp4",
        file_name=None,
        stage_durations={},
        peak_memory_mb=0.0,
        **more,
    )


def sglang(job_id: str, status: str = "in_progress") -> dict[str, object]:
    """Return a job as SGLang shows it: without a prompt."""
    job = video(job_id, status, progress=0, quality="standard", file_path=None)
    del job["prompt"]
    return job


def litellm_id(own: str, model_id: str = "", provider: str = "gemini") -> str:
    said = f"litellm:custom_llm_provider:{provider};model_id:{model_id};video_id:{own}"
    return f"video_{base64.b64encode(said.encode()).decode()}"


# --- kinds of routes ------------------------------------------------------------------------------------------------


def test_each_kind_of_route_speaks_its_providers_language() -> None:
    spoken: dict[Kind, str] = {
        "openai": "POST /v1/videos application/json Authorization: Bearer",
        "openai-form": "POST /v1/videos multipart/form-data; Authorization: Bearer",
        "veo": "POST /v1/models/sora-2:predictLongRunning application/json x-goog-api-key:",
    }
    for kind, words in spoken.items():
        with faulty(answer(200, {"id": "operations/1", "name": "operations/1"})) as server:
            route = adapter(kind, server.base_url, KEY, submit_timeout_seconds=1.0, download_timeout_seconds=1.0)
            outcome = route.submit(request())
        assert isinstance(outcome, Accepted)
        assert outcome.job_id == "operations/1"
        head = server.requests[0].partition(b"\r\n\r\n")[0].decode()
        assert all(word in head for word in words.split())


# --- vLLM-Omni ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "message", "failure"),
    [
        (500, "CUDA out of memory.", FailureType.PROVIDER_ERROR),
        (400, "num_frames must be positive.", INVALID),
        (503, "Video generation handler not initialized.", FailureType.CAPACITY),
        (400, "The prompt was blocked by the safety filter.", REFUSED),
    ],
)
def test_a_failed_job_answered_with_the_failures_own_status_is_failed(
    code: int, message: str, failure: FailureType
) -> None:
    verdict = poll_one(answer(code, vllm_omni("failed", error={"code": code, "message": message})), "video_gen_1")
    assert verdict is not None
    assert (verdict.status, verdict.failure) == (JobStatus.FAILED, failure)
    assert message in verdict.detail


def test_an_error_with_a_number_as_code_is_a_refusal() -> None:
    body = {"error": {"message": "size: pattern mismatch", "type": "Bad Request", "param": None, "code": 400}}
    outcome = submit_to(answer(400, body))
    assert isinstance(outcome, NotAccepted)
    assert (outcome.failure, outcome.detail) == (INVALID, "400 400: size: pattern mismatch")


def test_a_model_that_the_server_does_not_run_is_a_refusal() -> None:
    text = "Model mismatch: request specifies 'sora-2' but server is running 'Wan2.2'."
    outcome = submit_to(answer(400, {"detail": text}))
    assert isinstance(outcome, NotAccepted)
    assert (outcome.failure, outcome.detail) == (INVALID, f"400 {text}")


# --- SGLang, TensorRT-LLM -------------------------------------------------------------------------------------------


def test_a_list_without_has_more_is_read_on_while_its_pages_are_full() -> None:
    pages = [[sglang(f"v{page}{number:02}") for number in range(100)] for page in range(2)]
    with faulty(answer(200, {"data": pages[0], "object": "list"}), answer(200, {"data": pages[1][:7]})) as provider:
        polled = openai(provider.base_url).poll(["v000", "v001", "v002", "v106"])
    assert provider.paths()[1].endswith("&after=v099")
    assert len(provider.requests) == 2
    assert {verdict.status for verdict in polled.verdicts.values()} == {JobStatus.RUNNING}
    assert len(polled.verdicts) == 4


def test_a_list_that_knows_neither_limit_nor_cursor_is_read_once_and_once_more() -> None:
    jobs = [sglang(f"v{number:03}", "completed") for number in range(250)]
    with faulty(answer(200, {"object": "list", "data": jobs})) as provider:
        polled = openai(provider.base_url).poll([f"v{number:03}" for number in range(0, 250, 7)])
        assert len(provider.requests) == 1
        openai(provider.base_url).jobs_since(NOW)
        assert len(provider.requests) == 3
    assert len(polled.verdicts) == 36


def test_a_list_without_prompts_recognizes_no_job_but_polls_them() -> None:
    with faulty(answer(200, {"data": [sglang("a"), sglang("b"), sglang("c"), sglang("d")]})) as provider:
        assert openai(provider.base_url).jobs_since(NOW) == []
        assert len(openai(provider.base_url).poll(["a", "b", "c", "d"]).verdicts) == 4


def test_a_job_that_the_server_says_it_lacks_is_gone() -> None:
    verdict = poll_one(answer(404, {"detail": "Video not found"}))
    assert verdict is not None
    assert (verdict.status, verdict.again) == (JobStatus.FAILED, False)


@pytest.mark.parametrize("created_at", [1769248800, 1769248800.25, "1769248800"])
@pytest.mark.parametrize("seconds", [4, 4.0, "4"])
def test_numbers_may_be_numbers_or_text(created_at: object, seconds: object) -> None:
    with faulty(answer(200, {"data": [video("a", created_at=created_at, seconds=seconds)]})) as provider:
        (job,) = openai(provider.base_url).jobs_since(datetime.fromtimestamp(1769248800, UTC))
    assert (job.seconds, job.created_at.replace(microsecond=0)) == (4, datetime.fromtimestamp(1769248800, UTC))


def test_a_job_without_a_time_is_polled_but_not_recognized() -> None:
    jobs = [video(name, created_at=None) for name in "abcd"]
    with faulty(answer(200, {"data": jobs, "has_more": False})) as provider:
        assert openai(provider.base_url).jobs_since(NOW) == []
        polled = openai(provider.base_url).poll(list("abcd"), since=NOW + timedelta(days=1))
    assert len(polled.verdicts) == 4


# --- LiteLLM and other gateways -------------------------------------------------------------------------------------


@pytest.mark.parametrize("job_id", [litellm_id("models/veo-3/operations/a?b>c", "m1"), "a/b=", "vertex:x/y==", "%2F"])
def test_an_id_of_any_signs_travels_whole(job_id: str) -> None:
    def play(sent: bytes) -> Answer:
        asked = path_of(sent).removeprefix("/v1/videos")
        if not asked:
            return answer(200, {"id": job_id, "object": "video", "status": "processing"})
        return answer(200, video(unquote(asked.removeprefix("/"))))

    with playing(play) as provider:
        outcome = openai(provider.base_url).submit(request())
        assert outcome == Accepted(job_id)
        assert openai(provider.base_url).poll([job_id]).verdicts[job_id].status == JobStatus.SUCCEEDED
    assert "/" not in path_of(provider.requests[1]).removeprefix("/v1/videos/")


def test_a_job_that_comes_back_under_another_of_a_gateways_ids_is_the_same_job() -> None:
    asked, other = litellm_id("operations/abc", model_id="m1"), litellm_id("operations/abc")
    assert own_id(asked) == own_id(other) == "operations/abc"
    for theirs in (asked, other, "operations/abc"):
        assert poll_one(answer(200, video(theirs)), asked) == Verdict(JobStatus.SUCCEEDED)
    assert poll_one(answer(200, video(litellm_id("operations/xyz", model_id="m1"))), asked) is None


def test_jobs_listed_under_a_gateways_other_ids_are_found() -> None:
    names = ["a", "b", "c", "d"]
    data = [video(litellm_id(name)) for name in names]
    with faulty(answer(200, {"data": data, "has_more": False})) as provider:
        asked = [litellm_id(name, model_id="m1") for name in names]
        assert openai(provider.base_url).poll(asked).verdicts.keys() == set(asked)
    assert len(provider.requests) == 1


def test_a_job_under_a_gateways_id_is_not_recognized_by_its_content() -> None:
    """It may be one that an attempt holds under another id already: taking it would charge for one job twice."""
    with faulty(answer(200, {"data": [video(litellm_id("a")), video("b")]})) as provider:
        assert [job.job_id for job in openai(provider.base_url).jobs_since(NOW)] == ["b"]


@pytest.mark.parametrize("job_id", ["video_", "video_a", "video_68d7512d07848190b3e45da0ecbebcde", "video_é", "vid_x"])
def test_an_id_that_no_gateway_made_is_the_providers_own(job_id: str) -> None:
    assert own_id(job_id) == job_id


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (400, {"error": "litellm.ContentPolicyViolationError: no"}, REFUSED),
        (400, {"detail": "blocked by our moderation system"}, REFUSED),
        (400, {"error": {"message": "Violates our content policy.", "code": 400}}, REFUSED),
        (400, {"detail": [{"loc": ["prompt"], "msg": "safety system"}]}, REFUSED),
        (400, {"detail": {"error": {"code": "moderation_blocked", "message": "no"}}}, REFUSED),
        (400, {"error": {"error": {"error": {"code": "moderation_blocked"}}}}, REFUSED),
        (400, {"error": {"message": 'OpenAIException - {"code": "moderation_blocked"}', "code": "400"}}, REFUSED),
        (400, {"error": {"message": "bad", "type": "None", "param": "None", "code": "400"}}, INVALID),
        (
            401,
            {"error": {"message": "Authentication Error", "type": "auth_error", "code": "401"}},
            FailureType.PROVIDER_AUTH,
        ),
        (429, {"detail": "Too many"}, FailureType.RATE_LIMITED),
        (404, {"detail": "Not Found"}, FailureType.PROVIDER_ERROR),
        (422, {"detail": [{"type": "missing", "loc": ["body", "prompt"], "msg": "Field required"}]}, INVALID),
        (403, b"<html><h1>Access denied</h1></html>", FailureType.PROVIDER_AUTH),
        (413, b"<html>nginx</html>", INVALID),
        (503, b"<html>nginx</html>", FailureType.CAPACITY),
        (500, b"Internal Server Error", FailureType.PROVIDER_ERROR),
        (521, b"<html>Web server is down</html>", FailureType.NETWORK_ERROR),
    ],
)
def test_a_gateways_own_wording_of_an_error_is_understood(status: int, body: object, failure: FailureType) -> None:
    outcome = submit_to(answer(status, body))
    assert isinstance(outcome, NotAccepted)
    assert (outcome.failure, outcome.answered) == (failure, True)


def test_a_page_of_html_instead_of_a_job_is_ambiguous() -> None:
    outcome = submit_to(answer(200, b"<html>Please log in</html>", content_type="text/html"))
    assert outcome == Ambiguous("200 without a job: b'<html>Please log in</html>'", answered=True)


# --- other providers behind a gateway -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "status", "failure"),
    [
        # fal: COMPLETED may carry an error.
        ({"status": "IN_QUEUE", "queue_position": 3}, JobStatus.RUNNING, None),
        ({"status": "COMPLETED"}, JobStatus.SUCCEEDED, None),
        ({"status": "COMPLETED", "error": "Timed out"}, JobStatus.FAILED, FailureType.PROVIDER_ERROR),
        (
            {"status": "COMPLETED", "error": {"type": "content_policy_violation", "message": "no"}},
            JobStatus.FAILED,
            REFUSED,
        ),
        # Runway: CANCELLED is an end, THROTTLED is none.
        ({"status": "THROTTLED"}, JobStatus.RUNNING, None),
        ({"status": "CANCELLED"}, JobStatus.FAILED, FailureType.PROVIDER_ERROR),
        ({"status": "CANCELED"}, JobStatus.FAILED, FailureType.PROVIDER_ERROR),
        ({"status": "SUCCEEDED", "output": ["https://x.example/a.mp4"]}, JobStatus.SUCCEEDED, None),
        # TensorRT-LLM: an error is a bare text.
        ({"status": "failed", "error": "CUDA error"}, JobStatus.FAILED, FailureType.PROVIDER_ERROR),
        # An enum of next year.
        ({"status": "awaiting_review"}, JobStatus.RUNNING, None),
        ({"status": {"state": "completed"}}, JobStatus.RUNNING, None),
        ({}, JobStatus.RUNNING, None),
    ],
)
def test_another_providers_states_are_understood(
    said: dict[str, object], status: JobStatus, failure: FailureType | None
) -> None:
    verdict = poll_one(answer(200, {"id": "v", **said}))
    assert verdict is not None
    assert (verdict.status, verdict.failure) == (status, failure)
