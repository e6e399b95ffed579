"""Polling providers of the OpenAI Videos format: many jobs at once, little traffic, and doubt is no verdict."""

import threading
import time
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from batches.failures import FailureType
from batches.providers import Accepted, JobStatus, Polled, openai_videos, singly
from tests.batches.provider_faults import (
    IMPATIENT,
    NOW,
    Answer,
    answer,
    drip_header,
    error,
    faulty,
    openai,
    path_of,
    playing,
    request,
    reset,
    silence,
    simulator,
    video,
)

GONE = error(404, None, "Video not found.")


def ids(count: int) -> list[str]:
    return [f"video_{number:04}" for number in range(count)]


class Provider:
    """A provider whose list holds `jobs`, newest first, in pages; it counts what it is asked."""

    def __init__(self, jobs: list[dict[str, object]], **headers: str) -> None:
        self.jobs = jobs
        self.headers = headers
        self.pages = 0
        self.singles: list[str] = []
        self._lock = threading.Lock()

    def play(self, sent: bytes) -> Answer:
        url = urlsplit(path_of(sent))
        with self._lock:
            if url.path == "/v1/videos":
                self.pages += 1
                return answer(200, self._page(parse_qs(url.query)), **self.headers)
            job_id = url.path.rpartition("/")[2]
            self.singles.append(job_id)
        found = [job for job in self.jobs if job["id"] == job_id]
        return answer(200, found[0]) if found else GONE

    def _page(self, query: dict[str, list[str]]) -> dict[str, object]:
        after = query.get("after", [""])[0]
        listed = [job["id"] for job in self.jobs]
        start = listed.index(after) + 1 if after else 0
        data = self.jobs[start : start + int(query["limit"][0])]
        return {"object": "list", "data": data, "has_more": start + len(data) < len(listed), "last_id": data[-1]["id"]}


# --- many at once ---------------------------------------------------------------------------------------------------


def test_five_thousand_jobs_are_polled_with_fifty_requests() -> None:
    provider = Provider([video(job_id) for job_id in ids(5000)])
    with playing(provider.play) as server:
        polled = openai(server.base_url).poll(ids(5000), since=NOW)
    assert len(polled.verdicts) == 5000
    assert (provider.pages, provider.singles) == (50, [])


def test_a_hundred_jobs_are_polled_with_one_request() -> None:
    jobs = [video(job_id) for job_id in ids(100)]
    page = {"object": "list", "data": jobs, "has_more": True, "last_id": "video_0099"}
    with faulty(answer(200, page)) as provider:
        polled = openai(provider.base_url).poll(ids(100))
    assert provider.paths() == ["GET /v1/videos?limit=100&order=desc"]
    assert {verdict.status for verdict in polled.verdicts.values()} == {JobStatus.SUCCEEDED}
    assert (len(polled.verdicts), polled.answered) == (100, True)


def test_jobs_on_later_pages_are_found() -> None:
    with simulator() as server:
        provider = openai(server.base_url)
        outcomes = [provider.submit(request()) for _ in range(130)]
        submitted = [outcome.job_id for outcome in outcomes if isinstance(outcome, Accepted)]
        assert provider.poll(submitted).verdicts.keys() == set(submitted)


def test_reading_ends_at_jobs_that_are_older_than_ours() -> None:
    old = int((NOW - timedelta(seconds=31)).timestamp())
    others = [video(f"other_{number}", created_at=old) for number in range(1000)]
    provider = Provider([*(video(job_id) for job_id in ids(4)), *others])
    with playing(provider.play) as server:
        polled = openai(server.base_url).poll([*ids(4), "forgotten"], since=NOW)
    assert polled.verdicts.keys() == {*ids(4), "forgotten"}
    assert (provider.pages, provider.singles) == (2, ["forgotten"])


def test_jobs_within_the_clocks_difference_are_still_ours() -> None:
    skewed = int((NOW - timedelta(seconds=29)).timestamp())
    others = [video(f"other_{number}") for number in range(100)]
    provider = Provider([*others, *(video(job_id, created_at=skewed) for job_id in ids(150))])
    with playing(provider.play) as server:
        polled = openai(server.base_url).poll(ids(150), since=NOW)
    assert (len(polled.verdicts), provider.pages, provider.singles) == (150, 3, [])


def test_a_huge_list_is_not_read_to_its_end() -> None:
    provider = Provider([video(f"other_{number}") for number in range(2000)])
    with playing(provider.play) as server:
        polled = openai(server.base_url).poll(ids(150), since=NOW)
    assert provider.pages == 2 * 2 + 3
    assert sorted(provider.singles) == ids(150)
    assert {verdict.failure for verdict in polled.verdicts.values()} == {FailureType.PROVIDER_ERROR}


def test_a_list_that_is_slow_leaves_time_for_singles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_videos, "LISTING_SECONDS", 0.01)
    provider = Provider([video(job_id) for job_id in ids(150)])

    def slowly(sent: bytes) -> Answer:
        time.sleep(0.02)
        return provider.play(sent)

    with playing(slowly) as server:
        polled = openai(server.base_url).poll(ids(150), since=NOW)
    assert (provider.pages, len(provider.singles), len(polled.verdicts)) == (1, 50, 150)


def test_singles_are_asked_at_once_but_not_all_in_one_poll_and_nobody_is_left_out_for_ever() -> None:
    at_once, most = 0, 0
    lock = threading.Lock()

    def play(sent: bytes) -> Answer:
        nonlocal at_once, most
        if path_of(sent).startswith("/v1/videos?"):
            return answer(404, {"detail": "Not Found"})
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.005)
        with lock:
            at_once -= 1
        return answer(200, video(path_of(sent).rpartition("/")[2], "in_progress"))

    with playing(play) as server:
        provider = openai(server.base_url)
        turns = [set(provider.poll(ids(700)).verdicts) for _ in range(3)]
    assert [len(turn) for turn in turns] == [singly.MOST] * 3
    assert turns[0] | turns[1] | turns[2] == set(ids(700))
    assert 1 < most <= singly.THREADS


def test_a_hint_on_the_list_holds_for_all_running_jobs_read_from_it() -> None:
    jobs = [video("video_0000"), *(video(job_id, "in_progress") for job_id in ids(5)[1:])]
    provider = Provider(jobs, openai_poll_after_ms="2500")
    with playing(provider.play) as server:
        verdicts = openai(server.base_url).poll(ids(5)).verdicts
    assert [verdicts[job_id].poll_after_seconds for job_id in ids(5)[1:]] == [2.5] * 4


def test_no_jobs_are_polled_without_a_request() -> None:
    assert openai("http://127.0.0.1:1/v1").poll([]) == Polled({}, answered=True)


# --- doubt ----------------------------------------------------------------------------------------------------------


def test_jobs_that_the_list_lacks_are_asked_for_one_by_one() -> None:
    page = {"object": "list", "data": [video("video_0000")], "has_more": False}
    with faulty(answer(200, page), GONE) as provider:
        verdicts = openai(provider.base_url).poll(ids(4)).verdicts
    assert len(provider.requests) == 4
    assert verdicts["video_0000"].status == JobStatus.SUCCEEDED
    assert {verdicts[job_id].failure for job_id in ids(4)[1:]} == {FailureType.PROVIDER_ERROR}
    assert not any(verdicts[job_id].again for job_id in ids(4)[1:])


def test_a_provider_without_a_list_is_asked_for_each_job_and_not_for_its_list_again() -> None:
    with faulty(answer(405, {"detail": "Method Not Allowed"}), GONE) as provider:
        single = openai(provider.base_url)
        assert single.poll(ids(5)).verdicts.keys() == set(ids(5))
        assert single.poll(ids(5)).verdicts.keys() == set(ids(5))
    assert provider.paths().count("GET /v1/videos?limit=100&order=desc") == 1
    assert len(provider.requests) == 11


TROUBLE: dict[str, Answer] = {
    "closed": b"",
    "reset": reset,
    "silent": silence,
    "dripping header": drip_header,
    "500": answer(500, {"error": {"message": "oops"}}),
    "429": answer(429, {"error": {"message": "slow down"}}, Retry_After="1"),
    "502": answer(502, b"<html>"),
    "401": answer(401, {"error": {"message": "key"}}),
    "404 of a router": answer(404, {"detail": "Not Found"}),
    "404 of an address": error(404, None, "Invalid URL (GET /v1/videos/v)"),
    "404 of a model": error(404, None, "The model of this video is not configured."),
    "404 as HTML": answer(404, b"<html>no such page</html>", content_type="text/html"),
    "200 as HTML": answer(200, b"<html>", content_type="text/html"),
    "other job": answer(200, video("video_of_somebody_else")),
    "no id": answer(200, {"status": "completed"}),
}


@pytest.mark.parametrize("kind", TROUBLE)
@pytest.mark.parametrize("count", [1, 4])
def test_trouble_is_no_verdict_and_no_usable_answer(kind: str, count: int) -> None:
    with faulty(TROUBLE[kind]) as provider:
        started = time.monotonic()
        assert openai(provider.base_url, patience=IMPATIENT).poll(ids(count)) == Polled({}, answered=False)
        assert time.monotonic() - started < 8


def test_a_provider_that_is_down_did_not_answer() -> None:
    for count in (1, 10):
        assert openai("http://127.0.0.1:1/v1").poll(ids(count)) == Polled({}, answered=False)


def test_a_list_without_our_jobs_is_an_answer() -> None:
    page = answer(200, {"data": [video("other")], "has_more": False})
    with faulty(page, answer(500, {})) as provider:
        assert openai(provider.base_url).poll(ids(4)) == Polled({}, answered=True)


def test_a_provider_in_trouble_gets_no_hundred_more_requests() -> None:
    with faulty(answer(500, {})) as provider:
        openai(provider.base_url).poll(ids(100))
    assert len(provider.requests) == 1


def test_singles_end_when_nothing_answers_any_more() -> None:
    with faulty(answer(405, {}), answer(503, {})) as provider:
        openai(provider.base_url).poll(ids(300))
    assert len(provider.requests) <= 1 + singly.MOST_SILENCES + singly.THREADS


def test_one_job_that_its_provider_chokes_on_hides_no_other() -> None:
    def play(sent: bytes) -> Answer:
        job_id = path_of(sent).rpartition("/")[2]
        if job_id == "video_0000":
            return answer(500, {"error": "KeyError: 'output'"})
        return answer(200, video(job_id)) if job_id.startswith("video_") else answer(405, {})

    with playing(play) as server:
        polled = openai(server.base_url).poll(ids(60))
    assert polled.verdicts.keys() == set(ids(60)[1:])


def test_a_list_that_breaks_off_keeps_the_verdicts_that_were_read() -> None:
    first = {"data": [video(job_id) for job_id in ids(100)], "has_more": True, "last_id": "video_0099"}
    with faulty(answer(200, first), b"") as provider:
        polled = openai(provider.base_url).poll(ids(150))
    assert polled.verdicts.keys() == set(ids(100))
    assert polled.answered
    assert len(provider.requests) == 2


@pytest.mark.parametrize(
    ("job", "status", "failure"),
    [
        (video("v", "queued"), JobStatus.RUNNING, None),
        (video("v", "in_progress"), JobStatus.RUNNING, None),
        (video("v", "polishing"), JobStatus.RUNNING, None),
        (video("v", None), JobStatus.RUNNING, None),
        (video("v", 3), JobStatus.RUNNING, None),
        (video("v", ["completed"]), JobStatus.RUNNING, None),
        (video("v", "completed"), JobStatus.SUCCEEDED, None),
        (video("v", "completed", error={}), JobStatus.SUCCEEDED, None),
        (video("v", "completed", error={"code": None, "message": ""}), JobStatus.SUCCEEDED, None),
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
        (video("v", "expired"), JobStatus.FAILED, FailureType.PROVIDER_ERROR),
    ],
)
def test_a_jobs_state_is_read_with_doubt_kept(
    job: dict[str, object], status: JobStatus, failure: FailureType | None
) -> None:
    with faulty(answer(200, job, openai_poll_after_ms="1500")) as provider:
        verdict = openai(provider.base_url).poll(["v"]).verdicts["v"]
    assert (verdict.status, verdict.failure) == (status, failure)
    assert verdict.poll_after_seconds == (None if status is JobStatus.FAILED else 1.5)
