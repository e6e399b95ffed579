"""The video of an item over HTTP, whole and in ranges."""

import pytest
from django.core.files.storage import default_storage

from batches.models import Item
from tests.factories import VIDEO, Account, code_of, end_batch, make_batch

pytestmark = pytest.mark.django_db


@pytest.fixture
def video(account: Account) -> str:
    """The address of a video."""
    batch = end_batch(make_batch(account.api))
    return str(account.api.get(f"/video-batch/{batch.pk}/items").json()["data"][0]["output"]["url"])


def test_content_is_the_whole_video(account: Account, video: str) -> None:
    response = account.api.get(video)
    assert (response.status_code, b"".join(response.streaming_content)) == (200, VIDEO)
    assert response.headers["Content-Type"] == "video/mp4"
    assert response.headers["Content-Length"] == str(len(VIDEO))
    assert response.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-99", 0, 99),
        ("bytes=100-100", 100, 100),
        ("bytes=10000-", 10_000, len(VIDEO) - 1),
        ("bytes=-5", len(VIDEO) - 5, len(VIDEO) - 1),
        ("bytes=0-999999999", 0, len(VIDEO) - 1),
        ("bytes=-999999999", 0, len(VIDEO) - 1),
    ],
)
def test_content_comes_in_ranges(account: Account, video: str, asked: str, first: int, last: int) -> None:
    response = account.api.get(video, headers={"Range": asked})
    assert response.status_code == 206
    assert response.headers["Content-Range"] == f"bytes {first}-{last}/{len(VIDEO)}"
    assert response.headers["Content-Length"] == str(last - first + 1)
    assert b"".join(response.streaming_content) == VIDEO[first : last + 1]


@pytest.mark.parametrize("asked", [f"bytes={len(VIDEO)}-", "bytes=-0", "bytes=99999999-999999999"])
def test_a_range_outside_is_not_satisfiable(account: Account, video: str, asked: str) -> None:
    response = account.api.get(video, headers={"Range": asked})
    assert code_of(response) == (416, "range_not_satisfiable")
    assert response.headers["Content-Range"] == f"bytes */{len(VIDEO)}"


@pytest.mark.parametrize(
    "asked", ["bytes=5-1", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes=" + "9" * 5000 + "-", ""]
)
def test_what_is_no_single_range_is_answered_with_the_whole(account: Account, video: str, asked: str) -> None:
    response = account.api.get(video, headers={"Range": asked})
    assert (response.status_code, b"".join(response.streaming_content)) == (200, VIDEO)


def test_a_range_of_another_version_is_answered_with_the_whole(account: Account, video: str) -> None:
    etag = account.api.get(video).headers["ETag"]
    same = account.api.get(video, headers={"Range": "bytes=0-1", "If-Range": etag})
    other = account.api.get(video, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert (same.status_code, other.status_code) == (206, 200)


def test_head_answers_the_length_and_no_body(account: Account, video: str) -> None:
    response = account.api.send("HEAD", video)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["Content-Length"] == str(len(VIDEO))


def test_an_item_without_a_video_has_no_content(account: Account) -> None:
    batch = make_batch(account.api)
    response = account.api.get(f"/video-batch/{batch.pk}/items/{batch.items.get().pk}/content")
    assert code_of(response) == (404, "not_found")


def test_a_video_that_is_lost_is_our_failure(account: Account, video: str) -> None:
    default_storage.delete(Item.objects.get().output.video)
    assert code_of(account.api.get(video)) == (500, "internal_error")
