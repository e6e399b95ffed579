"""An item is charged only if its video plays as ordered and is in our storage, which then gives it out again."""

import hashlib
import io
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import av
import pytest
import time_machine
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from batches import outputs
from batches.models import Attempt, Batch, Item, Output
from batches.reconciliation import INVARIANTS
from batches.simulator import clips
from batches.storage import store
from ledger.reconciliation import discrepancies
from sora2.times import from_timestamp
from tests.batches.deliveries import Delivery, chunked, cut_short, delivering, unmeasured, whole
from tests.batches.engine import customer_with, drive, submit
from tests.factories import VIDEO, Account, code_of, end_batch, make_account, make_batch

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def film() -> bytes:
    """A clip of four seconds, as ordered."""
    return clips.video("A cat playing piano", seconds=4, width=320, height=180)


@pytest.fixture(autouse=True)
def _storage_of_its_own(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path / "media")
    settings.POLL_SECONDS = 0.1
    settings.PROVIDER_OPENAI_BASE_URL = ""


def run(settings: Settings, *deliveries: Delivery) -> tuple[Batch, int]:
    """Run a batch of one clip of four seconds to its end; return it, and how many jobs were ordered for it."""
    with delivering(*deliveries) as provider:
        settings.PROVIDER_SIMULATOR_BASE_URL = provider.base_url
        return drive(submit(customer_with(100), ["a cat"])), provider.jobs


def files() -> list[Path]:
    root = Path(default_storage.path(""))
    return [path for path in root.rglob("*") if path.is_file()]


def sound_alone() -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100, layout="stereo")
        for number in range(4 * 44100 // 1024):
            frame = av.AudioFrame(format="fltp", layout="stereo", samples=1024)
            frame.sample_rate, frame.pts = 44100, number * 1024
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return out.getvalue()


def no_stream_at_all(film: bytes) -> bytes:
    """A film whose tracks are hidden from whoever reads it: their boxes have another name."""
    return film.replace(b"trak", b"free")


# --- charged only if it plays --------------------------------------------------------------------------------------


def test_a_film_as_ordered_is_charged_and_kept(settings: Settings, film: bytes) -> None:
    batch, jobs = run(settings, whole(film))
    assert (batch.state, batch.settled, jobs) == ("completed", 10, 1)
    output = Output.objects.get()
    assert default_storage.open(output.video).read() == film
    assert (output.bytes, output.sha256) == (len(film), hashlib.sha256(film).hexdigest())
    assert (output.duration_ms, output.expires_at, output.purged_at) == (4000, None, None)


@pytest.mark.parametrize(
    "content",
    [
        lambda _: clips.BAD_OUTPUT,
        lambda _: b"<!doctype html><title>502 Bad Gateway</title>",
        lambda _: b"",
        lambda _: clips.video("long", seconds=8, width=320, height=180),
        lambda _: clips.video("short", seconds=3, width=320, height=180),
        lambda film: film[: len(film) // 2],
        lambda _: sound_alone(),
        no_stream_at_all,
    ],
    ids=["noise", "html", "empty", "too long", "too short", "half", "sound alone", "no stream"],
)
@pytest.mark.parametrize("sent", [whole, chunked, unmeasured])
def test_what_does_not_play_as_ordered_is_not_charged(
    settings: Settings, film: bytes, content: Callable[[bytes], bytes], sent: Callable[[bytes], Delivery]
) -> None:
    batch, jobs = run(settings, sent(content(film)))
    item = batch.items.get()
    assert (item.status, item.failure_type) == ("refunded", "output_invalid")
    assert (batch.state, batch.settled, batch.refunded) == ("failed", 0, 10)
    assert jobs == item.attempts_made == 2  # Another job may bring a better file; after that, it is over.
    assert not Output.objects.exists()
    assert files() == []


@pytest.mark.parametrize("sent", [whole, chunked, unmeasured])
def test_more_bytes_than_an_output_may_have_are_not_charged(
    settings: Settings, film: bytes, sent: Callable[[bytes], Delivery]
) -> None:
    settings.OUTPUT_MAX_BYTES = len(film) - 1
    batch, _ = run(settings, sent(film))
    assert batch.items.get().failure_type == "output_invalid"
    assert (batch.settled, batch.refunded, files()) == (0, 10, [])


def test_as_many_bytes_as_an_output_may_have_are_taken(settings: Settings, film: bytes) -> None:
    settings.OUTPUT_MAX_BYTES = len(film)
    assert run(settings, whole(film))[0].state == "completed"


def test_a_better_file_of_another_job_is_charged_once(settings: Settings, film: bytes) -> None:
    batch, jobs = run(settings, whole(clips.BAD_OUTPUT), whole(film))
    assert (batch.state, batch.settled, jobs) == ("completed", 10, 2)
    attempts = Attempt.objects.order_by("number").values_list("state", "failure_type")
    assert list(attempts) == [("failed", "output_invalid"), ("succeeded", "")]
    assert discrepancies(INVARIANTS) == []


# A film that would play though its end is missing: only the length tells.
def padded(film: bytes) -> bytes:
    return film + b"\0\0\x10\0free" + b"\0" * 4088


@pytest.mark.parametrize(
    "cut",
    [
        lambda film: cut_short(film, announced=len(film) + 1),
        lambda film: cut_short(film, announced=2 * len(film)),
        lambda film: cut_short(b"", announced=len(film)),
        lambda film: chunked(film, ends=False),
        lambda film: ({"Transfer-Encoding": "chunked"}, b"%x\r\n%s" % (len(film) + 9, film)),
    ],
    ids=["one byte", "half", "all", "no last chunk", "half a chunk"],
)
def test_a_download_that_was_cut_short_is_fetched_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, film: bytes, cut: Callable[[bytes], Delivery]
) -> None:
    monkeypatch.setattr("batches.execution.collect.RETRY_SECONDS", 0.05)
    batch, jobs = run(settings, cut(padded(film)), cut(padded(film)), whole(padded(film)))
    assert (batch.state, jobs) == ("completed", 1)
    output = Output.objects.get()
    assert (output.bytes, output.sha256) == (len(padded(film)), hashlib.sha256(padded(film)).hexdigest())


def test_a_download_that_is_always_cut_short_is_never_accepted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, film: bytes
) -> None:
    monkeypatch.setattr("batches.execution.collect.RETRY_SECONDS", 0.05)
    settings.COLLECT_DEADLINE_SECONDS = 0.5
    batch, jobs = run(settings, cut_short(film, announced=len(film) + 1))
    assert (batch.items.get().failure_type, batch.refunded, jobs) == ("network_error", 10, 1)
    assert files() == []


# --- in our storage ------------------------------------------------------------------------------------------------


def keep(tmp_path: Path, content: bytes, lease: uuid.UUID) -> str:
    path = tmp_path / "video.mp4"
    path.write_bytes(content)
    return outputs.keep(path, batch_id="bat_1", attempt_id="att_1", lease=lease)


def test_two_claims_of_an_item_never_write_the_same_file(tmp_path: Path) -> None:
    names = [keep(tmp_path, content, uuid.uuid4()) for content in (b"first", b"second")]
    names.append(keep(tmp_path, b"third", uuid.UUID(int=7)))
    names.append(keep(tmp_path, b"fourth", uuid.UUID(int=7)))
    assert [default_storage.open(name).read() for name in names] == [b"first", b"second", b"third", b"fourth"]
    assert all(name.startswith("outputs/bat_1/att_1-") and name.endswith(".mp4") for name in names)


def test_the_last_file_takes_its_folder_along(tmp_path: Path) -> None:
    first, second = (keep(tmp_path, b"x", uuid.uuid4()) for _ in range(2))
    store().delete(first)
    assert store().names_in("outputs/bat_1") == [second]
    store().delete(second)
    store().delete(second)
    assert not (tmp_path / "media/outputs/bat_1").exists()
    assert store().names_in("outputs/bat_1") == []


# --- an address without a key --------------------------------------------------------------------------------------


@pytest.fixture
def item(account: Account) -> Item:
    return end_batch(make_batch(account.api)).items.select_related("output").get()


def content_path(item: Item) -> str:
    return f"/video-batch/{item.batch_id}/items/{item.pk}/content"


def address(account: Account, item: Item) -> str:
    url: str = account.api.get(content_path(item), url="1").json()["url"]
    return url


def test_an_address_gives_whoever_has_it_the_video(account: Account, item: Item, client: Client) -> None:
    before = timezone.now()
    response = account.api.get(content_path(item), url="1")
    said = response.json()
    assert (response.status_code, list(said), said["ok"]) == (200, ["ok", "url", "expires_at"], True)
    assert response.headers["Cache-Control"] == "private, no-store"
    minutes = timedelta(minutes=15)
    assert before + minutes - timedelta(seconds=1) <= from_timestamp(said["expires_at"]) <= timezone.now() + minutes
    assert said["url"].startswith(f"http://127.0.0.1:8000/api/enterprise{content_path(item)}/")
    whole = client.get(said["url"])
    assert b"".join(whole.streaming_content) == VIDEO  # type: ignore[attr-defined]
    assert whole.headers["Content-Type"] == "video/mp4"
    part = client.get(said["url"], headers={"Range": "bytes=5-9"})
    assert (part.status_code, b"".join(part.streaming_content)) == (206, VIDEO[5:10])  # type: ignore[attr-defined]
    assert client.head(said["url"]).headers["Content-Length"] == str(len(VIDEO))
    assert code_of(client.get(said["url"], headers={"Range": "bytes=99999-"})) == (416, "range_not_satisfiable")
    assert code_of(client.post(said["url"])) == (405, "method_not_allowed")


def test_an_address_expires_when_it_was_said(account: Account, item: Item, client: Client, settings: Settings) -> None:
    settings.OUTPUT_URL_SECONDS = 60
    said = account.api.get(content_path(item), url="1").json()
    expires_at = from_timestamp(said["expires_at"])
    with time_machine.travel(expires_at - timedelta(seconds=1), tick=False):
        assert client.get(said["url"]).status_code == 200
    with time_machine.travel(expires_at + timedelta(seconds=2), tick=False):
        assert code_of(client.get(said["url"])) == (404, "not_found")


def test_an_address_is_for_one_video_only(account: Account, client: Client) -> None:
    first, second = end_batch(make_batch(account.api, 2)).items.order_by("index")
    url = address(account, first)
    assert code_of(client.get(url.replace(first.pk, second.pk))) == (404, "not_found")
    assert code_of(client.get(url.replace(first.batch_id, f"bat_{'0' * 26}"))) == (404, "not_found")
    assert code_of(client.get(url[:-3])) == (404, "not_found")
    assert code_of(client.get(f"{url}?url=1".replace(url.rpartition("/")[2], "x"))) == (404, "not_found")


def test_only_the_owner_gets_an_address(account: Account, item: Item) -> None:
    for stranger in (make_account(name="Stranger").api, account.test_api):
        assert code_of(stranger.get(content_path(item), url="1")) == (404, "not_found")


def test_another_value_than_1_is_a_fault(account: Account, item: Item) -> None:
    assert code_of(account.api.get(content_path(item), url="yes")) == (422, "validation_error")
    assert account.api.get(content_path(item), url="").status_code == 200


def test_an_item_without_a_video_has_no_address(account: Account) -> None:
    item = make_batch(account.api).items.get()
    assert code_of(account.api.get(content_path(item), url="1")) == (404, "not_found")
