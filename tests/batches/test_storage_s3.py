"""Videos in object storage, on a real S3 server over HTTP: stored in parts, read in ranges, given out by address."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.core.files.storage import storages
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from batches import orphans, retention
from batches.models import Batch, Item, Output
from batches.object_storage import CONNECTIONS, PART_BYTES, ObjectStorage
from batches.simulator.server import SimulatorServer
from batches.storage import store
from sora2 import checks
from sora2.times import from_timestamp
from tests.as_role import as_owner
from tests.batches.engine import customer_with, drive, one_turn, submit, the_route
from tests.batches.s3 import BUCKET, PREFIX, S3Server, s3_server
from tests.factories import VIDEO, Account, code_of, end_batch, make_batch
from tests.people import staff

ROOT = Path(__file__).resolve().parents[2]

# Stores a file by the settings alone, reads it again, and prints its name and how many MiB the process took at most.
STORE_AND_READ = """
import pathlib, sys
import django
django.setup()
from batches.storage import store
name = store().keep("outputs/bat_x/att_x.mp4", pathlib.Path(sys.argv[1]))
size = store().size(name)
part = store().part(name, first=0, length=size)
while chunk := part.read(65536):
    size -= len(chunk)
assert size == 0
status = pathlib.Path("/proc/self/status").read_text()
print(name, int(status.partition("VmHWM:")[2].split()[0]) // 1024)
"""


@pytest.fixture
def s3(settings: Settings) -> Iterator[S3Server]:
    """The server, with its bucket as the default storage."""
    with s3_server() as server:
        settings.STORAGES = server.storages()
        settings.S3_BUCKET = BUCKET
        yield server


@pytest.fixture
def item(account: Account, s3: S3Server) -> Item:
    """An item whose video is in the bucket."""
    return end_batch(make_batch(account.api)).items.select_related("output").get()


def content_path(item: Item) -> str:
    return f"/video-batch/{item.batch_id}/items/{item.pk}/content"


def storage() -> ObjectStorage:
    found = storages["default"]
    assert isinstance(found, ObjectStorage)
    return found


def stored(content: bytes, tmp_path: Path) -> str:
    """Store a file with this content; return its name."""
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    return store().keep("outputs/a.mp4", path)


def in_a_process(program: str, argument: str, server: S3Server) -> tuple[str, int]:
    """Run a program with the bucket in its environment; return the name and the MiB that it printed."""
    environment = {**os.environ, **server.environment(), "DJANGO_SETTINGS_MODULE": "sora2.settings"}
    done = subprocess.run(
        [sys.executable, "-c", program, argument], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    name, mebibytes = done.stdout.split()
    return name, int(mebibytes)


# --- storing -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_collected_video_is_in_the_bucket_and_comes_back_with_its_hash(
    provider: SimulatorServer, s3: S3Server
) -> None:
    batch = drive(submit(customer_with(100), ["a cat", "a dog"]))
    assert batch.state == "completed"
    outputs = Output.objects.filter(item__batch=batch)
    assert s3.names() == {name for output in outputs for name in (output.video, output.poster)}
    for output in outputs:
        content = s3.content(output.video)
        assert (output.bytes, output.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert s3.content(output.poster)[:2] == b"\xff\xd8"


def test_a_large_file_is_stored_in_parts(s3: S3Server, tmp_path: Path) -> None:
    content = os.urandom(1024) * 1024 * 20
    path = tmp_path / "large.mp4"
    path.write_bytes(content)
    name = store().keep("outputs/large.mp4", path)
    assert [request.length for request in s3.asked("PUT", name)] == [PART_BYTES, PART_BYTES, 4 * 1024 * 1024]
    assert hashlib.sha256(s3.content(name)).digest() == hashlib.sha256(content).digest()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
def test_memory_grows_neither_with_what_is_stored_nor_with_what_is_read(tmp_path: Path) -> None:
    """In processes of their own, which know the bucket from their environment alone."""
    with s3_server() as server:
        taken = []
        for mebibytes in (1, 64):
            path = tmp_path / "file.mp4"
            path.write_bytes(os.urandom(1024 * 1024) * mebibytes)
            name, most = in_a_process(STORE_AND_READ, str(path), server)
            assert name in server.names()
            taken.append(most)
        assert taken[1] - taken[0] < 16


def test_nothing_is_overwritten(s3: S3Server, tmp_path: Path) -> None:
    names = [stored(content, tmp_path) for content in (b"first", b"second")]
    assert len(set(names)) == 2
    assert [s3.content(name) for name in names] == [b"first", b"second"]


def test_objects_are_private_and_say_what_they_are(item: Item, s3: S3Server) -> None:
    key = {"Bucket": BUCKET, "Key": f"{PREFIX}/{item.output.video}"}
    grantees = [grant["Grantee"] for grant in s3.client.get_object_acl(**key)["Grants"]]
    assert all(grantee["Type"] == "CanonicalUser" for grantee in grantees)
    assert s3.client.head_object(**key)["ContentType"] == "video/mp4"


def test_servers_that_know_no_checksums_are_sent_none(s3: S3Server, tmp_path: Path) -> None:
    stored(b"small", tmp_path)
    stored(b"x" * (PART_BYTES + 1), tmp_path)
    sent = [name for request in s3.requests for name in request.headers]
    assert [name for name in sent if "checksum" in name or "trailer" in name] == []
    assert all(request.headers["authorization"].startswith("AWS4-HMAC-SHA256") for request in s3.requests)


@pytest.mark.django_db
def test_a_bucket_that_is_busy_costs_no_item(provider: SimulatorServer, s3: S3Server) -> None:
    batch = submit(customer_with(100), ["a cat"])
    s3.refuses = lambda request: request.is_put and request.key.endswith(".jpg")
    until = time.monotonic() + 20
    while not any(map(s3.refuses, s3.requests)) and time.monotonic() < until:
        one_turn(the_route())
    item = batch.items.get()
    assert (item.status, item.stage) == ("running", "collect")
    s3.refuses = lambda _: False
    assert drive(batch).state == "completed"
    assert batch.items.get().attempts_made == 1


def test_threads_share_one_client_and_a_fork_has_its_own(s3: S3Server) -> None:
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(storage().connection)) for _ in range(4)]
    for thread in [*threads]:
        thread.start()
        thread.join()
    assert len(set(map(id, found))) == 1
    forked = os.fork()
    if forked == 0:
        is_another = storage().connection is not found[0] and store().names_in("outputs/none") == []
        os._exit(0 if is_another else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 0


# --- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_whole_video_is_handed_through(account: Account, item: Item) -> None:
    response = account.api.get(content_path(item))
    assert (response.status_code, b"".join(response.streaming_content)) == (200, VIDEO)
    assert response.headers["Content-Length"] == str(len(VIDEO))
    assert response.headers["Content-Type"] == "video/mp4"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-99", 0, 99),
        ("bytes=10000-", 10_000, len(VIDEO) - 1),
        ("bytes=-5", len(VIDEO) - 5, len(VIDEO) - 1),
        ("bytes=5-999999999", 5, len(VIDEO) - 1),
    ],
)
def test_only_the_range_is_asked_of_the_bucket(
    account: Account, item: Item, s3: S3Server, asked: str, first: int, last: int
) -> None:
    response = account.api.get(content_path(item), headers={"Range": asked})
    assert (response.status_code, b"".join(response.streaming_content)) == (206, VIDEO[first : last + 1])
    assert response.headers["Content-Range"] == f"bytes {first}-{last}/{len(VIDEO)}"
    assert [request.headers["range"] for request in s3.asked("GET", item.output.video)] == [f"bytes={first}-{last}"]


@pytest.mark.django_db
def test_a_range_outside_and_a_head_fetch_nothing(account: Account, item: Item, s3: S3Server) -> None:
    outside = account.api.get(content_path(item), headers={"Range": f"bytes={len(VIDEO)}-"})
    assert code_of(outside) == (416, "range_not_satisfiable")
    head = account.api.send("HEAD", content_path(item))
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(VIDEO)))
    assert s3.asked("GET", item.output.video) == []


def test_a_listener_who_leaves_gives_back_the_connection(s3: S3Server, tmp_path: Path) -> None:
    name = stored(b"x" * 1024 * 1024, tmp_path)
    for _ in range(CONNECTIONS + 8):
        part = store().part(name, first=0, length=1024 * 1024)
        assert part.read(10) == b"x" * 10
        part.close()
    assert store().part(name, first=0, length=5).read(10) == b"x" * 5


@pytest.mark.django_db
def test_a_video_that_is_lost_is_our_failure(account: Account, item: Item) -> None:
    store().delete(item.output.video)
    assert code_of(account.api.get(content_path(item))) == (500, "internal_error")


@pytest.mark.django_db
def test_player_and_poster_of_the_dashboard_are_handed_through(s3: S3Server, provider: SimulatorServer) -> None:
    batch = drive(submit(customer_with(100), ["a cat"]))
    item = batch.items.select_related("output").get()
    browser: Client = staff("finance")
    page = f"/admin/batches/{batch.pk}/items/{item.pk}"
    video = browser.get(f"{page}/video", headers={"Range": "bytes=4-7"})
    assert (video.status_code, b"".join(video.streaming_content)) == (206, b"ftyp")  # type: ignore[attr-defined]
    poster = browser.get(f"{page}/poster")
    assert b"".join(poster.streaming_content)[:2] == b"\xff\xd8"  # type: ignore[attr-defined]


# --- addresses -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_address_gives_the_video_without_a_key_until_it_expires(account: Account, item: Item, s3: S3Server) -> None:
    before = timezone.now()
    response = account.api.get(content_path(item), url="1")
    said = response.json()
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "private, no-store"
    assert (list(said), said["ok"]) == (["ok", "url", "expires_at"], True)
    minutes = timedelta(minutes=15)
    assert before + minutes - timedelta(seconds=1) <= from_timestamp(said["expires_at"]) <= timezone.now() + minutes
    assert said["url"].startswith(f"{s3.endpoint_url}/{BUCKET}/{PREFIX}/{item.output.video}?")
    query = parse_qs(urlsplit(said["url"]).query)
    assert (query["X-Amz-Expires"], query["X-Amz-Algorithm"]) == (["900"], ["AWS4-HMAC-SHA256"])
    answer = requests.get(said["url"], timeout=10)
    assert (answer.status_code, answer.content) == (200, VIDEO)
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["Content-Disposition"] == f'inline; filename="{item.pk}.mp4"'
    part = requests.get(said["url"], headers={"Range": "bytes=5-9"}, timeout=10)
    assert (part.status_code, part.content) == (206, VIDEO[5:10])


@pytest.mark.django_db
def test_an_address_names_the_server_as_customers_know_it(
    account: Account, item: Item, s3: S3Server, settings: Settings
) -> None:
    settings.STORAGES = s3.storages(public_endpoint_url="https://files.example.com")
    settings.OUTPUT_URL_SECONDS = 60
    url = account.api.get(content_path(item), url="1").json()["url"]
    assert url.startswith(f"https://files.example.com/{BUCKET}/{PREFIX}/{item.output.video}?")
    assert "X-Amz-Expires=60&" in url


# --- deleting ------------------------------------------------------------------------------------------------------


def expired(batch: Batch) -> list[Output]:
    Output.objects.filter(item__batch=batch).update(expires_at=timezone.now())
    return list(Output.objects.filter(item__batch=batch).order_by("item__index"))


@pytest.mark.django_db
def test_the_purge_deletes_objects_and_a_fault_of_one_holds_up_no_other(account: Account, s3: S3Server) -> None:
    outputs = expired(end_batch(make_batch(account.api, 3)))
    stuck = outputs[1]
    s3.refuses = lambda request: request.method == "DELETE" and request.key.endswith(stuck.video)
    assert retention.purge_outputs(now=timezone.now()) == 2
    assert s3.names() == {stuck.video}
    s3.refuses = lambda _: False
    assert retention.purge_outputs(now=timezone.now()) == 1
    assert s3.names() == set()
    assert Output.objects.filter(purged_at=None).count() == 0


@pytest.mark.django_db
def test_a_batch_that_is_purged_has_no_address_any_more(account: Account, item: Item) -> None:
    expired(item.batch)
    retention.purge_outputs(now=timezone.now())
    assert code_of(account.api.get(content_path(item), url="1")) == (404, "not_found")


@pytest.mark.django_db
def test_objects_that_no_record_names_are_removed(account: Account, s3: S3Server) -> None:
    batch = end_batch(make_batch(account.api))
    output = Output.objects.get()
    folder = f"outputs/{batch.pk}"
    kept = s3.put(f"{folder}/att_{'0' * 26}-1.mp4")
    with as_owner():
        Output.objects.filter(pk=output.pk).update(poster=kept)
    orphan = s3.put(f"{folder}/att_{'0' * 26}-2.mp4")
    assert orphans.remove_orphans(now=timezone.now() + orphans.AGE + orphans.AGE) == 1
    assert orphan not in s3.names()
    assert {kept, output.video} <= s3.names()


# --- settings ------------------------------------------------------------------------------------------------------


GOOD = {
    "S3_BUCKET": "videos",
    "S3_PREFIX": "",
    "S3_ENDPOINT_URL": "https://s3.example.com:9000",
    "S3_PUBLIC_ENDPOINT_URL": "",
    "S3_ACCESS_KEY_ID": "key",
    "S3_SECRET_ACCESS_KEY": "secret",
    "S3_ADDRESSING_STYLE": "path",
    "OUTPUT_URL_SECONDS": 604_800,
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"S3_ACCESS_KEY_ID": "", "S3_SECRET_ACCESS_KEY": "", "S3_ENDPOINT_URL": "", "S3_ADDRESSING_STYLE": "auto"},
        {"S3_ENDPOINT_URL": "http://s3.internal", "S3_PUBLIC_ENDPOINT_URL": "https://files.example.com"},
        {"S3_ENDPOINT_URL": "https://host.example.com/storage/v1/s3"},
        {name: "" for name in GOOD if name.startswith("S3_") and name != "S3_ADDRESSING_STYLE"},
    ],
)
def test_settings_that_fit_together_pass(settings: Settings, changes: dict[str, object]) -> None:
    settings.DEBUG = False
    for name, value in {**GOOD, **changes}.items():
        setattr(settings, name, value)
    assert checks.check_outputs() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"S3_BUCKET": ""},
        {"S3_BUCKET": "https://videos.example.com"},
        {"S3_BUCKET": "videos/production"},
        {"S3_ACCESS_KEY_ID": ""},
        {"S3_SECRET_ACCESS_KEY": ""},
        {"S3_ENDPOINT_URL": "s3.example.com"},
        {"S3_ENDPOINT_URL": "https://"},
        {"S3_ENDPOINT_URL": "https://host:port"},
        {"S3_ENDPOINT_URL": "https://key:secret@host"},
        {"S3_PUBLIC_ENDPOINT_URL": "https://host?a=b"},
        {"S3_ENDPOINT_URL": "http://s3.internal"},
        {"S3_PUBLIC_ENDPOINT_URL": "http://files.example.com"},
        {"S3_ADDRESSING_STYLE": "sideways"},
        {"OUTPUT_URL_SECONDS": 0},
        {"OUTPUT_URL_SECONDS": 604_801},
    ],
)
def test_settings_that_cannot_be_right_are_found(settings: Settings, changes: dict[str, object]) -> None:
    settings.DEBUG = False
    for name, value in {**GOOD, **changes}.items():
        setattr(settings, name, value)
    assert [message.id for message in checks.check_outputs()] == ["sora2.E009"]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"bucket_name": "no-such-bucket"}, "NoSuchBucket"),
        ({"access_key": None, "secret_key": None}, "NoCredentialsError"),
    ],
)
def test_a_bucket_that_refuses_us_stops_the_start(
    s3: S3Server, settings: Settings, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str | None], word: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    assert checks.check_bucket() == []
    settings.STORAGES = s3.storages(**changes)
    [message] = checks.check_bucket()
    assert message.id == "sora2.E011"
    assert word in message.msg


def test_a_bucket_that_does_not_answer_stops_nothing(s3: S3Server, settings: Settings) -> None:
    settings.STORAGES = s3.storages(endpoint_url="http://127.0.0.1:9")
    assert checks.check_bucket() == []


def test_a_server_that_is_busy_says_nothing_about_the_settings(s3: S3Server) -> None:
    s3.refuses = lambda request: request.method == "GET"
    assert checks.check_bucket() == []


def test_without_a_bucket_nobody_is_asked(settings: Settings) -> None:
    settings.S3_BUCKET = ""
    assert checks.check_bucket() == []
