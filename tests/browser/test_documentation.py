"""The public documentation in a real browser: by keyboard, by click, on a phone, in the dark, without scripts."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from customers.models import Mode
from sora2.documentation.contents import ROWS, START
from tests.browser.axe import findings
from tests.browser.conftest import OpenPage
from tests.browser.test_dashboard import faint_texts
from tests.factories import make_account

pytestmark = pytest.mark.django_db(transaction=True)

SMALL_PHONE = {"width": 360, "height": 740}
QUICK_START = "/docs/enterprise/quick-start"
EXPLORER = "/docs/api"
PAGES = [START, "/docs/search?q=webhook", *(row.address for row in ROWS)]


@pytest.fixture
def page(open_page: OpenPage, live_server: LiveServer) -> Iterator[Page]:
    """A page that may ask this host only. Its console must stay silent (see open_page), the content policy's too."""
    page = open_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    yield page
    assert [url for url in asked if not url.startswith((f"{live_server.url}/", "data:", "blob:"))] == []


# --- finding ----------------------------------------------------------------------------------------------------------


def test_from_the_start_page_through_the_quick_start(page: Page) -> None:
    page.goto(START)
    page.get_by_role("link", name="Start in ten minutes").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Quick start")
    here = page.get_by_role("navigation", name="Documentation").locator("[aria-current=page]")
    expect(here).to_have_text("Quick start")
    page.get_by_role("navigation", name="On this page").get_by_role("link", name="7. Check the money").click()
    expect(page.get_by_role("heading", name="7. Check the money")).to_be_in_viewport()
    page.get_by_role("navigation", name="Previous and next page").get_by_role("link", name="Next").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Concepts")


def test_the_type_of_an_error_leads_to_its_row(page: Page) -> None:
    page.goto("/docs/errors#request_id_reused")
    expect(page).to_have_url(re.compile("/docs/enterprise/errors#request_id_reused$"))
    expect(page.get_by_role("cell", name="request_id_reused").first).to_be_in_viewport()


def test_the_search_answers_while_one_types_and_goes_by_keyboard(page: Page) -> None:
    page.goto(START)
    page.keyboard.press("/")
    field = page.get_by_role("searchbox", name="Search the documentation")
    expect(field).to_be_focused()
    page.keyboard.type("insufficient_credits")
    # What is found for the beginning of the word comes first, and in another order.
    first = page.locator("#found .hits a").first
    expect(first).to_have_attribute("href", re.compile("/docs/enterprise/errors#insufficient_credits$"))
    expect(page.locator("#found-count")).to_have_text(re.compile(r"^\d results$"))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/docs/enterprise/errors#insufficient_credits$"))


def test_the_page_stays_where_it_is_while_one_types(page: Page) -> None:
    page.goto(f"{QUICK_START}#7-check-the-money")
    before = page.evaluate("scrollY")
    page.keyboard.press("/")
    page.keyboard.type("wallet")
    expect(page.locator("#found")).to_be_visible()
    assert page.evaluate("scrollY") == before > 0


def test_escape_leaves_the_search(page: Page) -> None:
    page.goto(START)
    page.keyboard.press("/")
    page.keyboard.type("wallet")
    expect(page.locator("#found")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#found")).to_be_hidden()
    expect(page.get_by_role("searchbox")).not_to_be_focused()


def test_enter_leads_to_the_page_of_results(page: Page) -> None:
    page.goto(START)
    page.get_by_role("searchbox").fill("signature")
    page.get_by_role("searchbox").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Results for “signature”")


def test_the_search_needs_no_script(open_page: OpenPage) -> None:
    page = open_page(java_script_enabled=False)
    page.goto(START)
    page.get_by_role("searchbox").fill("idempotency")
    page.get_by_role("searchbox").press("Enter")
    page.locator(".prose .hits a").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Idempotency")


# --- code -------------------------------------------------------------------------------------------------------------


def test_a_block_is_copied_as_it_stands_and_says_so(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(QUICK_START)
    block = page.locator("div.code:visible").first
    block.get_by_role("button").click()
    expect(block.get_by_role("status")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == block.locator("code").text_content()


def test_the_language_that_was_chosen_is_remembered(page: Page) -> None:
    page.goto(QUICK_START)
    group = page.locator(".languages").nth(1)
    expect(group.get_by_role("tab", selected=True)).to_have_text("curl")
    group.get_by_role("tab", name="curl").press("ArrowRight")
    expect(group.get_by_role("tab", name="Python")).to_be_focused()
    group.get_by_role("tab", name="Node").click()
    page.reload()
    for at in range(page.locator(".languages").count()):
        expect(page.locator(".languages").nth(at).get_by_role("tab", selected=True)).to_have_text("Node")
    expect(page.locator(".languages div.code:visible")).to_have_count(page.locator(".languages").count())


def test_what_is_pressed_stays_where_it_is(page: Page) -> None:
    page.goto(QUICK_START)
    tab = page.locator(".languages").last.get_by_role("tab", name="Python")
    tab.scroll_into_view_if_needed()
    before = tab.evaluate("tab => tab.getBoundingClientRect().top")
    tab.click()
    assert abs(tab.evaluate("tab => tab.getBoundingClientRect().top") - before) <= 1


def test_without_scripts_all_languages_stand_below_each_other_and_no_button_promises_anything(
    open_page: OpenPage,
) -> None:
    page = open_page(java_script_enabled=False)
    page.goto(QUICK_START)
    group = page.locator(".languages").nth(1)
    expect(group.locator("div.code:visible")).to_have_count(3)
    expect(group.locator(".code-head").nth(2)).to_have_text("Node")
    expect(page.locator("div.code button")).to_have_count(0)


# --- looks ------------------------------------------------------------------------------------------------------------


def test_nothing_is_wider_than_a_small_phone(open_page: OpenPage) -> None:
    page = open_page(viewport=SMALL_PHONE)
    for address in PAGES:
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= SMALL_PHONE["width"], address


def test_the_navigation_unfolds_on_a_phone_without_scripts(open_page: OpenPage) -> None:
    page = open_page(viewport=SMALL_PHONE, java_script_enabled=False)
    page.goto(QUICK_START)
    menu = page.get_by_role("navigation", name="All pages")
    expect(menu).to_be_hidden()
    page.get_by_text("All pages").click()
    menu.get_by_role("link", name="Errors").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Errors")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(open_page: OpenPage, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    for address in PAGES:
        if address == EXPLORER:  # Swagger UI's own colours.
            continue
        page.goto(address)
        assert faint_texts(page) == [], address


def test_axe_finds_nothing_serious(open_page: OpenPage) -> None:
    page = open_page()
    for address in PAGES:
        if address == EXPLORER:  # Swagger UI's own structure.
            continue
        page.goto(address)
        assert findings(page, impacts=("serious", "critical")) == [], address


def test_paper_shows_the_page_alone(open_page: OpenPage) -> None:
    page = open_page()
    page.emulate_media(media="print")
    page.goto(QUICK_START)
    for gone in (".side", ".rail", ".menu", ".find", "button", ".neighbours"):
        expect(page.locator(gone).first).to_be_hidden()
    expect(page.get_by_role("heading", name="7. Check the money")).to_be_visible()


def test_who_goes_by_keyboard_can_skip_the_navigation(page: Page) -> None:
    page.goto(QUICK_START)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()


# --- prices, and the explorer -----------------------------------------------------------------------------------------


def test_an_estimate_is_asked_for_and_answered(page: Page) -> None:
    page.goto("/docs/pricing")
    page.get_by_label("Model").select_option("veo-3")
    page.get_by_label("Seconds").select_option("8")
    page.get_by_label("Videos").fill("1050")
    page.get_by_role("button", name="Estimate").click()
    expect(page.locator(".prose").get_by_role("status")).to_contain_text("1,050 × 97 = 101,850 credits")


def test_the_explorer_tries_an_operation_out_with_a_test_key(page: Page) -> None:
    account = make_account()
    page.goto(EXPLORER)
    page.get_by_role("button", name="Authorize").first.click()
    page.get_by_label("Value").fill(account.secrets[Mode.TEST])
    page.get_by_role("button", name="Apply credentials").click()
    page.get_by_role("button", name="Close").click()
    operation = page.locator(".opblock", has=page.get_by_text("/api/enterprise/wallet", exact=True))
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Try it out").click()
    with page.expect_response(lambda answer: answer.url.endswith("/api/enterprise/wallet")) as answered:
        operation.get_by_role("button", name="Execute").click()
    assert answered.value.status == 200
    assert json.loads(answered.value.text())["livemode"] is False


def test_without_scripts_the_explorer_says_where_the_list_is(open_page: OpenPage) -> None:
    page = open_page(java_script_enabled=False)
    page.goto(EXPLORER)
    page.get_by_role("link", name=re.compile("list of all")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("API")
