"""The provider simulator, over real HTTP: the official client, our adapter, and raw requests."""

import http.client
import io
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import openai
import pytest
from PIL import Image

from batches.failures import FailureType
from batches.providers import Accepted, Ambiguous, DownloadFailed, JobRequest, JobStatus, NotAccepted
from batches.providers.openai_videos import OpenAIVideos
from batches.simulator import clips
from batches.simulator.marks import PLAYABLE, Script, UnplayableMark, script_of
from batches.simulator.server import SimulatorServer
from tests.batches.provider_faults import simulator

# The client warns that OpenAI's own service has ended; the format lives on.
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[2]
NOT_TAKEN = (
    FailureType.INVALID_REQUEST,
    FailureType.RATE_LIMITED,
    FailureType.CAPACITY,
    FailureType.PROVIDER_AUTH,
    FailureType.MODEL_RETIRED,
    FailureType.NETWORK_ERROR,
)


@pytest.fixture
def server() -> Iterator[SimulatorServer]:
    with simulator() as running:
        yield running


def client_of(server: SimulatorServer, key: str = "any") -> openai.OpenAI:
    return openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0)


def call(
    server: SimulatorServer, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], Any]:
    """Send one raw request; return status, headers and the parsed JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    try:
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, path, body=content, headers=headers or {})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), json.loads(response.read())
    finally:
        connection.close()


def submit(server: SimulatorServer, prompt: str, client_id: str = "") -> Accepted | NotAccepted | Ambiguous:
    return OpenAIVideos(server.base_url).submit(JobRequest("sora-2", prompt, 1, "320x180", client_id))


def verdict(server: SimulatorServer, outcome: object) -> tuple[JobStatus, FailureType | None]:
    assert isinstance(outcome, Accepted)
    found = OpenAIVideos(server.base_url).poll([outcome.job_id]).verdicts[outcome.job_id]
    return found.status, found.failure


# --- the official client --------------------------------------------------------------------------------------------


def test_the_official_client_makes_a_video_from_create_to_delete() -> None:
    with simulator(latency_seconds=0.2) as server:
        client = client_of(server)
        video = client.videos.create(model="sora-2", prompt="A cat", seconds="4", size="1280x720")
        assert video.id.startswith("video_")
        assert (video.object, video.model, video.prompt) == ("video", "sora-2", "A cat")
        assert (video.seconds, video.size, video.status) == ("4", "1280x720", "queued")
        assert (video.completed_at, video.error, video.expires_at) == (None, None, None)
        time.sleep(0.3)
        done = client.videos.retrieve(video.id)
        assert (done.status, done.progress) == ("completed", 100)
        assert done.completed_at is not None
        assert done.expires_at == done.created_at + 86_400
        assert client.videos.delete(video.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.videos.retrieve(video.id)


def test_the_official_client_can_wait_for_a_video_and_download_it() -> None:
    with simulator(latency_seconds=0.2) as server:
        client = client_of(server)
        video = client.videos.create_and_poll(model="veo-3", prompt="A dog", seconds="8")
        assert (video.status, video.size) == ("completed", "720x1280")
        with av.open(io.BytesIO(client.videos.download_content(video.id).read()), "r") as film:
            stream = film.streams.video[0]
            assert (stream.width, stream.height, stream.codec_context.name) == (720, 1280, "h264")
            assert film.duration == 8 * 1_000_000
        for variant, image_format in (("thumbnail", "WEBP"), ("spritesheet", "JPEG")):
            content = client.videos.download_content(video.id, variant=variant).read()  # type: ignore[arg-type]
            with Image.open(io.BytesIO(content)) as image:
                assert (image.format, image.size) == (image_format, (720, 1280))


def test_the_official_client_pages_through_the_list(server: SimulatorServer) -> None:
    client = client_of(server)
    made = [client.videos.create(prompt=f"Clip {n}").id for n in range(7)]
    assert [video.id for video in client.videos.list(limit=3)] == made[::-1]
    assert [video.id for video in client.videos.list(limit=2, order="asc")] == made


def test_the_official_client_sees_errors_as_its_own(server: SimulatorServer) -> None:
    client = client_of(server)
    with pytest.raises(openai.BadRequestError) as bad:
        client.videos.create(prompt="A cat", size="1x1")  # type: ignore[arg-type]
    assert (bad.value.code, bad.value.param) == ("invalid_value", "size")
    with pytest.raises(openai.RateLimitError) as limited:
        client.videos.create(prompt="[[fail:rate_limited]]")
    assert limited.value.response.headers["retry-after"] == "1"
    failed = client.videos.create(prompt="[[fail:content_refused]]")
    refused = client.videos.retrieve(failed.id)
    assert refused.status == "failed"
    assert refused.error is not None
    assert refused.error.code == "moderation_blocked"


def test_a_reference_image_is_accepted(server: SimulatorServer) -> None:
    image = ("cat.png", b"\x89PNG" + b"0" * 100_000, "image/png")
    assert client_of(server).videos.create(prompt="A cat", input_reference=image).id


def test_a_key_that_is_asked_for_must_be_given() -> None:
    with simulator(api_key="sk-right") as server:
        with pytest.raises(openai.AuthenticationError):
            client_of(server, "sk-wrong").videos.list()
        assert client_of(server, "sk-right").videos.list().data == []
        assert call(server, "GET", "/healthz")[0] == 200


# --- the script -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", NOT_TAKEN)
def test_a_refused_submit_is_reported_in_the_providers_own_way(server: SimulatorServer, failure: FailureType) -> None:
    for _ in range(2):
        outcome = submit(server, f"A cat [[fail:{failure}]]")
        assert isinstance(outcome, NotAccepted)
        assert outcome.failure == failure
    assert client_of(server).videos.list().data == []


@pytest.mark.parametrize("failure", [FailureType.CONTENT_REFUSED, FailureType.PROVIDER_ERROR])
def test_a_job_that_fails_says_why(server: SimulatorServer, failure: FailureType) -> None:
    assert verdict(server, submit(server, f"[[fail:{failure}]]")) == (JobStatus.FAILED, failure)


@pytest.mark.parametrize("prompt", ["A cat [[hang]]", "[[fail:timeout]]"])
def test_a_job_that_hangs_never_ends(server: SimulatorServer, prompt: str) -> None:
    assert verdict(server, submit(server, prompt)) == (JobStatus.RUNNING, None)


@pytest.mark.parametrize("prompt", ["A cat [[bad_output]]", "[[fail:output_invalid]]"])
def test_a_bad_output_is_delivered_and_does_not_play(server: SimulatorServer, tmp_path: Path, prompt: str) -> None:
    outcome = submit(server, prompt)
    assert verdict(server, outcome) == (JobStatus.SUCCEEDED, None)
    assert isinstance(outcome, Accepted)
    target = tmp_path / "clip.mp4"
    OpenAIVideos(server.base_url).download(outcome.job_id, target, max_bytes=1_000_000)
    with pytest.raises(av.FFmpegError):
        av.open(target)


def test_an_ambiguous_submit_takes_the_job_and_gives_no_answer(server: SimulatorServer) -> None:
    assert isinstance(submit(server, "A cat [[ambiguous]]"), Ambiguous)
    assert [video.prompt for video in client_of(server).videos.list()] == ["A cat [[ambiguous]]"]


def test_a_lost_submit_takes_no_job_and_gives_no_answer(server: SimulatorServer) -> None:
    assert isinstance(submit(server, "A cat [[fail:ambiguous_submit]]"), Ambiguous)
    assert client_of(server).videos.list().data == []


def test_every_failure_of_a_provider_can_be_played(server: SimulatorServer) -> None:
    for failure in PLAYABLE:
        assert script_of(f"[[fail:{failure}]]").always == failure
        assert not isinstance(submit(server, f"[[fail:{failure}]]"), NotAccepted) or failure in NOT_TAKEN


def test_slow_takes_as_long_as_it_says(server: SimulatorServer) -> None:
    outcome = submit(server, "[[slow:0.4]]")
    assert verdict(server, outcome)[0] == JobStatus.RUNNING
    time.sleep(0.45)
    assert verdict(server, outcome)[0] == JobStatus.SUCCEEDED


def test_the_first_submits_of_an_item_meet_the_script_and_later_ones_do_not(server: SimulatorServer) -> None:
    prompt = "[[rate_limit:2]] [[fail_once:capacity]]"
    for item in ("itm_a", "itm_b"):
        outcomes = [submit(server, prompt, f"{item}.{attempt}") for attempt in range(1, 6)]
        failures = [outcome.failure if isinstance(outcome, NotAccepted) else None for outcome in outcomes]
        assert failures == [FailureType.RATE_LIMITED, FailureType.RATE_LIMITED, FailureType.CAPACITY, None, None]
        assert isinstance(outcomes[0], NotAccepted)
        assert outcomes[0].retry_after_seconds == 1.0


def test_without_an_items_name_the_script_plays_again_for_the_same_prompt(server: SimulatorServer) -> None:
    outcomes = [submit(server, "A cat [[fail_once:capacity]]") for _ in range(4)]
    assert [isinstance(outcome, Accepted) for outcome in outcomes] == [False, True, False, True]


def test_a_job_may_fail_once(server: SimulatorServer) -> None:
    prompt = "[[fail_once:provider_error]]"
    assert verdict(server, submit(server, prompt, "itm_a.1"))[0] == JobStatus.FAILED
    assert verdict(server, submit(server, prompt, "itm_a.2"))[0] == JobStatus.SUCCEEDED


def test_marks_are_read_wherever_they_stand() -> None:
    text = "A [[slow:1.5]] cat [[fail_once:capacity]] plays [[rate_limit:1]][[ambiguous]] [[hang]]"
    rate_limited, capacity = FailureType.RATE_LIMITED, FailureType.CAPACITY
    assert script_of(text) == Script((rate_limited, capacity), FailureType.TIMEOUT, True, 1.5)
    assert script_of("A [[wiki link]] and [[other:thing]]") == Script()


@pytest.mark.parametrize(
    "mark",
    ["fail:canceled", "fail:internal_error", "fail:capasity", "fail", "slow:abc", "slow:-1", "slow", "rate_limit:1e9"],
)
def test_a_mark_that_cannot_be_played_is_a_bad_request(server: SimulatorServer, mark: str) -> None:
    with pytest.raises(UnplayableMark):
        script_of(f"[[{mark}]]")
    outcome = submit(server, f"A cat [[{mark}]]")
    assert isinstance(outcome, NotAccepted)
    assert outcome.failure == FailureType.INVALID_REQUEST


# --- chance ---------------------------------------------------------------------------------------------------------


def test_jobs_fail_at_the_rate_that_was_asked_for_and_the_seed_repeats_it() -> None:
    def run() -> list[JobStatus]:
        with simulator(failure_rate=0.3, seed=7) as server:
            return [verdict(server, submit(server, "A cat"))[0] for _ in range(60)]

    first = run()
    assert 8 <= Counter(first)[JobStatus.FAILED] <= 28
    assert run() == first


def test_errors_and_rate_limits_come_at_their_rates() -> None:
    with simulator(error_rate=1.0) as server:
        assert call(server, "GET", "/v1/videos")[0] == 500
    with simulator(rate_limit_rate=1.0) as server:
        assert call(server, "POST", "/v1/videos", {"prompt": "A cat"})[0] == 429
        assert call(server, "GET", "/v1/videos")[0] == 200


@pytest.mark.parametrize(
    ("rate", "status", "failure"),
    [
        ("failure_rate", JobStatus.FAILED, FailureType.PROVIDER_ERROR),
        ("refusal_rate", JobStatus.FAILED, FailureType.CONTENT_REFUSED),
        ("hang_rate", JobStatus.RUNNING, None),
        ("corrupt_rate", JobStatus.SUCCEEDED, None),
    ],
)
def test_a_job_with_bad_luck_ends_in_its_way(
    tmp_path: Path, rate: str, status: JobStatus, failure: FailureType | None
) -> None:
    with simulator(None, **{rate: 1.0}) as server:
        outcome = submit(server, "A cat")
        assert verdict(server, outcome) == (status, failure)
        if rate == "corrupt_rate":
            assert isinstance(outcome, Accepted)
            OpenAIVideos(server.base_url).download(outcome.job_id, tmp_path / "clip.mp4", max_bytes=1_000_000)
            with pytest.raises(av.FFmpegError):
                av.open(tmp_path / "clip.mp4")


def test_a_prompt_s_own_script_comes_before_bad_luck() -> None:
    with simulator(hang_rate=1.0) as server:
        assert verdict(server, submit(server, "[[fail:content_refused]]"))[1] == FailureType.CONTENT_REFUSED


def test_a_request_that_is_reset_was_done_or_not_and_nobody_is_told(tmp_path: Path) -> None:
    state = tmp_path / "simulator.sqlite"
    with simulator(state, reset_rate=1.0, seed=7) as server:
        outcomes = [submit(server, "A cat", f"itm_{number}.1") for number in range(20)]
        assert all(isinstance(outcome, Ambiguous) for outcome in outcomes)
        assert 0 < len(jobs_in(state)) < 20
        with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=20) as connection:
            connection.sendall(b"GET /v1/videos HTTP/1.1\r\nHost: x\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                connection.recv(65536)


def test_a_slow_answer_comes_in_pieces_and_whole() -> None:
    with simulator(slow_rate=1.0, slow_seconds=0.5) as server:
        assert call(server, "GET", "/v1/videos")[2]["data"] == []
        with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=20) as connection:
            connection.sendall(b"GET /v1/videos HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            pieces = list(iter(lambda: connection.recv(65536), b""))
        assert len(pieces) > 2
        assert pieces[0].endswith(b"\r\n\r\n")


def test_a_download_that_breaks_off_is_no_file_and_may_be_tried_again(tmp_path: Path) -> None:
    with simulator(truncate_rate=1.0) as server:
        outcome = submit(server, "A cat")
        assert isinstance(outcome, Accepted)
        with pytest.raises(DownloadFailed) as broken:
            OpenAIVideos(server.base_url).download(outcome.job_id, tmp_path / "clip.mp4", max_bytes=1_000_000)
    assert not broken.value.permanent
    assert list(tmp_path.iterdir()) == []


def test_after_a_download_that_broke_off_the_next_one_may_be_whole(tmp_path: Path) -> None:
    with simulator(truncate_rate=0.5, seed=7) as server:
        outcome = submit(server, "A cat")
        assert {plays(server, outcome, tmp_path / "clip.mp4") for _ in range(20)} == {True, False}


def plays(server: SimulatorServer, outcome: object, target: Path) -> bool:
    """Say whether the clip arrives, and then see that it plays."""
    assert isinstance(outcome, Accepted)
    try:
        OpenAIVideos(server.base_url).download(outcome.job_id, target, max_bytes=1_000_000)
    except DownloadFailed:
        return False
    av.open(target).close()
    return True


def test_a_simulator_that_was_started_again_goes_on_rolling(tmp_path: Path) -> None:
    def run(state: Path) -> list[JobStatus]:
        with simulator(state, failure_rate=0.5, seed=7) as server:
            return [verdict(server, submit(server, "A cat"))[0] for _ in range(30)]

    first = run(tmp_path / "one.sqlite")
    assert run(tmp_path / "one.sqlite") != first
    assert run(tmp_path / "another.sqlite") == first


# --- the format's edges ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": "x" * 32_001}, "prompt"),
        ({"prompt": "\ud800"}, "prompt"),
        ({"prompt": "x", "seconds": "0"}, "seconds"),
        ({"prompt": "x", "seconds": 61}, "seconds"),
        ({"prompt": "x", "seconds": 4.5}, "seconds"),
        ({"prompt": "x", "size": "big"}, "size"),
        ({"prompt": "x", "size": "641x480"}, "size"),
        ({"prompt": "x", "size": "4096x4096"}, "size"),
        ({"prompt": "x", "model": 4}, "model"),
        ([], None),
        (b"{", None),
        (b"[" * 100_000, None),
    ],
)
def test_a_bad_request_names_its_parameter(server: SimulatorServer, body: object, param: str | None) -> None:
    status, _, said = call(server, "POST", "/v1/videos", body, {"Content-Type": "application/json"})
    assert status == 400
    assert said["error"]["param"] == param
    assert said["error"]["type"] == "invalid_request_error"


def test_a_broken_form_is_a_bad_request(server: SimulatorServer) -> None:
    headers = {"Content-Type": "multipart/form-data"}
    assert call(server, "POST", "/v1/videos", b"--x", headers)[0] == 400
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert call(server, "POST", "/v1/videos", b"--x\r\nnonsense", headers)[0] == 400


def test_seconds_may_be_a_number_and_the_model_any(server: SimulatorServer) -> None:
    body = {"prompt": "x", "seconds": 60, "size": "1920x1080", "model": "house-model"}
    said = call(server, "POST", "/v1/videos", body)[2]
    assert (said["seconds"], said["size"], said["model"]) == ("60", "1920x1080", "house-model")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/videos/video_none", 404),
        ("GET", "/v1/videos/video_none/content", 404),
        ("DELETE", "/v1/videos/video_none", 404),
        ("GET", "/v1/videos?after=video_none", 404),
        ("GET", "/v1/videos?limit=101", 400),
        ("GET", "/v1/videos?limit=0", 400),
        ("GET", "/v1/videos?order=up", 400),
        ("GET", "/v1/models", 404),
        ("POST", "/v1/videos/x/content", 404),
    ],
)
def test_wrong_addresses_get_the_formats_errors(server: SimulatorServer, method: str, path: str, status: int) -> None:
    got, _, said = call(server, method, path)
    assert got == status
    assert set(said["error"]) == {"message", "type", "param", "code"}


def test_a_video_that_is_not_ready_has_no_content_and_is_not_deleted(server: SimulatorServer) -> None:
    outcome = submit(server, "[[hang]]")
    assert isinstance(outcome, Accepted)
    assert call(server, "GET", f"/v1/videos/{outcome.job_id}/content")[0] == 404
    assert call(server, "DELETE", f"/v1/videos/{outcome.job_id}")[0] == 400


def test_a_hint_says_when_to_look_again() -> None:
    with simulator(latency_seconds=2.0) as server:
        _, headers, said = call(server, "POST", "/v1/videos", {"prompt": "x"})
        assert 1500 <= int(headers["openai-poll-after-ms"]) <= 2001
        assert int(call(server, "GET", f"/v1/videos/{said['id']}")[1]["openai-poll-after-ms"]) <= 2001


def test_a_provider_may_give_no_hints() -> None:
    with simulator(hints=False) as server:
        assert "openai-poll-after-ms" not in call(server, "POST", "/v1/videos", {"prompt": "x"})[1]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: 99999999", b"413"),
        (b"Content-Length: 0000000000000000000000099999999", b"413"),
        (b"Content-Length: -1", b"400"),
        (b"Transfer-Encoding: chunked", b"411"),
    ],
)
def test_a_body_without_bounds_is_refused_and_the_connection_closed(
    server: SimulatorServer, head: bytes, status: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=20) as connection:
        connection.sendall(b"POST /v1/videos HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
        said = b"".join(iter(lambda: connection.recv(65536), b""))
    assert said.startswith(b"HTTP/1.1 " + status)


# --- clips ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(64, 64), (320, 180), (720, 1280), (1024, 1792)])
def test_a_clip_lasts_exactly_as_long_as_ordered(size: tuple[int, int]) -> None:
    for seconds in (1, 4):
        film = clips.video("A cat", seconds=seconds, width=size[0], height=size[1])
        with av.open(io.BytesIO(film), "r") as container:
            assert container.duration == seconds * 1_000_000
            frames = list(container.decode(video=0))
        assert len(frames) == 2 * seconds
        assert (frames[0].width, frames[0].height, frames[0].format.name) == (*size, "yuv420p")


def test_a_clip_moves_and_shows_its_prompt() -> None:
    film = clips.video("A cat playing piano", seconds=2, width=320, height=180)
    other = clips.video("A dog playing chess", seconds=2, width=320, height=180)
    with av.open(io.BytesIO(film), "r") as container:
        frames = [bytes(frame.planes[0]) for frame in container.decode(video=0)]
    assert all(before != after for before, after in pairwise(frames))
    assert film != other
    assert film == clips.video("A cat playing piano", seconds=2, width=320, height=180)


@pytest.mark.parametrize(
    "prompt", ["x" * 32_000, "word " * 6000, "猫がピアノを弾く 🐈", "\x00\x01", "\n\n", "[[hang]]"]
)
def test_any_prompt_can_be_painted(prompt: str) -> None:
    assert clips.video(prompt, seconds=1, width=320, height=180)


def test_a_file_is_made_once_however_many_ask_for_it_at_once() -> None:
    made: list[int] = []
    cache = clips.ClipCache()

    def make() -> bytes:
        made.append(1)
        time.sleep(0.05)
        return b"film"

    threads = [threading.Thread(target=cache.get, args=(("key",), make)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert cache.get(("key",), make) == b"film"
    assert len(made) == 1


def test_the_cache_gives_up_what_was_used_longest_ago() -> None:
    cache = clips.ClipCache(max_bytes=10)
    cache.get(("a",), lambda: b"aaaa")
    cache.get(("b",), lambda: b"bbbb")
    cache.get(("a",), lambda: b"never")
    cache.get(("c",), lambda: b"cccc")
    assert cache.get(("a",), lambda: b"again") == b"aaaa"
    assert cache.get(("b",), lambda: b"again") == b"again"


def test_all_clips_may_be_the_same() -> None:
    with simulator(same_clip=True) as server:
        client = client_of(server)
        made = [client.videos.create(prompt=prompt, seconds="4").id for prompt in ("A cat", "A dog")]
        made.append(client.videos.create(prompt="A cat", seconds="8").id)
        cat, dog, longer = (client.videos.download_content(video_id).read() for video_id in made)
        assert cat == dog
        assert cat != longer


# --- the server -----------------------------------------------------------------------------------------------------


def test_jobs_and_counts_survive_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "simulator.sqlite3"
    with simulator(state, latency_seconds=0.3) as server:
        outcome = submit(server, "A cat")
        assert isinstance(submit(server, "[[fail_once:capacity]]", "itm_a.1"), NotAccepted)
    time.sleep(0.3)
    with simulator(state, latency_seconds=60) as server:
        assert verdict(server, outcome)[0] == JobStatus.SUCCEEDED
        assert isinstance(submit(server, "[[fail_once:capacity]]", "itm_a.2"), Accepted)


def test_the_file_says_which_submit_made_which_job(tmp_path: Path) -> None:
    state = tmp_path / "simulator.sqlite"
    with simulator(state) as server:
        assert isinstance(submit(server, "A cat [[ambiguous]]", "itm_a.1"), Ambiguous)
        assert isinstance(submit(server, "[[fail:capacity]]", "itm_b.1"), NotAccepted)
        assert isinstance(submit(server, "A dog"), Accepted)
        assert jobs_in(state) == [("itm_a.1", "A cat [[ambiguous]]"), ("", "A dog")]


def test_a_file_from_before_jobs_kept_their_client_s_id_goes_on_serving(tmp_path: Path) -> None:
    state = tmp_path / "simulator.sqlite"
    with simulator(state) as server:
        outcome = submit(server, "A cat", "itm_a.1")
    with sqlite3.connect(state) as file:
        file.execute("ALTER TABLE job DROP COLUMN client_id")
    with simulator(state) as server:
        assert verdict(server, outcome)[0] == JobStatus.SUCCEEDED
        submit(server, "A dog", "itm_b.1")
    assert jobs_in(state) == [("", "A cat"), ("itm_b.1", "A dog")]


def jobs_in(state: Path) -> list[tuple[str, str]]:
    """Return the client's id and the prompt of each job that was taken."""
    with sqlite3.connect(f"file:{state}?mode=ro", uri=True) as file:
        return file.execute("SELECT client_id, prompt FROM job ORDER BY number").fetchall()


def test_a_hundred_connections_at_once_are_served() -> None:
    with simulator() as server:
        address = ("127.0.0.1", server.server_address[1])
        connections = [socket.create_connection(address, timeout=20) for _ in range(100)]
        for connection in connections:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert all(connection.recv(65536).startswith(b"HTTP/1.1 200") for connection in connections)
        for connection in connections:
            connection.close()


def test_the_command_says_where_it_serves_and_ends_at_once_on_sigterm(tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "simulate_provider", "--port", "0"]
    state = ["--state", str(tmp_path / "state.sqlite3"), "--latency", "0.01"]
    with subprocess.Popen([*command, *state], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        base_url = process.stdout.readline().removeprefix("ready ").strip()
        idle = socket.create_connection(("127.0.0.1", int(base_url.split(":")[2].split("/")[0])))
        made = OpenAIVideos(base_url).submit(JobRequest("sora-2", "A cat", 4, "1280x720", "itm_a.1"))
        assert isinstance(made, Accepted)
        started = time.monotonic()
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - started < 3
        idle.close()


def test_the_command_takes_one_rate_for_all_that_can_go_wrong(tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "simulate_provider", "--port", "0", "--state", str(tmp_path / "jobs")]
    options = ["--chaos", "1", "--reset-rate", "0", "--slow-rate", "0"]
    with subprocess.Popen([*command, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().split(":")[2].split("/")[0])
            for path, status in (("/healthz", 200), ("/v1/videos", 500)):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                connection.request("GET", path)
                assert connection.getresponse().status == status
                connection.close()
        finally:
            process.terminate()
        assert process.wait(10) == 0


@pytest.mark.parametrize("wrong", [["--failure-rate", "2"], ["--latency", "-1"], ["--latency", "nan"]])
def test_the_command_refuses_impossible_options(wrong: list[str]) -> None:
    command = [sys.executable, "manage.py", "simulate_provider", *wrong]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2
    assert "must be a number from 0 to" in run.stderr
