"""A real Chromium against a real server. Where none is installed these tests skip and say so; under CI they fail."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page
from pytest_django.live_server_helper import LiveServer

from tests.flows.system import System, running
from tests.programs import program

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
)

OpenPage = Callable[..., Page]
SignIn = Callable[..., Page]


@pytest.fixture(scope="session", autouse=True)
def _unsafe() -> Iterator[None]:
    """Let tests use the database while Playwright's event loop, which they never enter, runs in their thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """Start the installed Chromium, headless and silent towards the network."""
    path = program(*CHROMIUM, package="chromium")
    return {"executable_path": path, "args": list(ARGUMENTS), "headless": True}


@contextmanager
def opener(browser: Browser, url: str) -> Iterator[OpenPage]:
    """Yield a function that opens a page of the server at `url` for whoever has not signed in.

    Options are those of a Playwright context (`viewport`, `java_script_enabled`, …). The test fails in the end when a
    page said something on its console: a broken script, a file that is missing, or a breach of the content policy.
    """
    contexts: list[BrowserContext] = []
    said: list[str] = []

    def open_page(**options: Any) -> Page:
        context = browser.new_context(base_url=url, **options)
        contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("console", lambda message: None if _may_be_said(message, page) else said.append(_words(message)))
        page.on("pageerror", lambda error: said.append(str(error)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture
def open_page(live_server: LiveServer, browser: Browser) -> Iterator[OpenPage]:
    """Return a function that opens a page of the test's own server (see `opener`)."""
    with opener(browser, live_server.url) as open_page:
        yield open_page


@pytest.fixture
def system() -> Iterator[System]:
    """Return a whole running system: web, workers, beat and provider, with a database of its own."""
    with running() as system:
        yield system


@pytest.fixture
def open_system(browser: Browser, system: System) -> Iterator[OpenPage]:
    """Return a function that opens a page of the whole running system (see `opener`)."""
    with opener(browser, system.url) as open_page:
        yield open_page


@pytest.fixture
def sign_in(live_server: LiveServer, open_page: OpenPage) -> SignIn:
    """Return a function that opens a page, as `open_page` does, for whoever a test client is signed in as."""

    def sign_in(client: Client, **options: Any) -> Page:
        page = open_page(**options)
        cookie = client.cookies["sessionid"]
        page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": live_server.url}])
        return page

    return sign_in


def _may_be_said(message: ConsoleMessage, page: Page) -> bool:
    """Let pass what only developers' tools show, and the remarks that the page itself was answered with an error, and
    that whoever had put the cursor somewhere keeps it there.
    """
    return (
        str(message.type) == "verbose"
        or message.text.startswith("Autofocus processing was blocked")
        or (message.text.startswith("Failed to load resource") and message.location["url"] == page.url)
    )


def _words(message: ConsoleMessage) -> str:
    return f"{message.type}: {message.text}"
