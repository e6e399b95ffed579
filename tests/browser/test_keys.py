"""A customer's administrator makes a key, uses it, rotates it and revokes it: in a real browser, over real HTTP."""

import pytest
import requests
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from customers.models import ApiKey
from tests.browser.axe import findings
from tests.browser.conftest import SignIn
from tests.browser.test_accessibility import DESKTOP, PHONE
from tests.factories import make_account
from tests.people import member

pytestmark = pytest.mark.django_db(transaction=True)


def status(server: LiveServer, secret: str) -> int:
    """Ask the server for the wallet with this secret; return the status of the answer."""
    answer = requests.get(f"{server.url}/api/enterprise/wallet", headers={"X-API-Key": secret}, timeout=10)
    return answer.status_code


def secret_on(page: Page) -> str:
    return page.locator(".secret code").inner_text()


def looked_at(page: Page) -> list[str]:
    """Return what axe finds here, and what is wider than a phone."""
    page.set_viewport_size(PHONE)
    wide = page.evaluate("document.documentElement.scrollWidth") > PHONE["width"]
    found = findings(page) + (["wider than a phone"] if wide else [])
    page.set_viewport_size(DESKTOP)
    return [*found, *findings(page)]


@pytest.mark.parametrize("java_script", [True, False])
def test_an_administrator_makes_a_test_key_uses_it_rotates_it_and_revokes_it(
    live_server: LiveServer, sign_in: SignIn, java_script: bool
) -> None:
    account = make_account()
    page = sign_in(member(account.organization, "customer admin"), java_script_enabled=java_script)
    page.goto("/admin/")
    page.get_by_role("button", name="TEST", exact=True).click()
    page.get_by_role("link", name="Account").click()
    page.get_by_role("link", name="API keys").click()
    page.get_by_role("link", name="Make a TEST key").click()
    page.get_by_label("Name").fill("Nightly render")
    page.get_by_role("button", name="Make a TEST key").click()
    first = secret_on(page)
    assert first.startswith("s2_test_")
    assert status(live_server, first) == 200
    page.get_by_role("link", name="I have it").click()
    page.get_by_text("Rotate the secret").first.click()
    page.get_by_role("button", name="Rotate the secret").click()
    second = secret_on(page)
    assert second != first
    assert [status(live_server, secret) for secret in (first, second)] == [200, 200]
    page.get_by_role("link", name="I have it").click()
    expect(page.locator("h1 ~ .pill").last).to_have_text("◐ rotating")
    page.get_by_role("link", name="Revoke…").click()
    expect(page.get_by_text("look whether the program still needs it")).to_be_visible()
    page.get_by_label("Why").fill("The render farm was shut down")
    page.get_by_role("button", name="Revoke Nightly render").click()
    expect(page.locator("h1 + .pill")).to_have_text("− revoked")
    assert [status(live_server, secret) for secret in (first, second)] == [401, 401]


def test_loading_the_page_with_the_secret_again_makes_no_second_key(live_server: LiveServer, sign_in: SignIn) -> None:
    account = make_account()
    page = sign_in(member(account.organization, "customer admin"))
    page.goto(f"/admin/customers/{account.organization.pk}/keys/new?mode=test")
    page.get_by_label("Name").fill("Nightly render")
    page.get_by_role("button", name="Make a TEST key").click()
    secret = secret_on(page)
    page.reload()
    expect(page.get_by_text("Nothing was made now")).to_be_visible()
    assert secret not in page.content()
    page.go_back()
    assert secret not in page.content()
    assert ApiKey.objects.filter(name="Nightly render").count() == 1


def test_axe_finds_nothing_where_a_secret_is_shown_nor_where_a_form_is_refused(sign_in: SignIn) -> None:
    account = make_account()
    page = sign_in(
        member(account.organization, "customer admin"),
        reduced_motion="reduce",
        permissions=["clipboard-read", "clipboard-write"],
    )
    page.goto(f"/admin/customers/{account.organization.pk}/keys/new")
    page.get_by_label("Networks").fill("here\n203.0.113.7/24")
    page.get_by_role("button", name="Make a LIVE key").click()
    expect(page.get_by_text("Give it a name")).to_be_visible()
    found = {"refused": looked_at(page)}
    page.get_by_label("Name").fill("Nightly render")
    page.get_by_label("Networks").fill("")
    page.get_by_role("button", name="Make a LIVE key").click()
    found["secret"] = looked_at(page)
    page.locator(".secret").get_by_role("button", name="Copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == secret_on(page)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
