"""Every page of the dashboard under axe: with data, empty and refused, light and wide, dark and on a phone."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import ViewportSize, expect

from tests.browser.axe import findings
from tests.browser.conftest import OpenPage, SignIn
from tests.dashboard import addresses, scenes
from tests.factories import make_account
from tests.people import member, signed_in
from tests.world import make_world

pytestmark = pytest.mark.django_db(transaction=True)

DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
DARK_PHONE: dict[str, Any] = {"viewport": PHONE, "color_scheme": "dark", "reduced_motion": "reduce"}


@pytest.mark.parametrize("role", ["superuser", "customer finance"])
def test_axe_finds_nothing_on_any_page(sign_in: SignIn, tmp_path: Path, role: str) -> None:
    world = make_world(tmp_path)
    client = signed_in(world.people[role])
    page = sign_in(client, reduced_motion="reduce")
    found = {}
    for name, address in scenes(world, client).items():
        page.set_viewport_size(DESKTOP)
        page.emulate_media(color_scheme="light")
        page.goto(address)
        found[name] = findings(page)
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size(PHONE)
        found[name] += findings(page)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_axe_finds_nothing_on_the_way_in_nor_where_a_batch_is_priced(open_page: OpenPage, sign_in: SignIn) -> None:
    account = make_account()
    door = open_page(**DARK_PHONE)
    door.goto("/admin/login/")
    found = {"login": findings(door)}
    door.get_by_label("Sign-in name").fill("nobody")
    door.get_by_label("Password").fill("wrong")
    door.get_by_role("button", name="Log in").click()
    expect(door.get_by_text("do not belong together")).to_be_visible()
    found["login refused"] = findings(door)
    page = sign_in(member(account.organization, "customer admin"), **DARK_PHONE)
    for name, prompts in (("nothing said", ""), ("priced", "A cat")):
        page.goto("/admin/batches/new")
        page.get_by_label("Prompts", exact=True).fill(prompts)
        page.get_by_role("button", name="See the price").click()
        found[name] = findings(page)
    expect(page.get_by_role("button", name="Freeze 10 credits and start")).to_be_visible()
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_a_word_explains_itself_by_keyboard_in_a_tables_head_and_is_plain_on_paper(
    sign_in: SignIn, tmp_path: Path
) -> None:
    world = make_world(tmp_path)
    page = sign_in(signed_in(world.people["finance"]), viewport=PHONE)
    page.goto(addresses(world)["wallet_list"])
    head = page.get_by_role("columnheader", name="Reserved", exact=True)
    word = head.get_by_role("button", name="Reserved")
    word.focus()
    page.keyboard.press("Enter")
    meaning = page.locator(".meaning:popover-open")
    expect(meaning).to_contain_text("held for open batches")
    box = meaning.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    page.keyboard.press("Escape")
    expect(meaning).to_have_count(0)
    page.emulate_media(media="print")
    expect(word).to_be_visible()
    expect(word).to_have_css("text-decoration-line", "none")
