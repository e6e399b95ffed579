"""A provider's key stays out of everything that is stored, logged or raised, whatever a provider answers."""

import logging
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest

from batches.providers import Accepted, Ambiguous, DownloadFailed, NotAccepted, Provider
from batches.providers.adapters import Kind, adapter
from tests.batches.provider_faults import (
    KEY,
    MB,
    Answer,
    answer,
    error,
    faulty,
    openai,
    path_of,
    playing,
    request,
    video,
)

NAME = "operations/abc"
SLASHED = "c2VjcmV0/c2VjcmV0+c2VjcmV0="
KINDS: list[Kind] = ["openai", "openai-form", "veo"]


def provider_at(kind: Kind, base_url: str, key: str = KEY) -> Provider:
    return adapter(kind, base_url, key, submit_timeout_seconds=0.5, download_timeout_seconds=1.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "reply",
    [
        error(401, "invalid_api_key", f"Incorrect API key provided: {KEY}."),
        error(400, KEY, "x" * 990 + KEY),
        answer(500, {"detail": f"https://host.example/?key={KEY}"}),
        answer(502, f"<html>{KEY}</html>".encode()),
        answer(200, {"warning": f"key {KEY} expires soon"}),
        answer(200, f"<html>{KEY}</html>".encode()),
    ],
)
def test_a_key_that_an_answer_to_a_submit_quotes_is_not_kept(kind: Kind, reply: bytes) -> None:
    with faulty(reply) as provider:
        outcome = provider_at(kind, provider.base_url).submit(request())
    assert isinstance(outcome, NotAccepted | Ambiguous)
    assert KEY not in repr(outcome)
    assert KEY[:-3] not in repr(outcome)


@pytest.mark.parametrize("spelling", [SLASHED, SLASHED.replace("/", r"\/"), quote(SLASHED, safe="")])
def test_a_key_is_found_however_it_is_spelt(spelling: str) -> None:
    body = b'{"error": {"message": "key ' + spelling.encode() + b' is wrong", "code": "x"}}'
    with faulty(answer(400, body)) as provider:
        outcome = openai(provider.base_url, SLASHED).submit(request())
    assert outcome.detail == "400 x: key [key] is wrong"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("kind", "job"),
    [
        ("openai", video(NAME, "failed", error={"message": f"upstream refused {KEY}"})),
        ("veo", {"name": NAME, "done": True, "error": {"code": 7, "message": f"upstream refused {KEY}"}}),
        ("veo", {"name": NAME, "done": True, "response": {"raiMediaFilteredReasons": [f"see {KEY}"]}}),
    ],
)
def test_a_key_that_a_failed_job_quotes_is_not_kept(kind: Kind, job: dict[str, object]) -> None:
    with faulty(answer(200, job)) as provider:
        (verdict,) = provider_at(kind, provider.base_url).poll([NAME]).verdicts.values()
    assert "[key]" in verdict.detail
    assert KEY not in repr(verdict)


def test_a_short_key_takes_nothing_out_of_answers() -> None:
    with faulty(answer(200, video("video_test"))) as provider:
        assert openai(provider.base_url, "test").submit(request()) == Accepted("video_test")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", [f"{KEY}\r\nX-Injected: 1", f"{KEY}…"])
def test_a_key_that_no_header_can_carry_shows_nowhere(kind: Kind, key: str, tmp_path: Path) -> None:
    with faulty(answer(200, video(NAME))) as server:
        provider = provider_at(kind, server.base_url, key)
        outcome = provider.submit(request())
        assert isinstance(outcome, NotAccepted)
        assert KEY not in repr(outcome)
        assert not provider.poll([NAME]).answered
        with pytest.raises(DownloadFailed) as caught:
            provider.download(NAME, tmp_path / "clip.mp4", max_bytes=MB)
        assert KEY not in "".join(traceback.format_exception(caught.value))
    assert server.requests == []


@pytest.mark.parametrize("kind", KINDS)
def test_not_even_debug_logs_show_the_key(kind: Kind, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="urllib3")

    def play(sent: bytes) -> Answer:
        if sent.startswith(b"POST"):
            return answer(200, {"id": NAME, "name": NAME})
        if path_of(sent).endswith("/content"):
            return answer(302, b"", Location=f"/v1/file?key={KEY}")
        uri = f"{server.base_url}/file?key={KEY}"
        return answer(200, {"id": NAME, "name": NAME, "done": True, "response": {"videos": [{"uri": uri}]}})

    with playing(play) as server:
        provider = provider_at(kind, server.base_url)
        provider.submit(request())
        provider.poll([NAME])
        provider.download(NAME, tmp_path / "clip.mp4", max_bytes=MB)
    assert "GET /v1/file" in caplog.text
    assert KEY not in caplog.text
