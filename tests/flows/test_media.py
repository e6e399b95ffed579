"""Videos and posters: for whoever may see the batch, by page or by key; a copied link gives one until it ends."""

import re
from datetime import timedelta
from html import unescape

import pytest
import time_machine
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from batches.models import Item, Output
from customers.models import Membership
from tests.as_role import as_owner
from tests.factories import Account, end_batch, make_account, make_batch
from tests.people import member, staff

pytestmark = pytest.mark.django_db

VIDEO, POSTER = b"\0\0\0\x18ftypisom, and what plays", b"\xff\xd8\xff\xe0 a frame"
ROLES = ("customer admin", "customer finance", "customer developer")
GIVES = re.compile(r'<code class="url">([^<]+)</code>')


@pytest.fixture
def account() -> Account:
    return make_account()


@pytest.fixture
def item(account: Account) -> Item:
    item = end_batch(make_batch(account.api)).items.get()
    names = {
        "video": default_storage.save(f"{item.pk}.mp4", ContentFile(VIDEO)),
        "poster": default_storage.save(f"{item.pk}.jpg", ContentFile(POSTER)),
    }
    with as_owner():  # Made from the start with a file, it would need a worker.
        Output.objects.filter(item=item).update(bytes=len(VIDEO), **names)
    return item


def page_of(item: Item) -> str:
    return f"/admin/batches/{item.batch_id}/items/{item.pk}"


def content_of(item: Item) -> str:
    return f"/video-batch/{item.batch_id}/items/{item.pk}/content"


def shared(client: Client, item: Item) -> str:
    """Return the link that the page makes, as it is copied from there."""
    made = client.post(f"{page_of(item)}/link")
    assert "no-store" in made.headers["Cache-Control"]
    [found] = GIVES.findall(made.content.decode())
    return unescape(found)


def got(client: Client, address: str) -> bytes:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return b"".join(answer.streaming_content)  # type: ignore[attr-defined]


@pytest.mark.parametrize("role", ROLES)
def test_the_customers_own_people_get_the_video_and_its_poster(account: Account, item: Item, role: str) -> None:
    client = member(account.organization, role)
    assert got(client, f"{page_of(item)}/video") == VIDEO
    assert got(client, f"{page_of(item)}/poster") == POSTER


@pytest.mark.parametrize("role", ROLES)
def test_another_customers_people_find_nothing_there(item: Item, role: str) -> None:
    client = member(make_account(name="Stranger").organization, role)
    never = page_of(item)[:-1] + ("0" if page_of(item)[-1] != "0" else "1")
    for part in ("", "/video", "/poster"):
        theirs, nobodys = client.get(page_of(item) + part), client.get(never + part)
        assert (theirs.status_code, nobodys.status_code) == (404, 404), part
    assert client.post(f"{page_of(item)}/link").status_code == 404


def test_another_customers_batch_does_not_lead_to_the_video_either(account: Account, item: Item) -> None:
    """The item's id under the address of a batch that one does reach."""
    stranger = make_account(name="Stranger")
    own = end_batch(make_batch(stranger.api))
    client = member(stranger.organization, "customer admin")
    for part in ("video", "poster"):
        assert client.get(f"/admin/batches/{own.pk}/items/{item.pk}/{part}").status_code == 404
    assert stranger.api.get(f"/video-batch/{own.pk}/items/{item.pk}/content").status_code == 404


def test_whoever_is_not_signed_in_is_led_to_the_door(item: Item, client: Client) -> None:
    for part in ("", "/video", "/poster"):
        answer = client.get(page_of(item) + part)
        assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (302, "/admin/login/"), part


def test_who_has_left_the_customer_gets_nothing_from_then_on(account: Account, item: Item) -> None:
    client = member(account.organization, "customer developer")
    assert got(client, f"{page_of(item)}/video") == VIDEO
    Membership.objects.filter(organization=account.organization).delete()
    assert client.get(f"{page_of(item)}/video").status_code in (302, 403)


def test_no_key_but_the_customers_own_in_this_mode_gets_it(account: Account, item: Item) -> None:
    assert account.api.get(content_of(item)).status_code == 200
    for stranger in (account.test_api, make_account(name="Stranger").api):
        assert stranger.get(content_of(item)).status_code == 404
        assert stranger.get(content_of(item), url="1").status_code == 404


def test_a_copied_link_gives_the_video_alone_and_expires(
    account: Account, item: Item, client: Client, settings: Settings
) -> None:
    settings.OUTPUT_URL_SECONDS = 600
    link = shared(member(account.organization, "customer developer"), item)
    assert got(client, link) == VIDEO
    # It opens nothing else: neither the page nor the poster, nor the same video without it.
    assert {client.get(page_of(item) + part).status_code for part in ("", "/video", "/poster")} == {302}
    assert client.get(link.rpartition("/")[0]).status_code == 401
    with time_machine.travel(timezone.now() + timedelta(seconds=590)):
        assert got(client, link) == VIDEO
    with time_machine.travel(timezone.now() + timedelta(seconds=602)):
        assert client.get(link).status_code == 404


def test_a_link_is_for_one_video_and_cannot_be_made_up(account: Account, item: Item, client: Client) -> None:
    other = end_batch(make_batch(account.api, request_id="other")).items.get()
    link = shared(member(account.organization, "customer admin"), item)
    assert client.get(link.replace(item.pk, other.pk).replace(item.batch_id, other.batch_id)).status_code == 404
    assert client.get(link[:-1] + ("A" if link[-1] != "A" else "B")).status_code == 404
    assert client.get(link.rpartition("/")[0] + "/made-up").status_code == 404


def test_what_is_deleted_no_link_brings_back(account: Account, item: Item, client: Client) -> None:
    browser = staff("support")
    link = shared(browser, item)
    Output.objects.filter(item=item).update(purged_at=timezone.now())
    assert client.get(link).status_code == 404
    assert browser.get(f"{page_of(item)}/video").status_code == 404
    assert browser.post(f"{page_of(item)}/link").status_code == 404


def test_no_other_than_who_asked_may_keep_a_copy(account: Account, item: Item, client: Client) -> None:
    browser = member(account.organization, "customer finance")
    for address in (f"{page_of(item)}/video", f"{page_of(item)}/poster"):
        assert browser.get(address).headers["Cache-Control"].startswith("private"), address
    assert client.get(shared(browser, item)).headers["Cache-Control"].startswith("private")
