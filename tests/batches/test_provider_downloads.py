"""Fetching finished videos: bounded, whole or not at all, and the key for the provider's own host only."""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pytest_django import Settings

from batches.providers import DownloadFailed
from batches.providers.transport import Timeouts, Transport
from tests.batches.provider_faults import (
    IMPATIENT,
    KEY,
    MB,
    PATIENT,
    Answer,
    FaultyProvider,
    answer,
    drip,
    drip_header,
    faulty,
    openai,
    path_of,
    playing,
    reset,
    silence,
)

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "clip.mp4"


@pytest.fixture(autouse=True)
def production(settings: Settings) -> None:
    """Allow no address but public ones, as in production."""
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = []


@pytest.fixture
def loopback(settings: Settings, production: None) -> None:
    """Allow addresses on loopback, as a developer does."""
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = ["http://127.0.0.1:*"]


def download(base_url: str, target: Path, max_bytes: int = MB, *, patience: float = PATIENT) -> None:
    openai(base_url, patience=patience).download("video_1", target, max_bytes=max_bytes)


def failure(base_url: str, target: Path, max_bytes: int = MB, *, patience: float = PATIENT) -> DownloadFailed:
    with pytest.raises(DownloadFailed) as caught:
        download(base_url, target, max_bytes, patience=patience)
    assert not target.exists()
    return caught.value


def redirect_to(url: str, status: int = 302) -> bytes:
    return answer(status, b"moved", Location=url)


def with_key(provider: FaultyProvider) -> list[bool]:
    """Say for each request whether it carried the key."""
    return [KEY.encode() in request for request in provider.requests]


# --- from the provider ----------------------------------------------------------------------------------------------


def test_a_finished_video_is_streamed_into_the_file(target: Path) -> None:
    with faulty(answer(200, CONTENT, content_type="video/mp4")) as provider:
        download(provider.base_url, target)
    assert target.read_bytes() == CONTENT
    assert provider.paths() == ["GET /v1/videos/video_1/content"]
    assert with_key(provider) == [True]


def test_a_file_that_the_provider_calls_too_large_is_not_asked_for_again(target: Path) -> None:
    with faulty(answer(413, {})) as provider:
        assert failure(provider.base_url, target).permanent


LATER: dict[str, Answer] = {
    "closed": b"",
    "reset": reset,
    "silent": silence,
    **{str(status): answer(status, {}) for status in (500, 429, 401, 404, 409)},
}


@pytest.mark.parametrize("kind", LATER)
def test_a_download_that_may_work_later_is_not_given_up(target: Path, kind: str) -> None:
    with faulty(LATER[kind]) as provider:
        assert not failure(provider.base_url, target, patience=IMPATIENT).permanent


def test_a_file_cut_short_is_not_taken_for_whole(target: Path) -> None:
    whole = answer(200, b"x" * 100_000)
    with faulty(whole[:-1]) as provider:
        assert not failure(provider.base_url, target).permanent
    with faulty(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n") as provider:
        assert not failure(provider.base_url, target).permanent


def test_a_file_that_is_too_large_is_refused_announced_or_not(target: Path) -> None:
    with faulty(answer(200, b"x" * 2000)) as provider:
        assert failure(provider.base_url, target, max_bytes=1999).permanent
    with faulty(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 2000) as provider:
        assert failure(provider.base_url, target, max_bytes=1999).permanent


DRIPPING: dict[str, Callable[[socket.socket], None]] = {"body": drip, "header": drip_header}


@pytest.mark.parametrize("kind", DRIPPING)
def test_a_file_that_drips_is_given_up_in_time(target: Path, kind: str) -> None:
    started = time.monotonic()
    with faulty(DRIPPING[kind]) as provider:
        assert not failure(provider.base_url, target, patience=IMPATIENT).permanent
    assert time.monotonic() - started < 8, "what drips would last for ten seconds"


def test_a_dripping_file_that_ends_with_the_connection_is_not_taken_for_whole(target: Path) -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.05)

    with faulty(endless) as provider:
        assert not failure(provider.base_url, target, patience=IMPATIENT).permanent


# --- redirects ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_within_the_providers_host_keeps_the_key(target: Path, status: int) -> None:
    with faulty(redirect_to("/download/v1/file?alt=media", status), answer(200, CONTENT)) as provider:
        download(provider.base_url, target)
    assert target.read_bytes() == CONTENT
    assert provider.paths()[1] == "GET /download/v1/file?alt=media"
    assert with_key(provider) == [True, True]


@pytest.mark.usefixtures("loopback")
def test_the_key_does_not_follow_a_redirect_to_another_host(target: Path) -> None:
    with faulty(answer(200, CONTENT)) as storage:
        with faulty(redirect_to(f"{storage.base_url}/clip.mp4?signature=x&key={KEY}#fragment")) as provider:
            download(provider.base_url, target)
        assert storage.paths() == ["GET /v1/clip.mp4?signature=x&key=%5Bkey%5D"]
        assert with_key(storage) == [False]
    assert target.read_bytes() == CONTENT


@pytest.mark.usefixtures("loopback")
def test_a_host_that_sends_back_to_the_provider_does_not_get_the_key_spent(target: Path) -> None:
    hops: list[bytes] = []
    with faulty(answer(200, CONTENT)) as storage, playing(lambda _: hops.pop(0)) as provider:
        storage_url, provider_url = f"{storage.base_url}/x", f"{provider.base_url}/account"
        with faulty(redirect_to(provider_url)) as thief:
            hops += [redirect_to(f"{thief.base_url}/x"), redirect_to(storage_url)]
            download(provider.base_url, target)
        assert with_key(provider) == [True, False]
        assert with_key(thief) == with_key(storage) == [False]
    assert target.read_bytes() == CONTENT


FORBIDDEN = [
    "http://169.254.169.254/latest/meta-data",
    "https://169.254.169.254/latest/meta-data",
    "https://10.0.0.1/clip.mp4",
    "https://localhost/clip.mp4",
    "http://storage.example/clip.mp4",
    "https://storage.example:9000/clip.mp4",
    "https://user:pass@storage.example/clip.mp4",
    "file:///etc/passwd",
    "gs://bucket/clip.mp4",
    "//127.0.0.1:{port}/x",
    "http://127.0.0.1:{port}@storage.example/x",
    "http://127.0.0.1:{port}\\@storage.example/x",
    "http://127.0.0.1:{port}.storage.example/x",
    "http://user@127.0.0.1:{port}/x",
    "http://localhost:{port}/x",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_an_address_that_is_not_on_the_public_internet_is_not_called(target: Path, address: str) -> None:
    with faulty(answer(200, b"secret")) as thief:
        location = address.format(port=urlsplit(thief.base_url).port)
        with faulty(redirect_to(location)) as provider:
            error = failure(provider.base_url, target)
        assert (error.permanent, error.detail) == (True, "another host: forbidden_target")
        assert thief.requests == []
    assert len(provider.requests) == 1


def test_a_name_that_leads_to_an_address_inside_is_not_called(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = socket.getaddrinfo, []

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        return real("127.0.0.1" if host == "storage.example" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with faulty(redirect_to("https://storage.example/clip.mp4")) as provider:
        error = failure(provider.base_url, target)
    assert (error.permanent, error.detail) == (True, "another host: forbidden_target")
    assert "storage.example" in asked


@pytest.mark.usefixtures("loopback")
def test_every_hop_is_checked_anew(target: Path) -> None:
    with faulty(redirect_to("https://169.254.169.254/")) as storage:
        with faulty(redirect_to(storage.base_url)) as provider:
            assert failure(provider.base_url, target).permanent
        assert len(storage.requests) == 1


@pytest.mark.usefixtures("loopback")
def test_redirects_come_to_an_end(target: Path) -> None:
    with faulty(redirect_to("/v1/again")) as provider:
        assert failure(provider.base_url, target).permanent
        assert len(provider.requests) == 5
    with faulty(redirect_to("/v1/again")) as storage:
        with faulty(redirect_to(storage.base_url)) as provider:
            assert failure(provider.base_url, target).permanent
        assert len(storage.requests) == 4


def test_a_redirect_to_nowhere_is_given_up(target: Path) -> None:
    with faulty(answer(302, b"")) as provider:
        assert failure(provider.base_url, target).permanent


@pytest.mark.usefixtures("loopback")
def test_another_hosts_file_is_bounded_in_size(target: Path) -> None:
    for reply in (answer(200, b"x" * 2000), b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 2000):
        with faulty(reply) as storage, faulty(redirect_to(storage.base_url)) as provider:
            assert failure(provider.base_url, target, max_bytes=1999).permanent


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize("kind", DRIPPING)
def test_another_hosts_file_is_bounded_in_time(target: Path, kind: str) -> None:
    started = time.monotonic()
    with faulty(DRIPPING[kind]) as storage, faulty(redirect_to(storage.base_url)) as provider:
        error = failure(provider.base_url, target, patience=IMPATIENT)
    assert (error.permanent, error.detail) == (False, "another host: timeout")
    assert time.monotonic() - started < 8, "what drips would last for ten seconds"


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize("kind", LATER)
def test_another_hosts_trouble_is_not_for_ever(target: Path, kind: str) -> None:
    with faulty(LATER[kind]) as storage, faulty(redirect_to(storage.base_url)) as provider:
        assert not failure(provider.base_url, target, patience=IMPATIENT).permanent


@pytest.mark.usefixtures("loopback")
def test_the_long_signatures_of_storage_are_no_obstacle(target: Path) -> None:
    with faulty(answer(200, CONTENT)) as storage:
        url = f"{storage.base_url}/clip.mp4?X-Amz-Signature={'a' * 4000}"
        with faulty(redirect_to(url)) as provider:
            download(provider.base_url, target)
        assert path_of(storage.requests[0]).endswith("a" * 4000)


# --- whose host -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "owned"),
    [
        ("https://host.example/v1beta/files/1:download?alt=media", True),
        ("HTTPS://Host.Example/other", True),
        ("https://host.example", False),
        ("http://host.example/x", False),
        ("https://host.example:8443/x", False),
        ("https://host.example.evil.example/x", False),
        ("https://host.example@evil.example/x", False),
        ("https://host.example\\@evil.example/x", False),
        ("https://host.example?@evil.example/x", False),
        ("https://evil.example/https://host.example/", False),
        (" https://host.example/x", False),
        ("//host.example/x", False),
        ("", False),
    ],
)
def test_only_the_very_same_host_is_the_providers_own(url: str, owned: bool) -> None:
    assert Transport("https://host.example/v1beta/", KEY, Timeouts()).owns(url) is owned
