"""Every page in a real browser: nothing is asked of another host, and the policy is kept."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Response
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import SignIn
from tests.dashboard import scenes
from tests.people import signed_in
from tests.world import World, make_world

pytestmark = pytest.mark.django_db(transaction=True)

INLINE = """() => [...document.querySelectorAll("*")].flatMap((element) => [
    ...[...element.attributes].map((each) => each.name).filter((name) => /^on/.test(name) || name === "style"),
    ...(element.matches("script:not([src]):not([type='application/json']), style") ? [element.localName] : []),
])"""


@pytest.fixture
def world(transactional_db: None, tmp_path: Path) -> World:
    """The rich world, seen by the server too."""
    return make_world(tmp_path)


@pytest.mark.parametrize("role", ["superuser", "customer admin"])
def test_every_page_asks_nothing_of_another_host_and_keeps_to_the_policy(
    world: World, sign_in: SignIn, live_server: LiveServer, role: str
) -> None:
    """What a page says on its console, a breach of the policy too, fails the test in the end."""
    client = signed_in(world.people[role])
    # Django's pages of a model are made alike.
    named = scenes(world, client)
    pages = {name: at for name, at in named.items() if not name.endswith(("_add", "_delete", "_history"))}
    assert len(pages) > 25
    page, asked = sign_in(client), set[str]()
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    faults = {name: found for name, address in pages.items() if (found := _faults(page, page.goto(address)))}
    assert faults == {}
    assert asked - {""} == {urlsplit(live_server.url).netloc}


def _faults(page: Page, response: Response | None) -> list[str]:
    assert response is not None
    policy = response.headers.get("content-security-policy", "")
    scripts = next((part for part in policy.split(";") if part.strip().startswith("script-src")), "")
    inline: list[str] = page.evaluate(INLINE)
    return [*inline, *([] if scripts and "unsafe-inline" not in scripts else [f"script-src: {scripts!r}"])]
