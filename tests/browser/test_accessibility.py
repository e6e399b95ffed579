"""Every page of the dashboard under axe: with data, empty and refused, light and wide, dark and on a phone."""

from pathlib import Path

import pytest
from playwright.sync_api import ViewportSize

from tests.browser.axe import findings
from tests.browser.conftest import SignIn
from tests.dashboard import scenes
from tests.people import signed_in
from tests.world import make_world

pytestmark = pytest.mark.django_db(transaction=True)

DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}


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
