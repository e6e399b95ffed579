"""A colleague is invited, joins and is inside, in a real Chromium: two people, each with a browser of their own."""

from typing import Any

import pytest
from playwright.sync_api import expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.axe import findings
from tests.browser.conftest import OpenPage, SignIn
from tests.factories import make_account
from tests.people import member

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a password of length"
DARK_PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}


@pytest.fixture
def _links(live_server: LiveServer, settings: Any) -> None:
    """Let links lead to the server of the test."""
    settings.PUBLIC_BASE_URL = live_server.url


@pytest.mark.usefixtures("_links")
def test_an_administrator_invites_a_colleague_who_joins_and_sees_what_their_role_may(
    sign_in: SignIn, open_page: OpenPage, settings: Any
) -> None:
    account = make_account(name="Acme Corp")
    admin = sign_in(member(account.organization, "customer admin"))
    admin.goto("/admin/customers/")
    admin.get_by_role("navigation", name="About this customer").get_by_role("link", name="People").click()
    admin.get_by_label("E-mail").fill("pia@acme.example")
    admin.get_by_label("Role", exact=True).select_option("customer finance")
    admin.get_by_role("button", name="Make the link").click()
    expect(admin.get_by_text("It is shown this once, here and nowhere else.")).to_be_visible()
    expect(admin.get_by_role("button", name="Copy", exact=True)).to_be_visible()
    link = admin.locator(".secret code").inner_text()
    assert link.startswith(f"{settings.PUBLIC_BASE_URL}/admin/join/")
    assert findings(admin) == []

    pia = open_page(**DARK_PHONE)
    pia.goto(link)
    expect(pia.get_by_role("heading", name="Join Acme Corp")).to_be_visible()
    assert findings(pia) == []
    assert pia.evaluate("document.documentElement.scrollWidth") <= 390
    expect(pia.get_by_label("Sign-in name")).to_have_value("pia@acme.example")
    pia.get_by_label("Your name").fill("Pia Holm")
    pia.get_by_label("Password", exact=True).fill("short")
    pia.get_by_label("The same again").fill("short")
    pia.get_by_role("button", name="Join").click()
    expect(pia.get_by_text("This password is too short.")).to_be_visible()
    assert findings(pia) == []
    pia.get_by_label("Password", exact=True).fill(PASSWORD)
    pia.get_by_label("The same again").fill(PASSWORD)
    pia.get_by_role("button", name="Join").click()
    expect(pia.get_by_text("Welcome: you belong to Acme Corp now, as customer finance.")).to_be_visible()
    sections = pia.get_by_role("navigation", name="Sections")
    expect(sections.get_by_role("link", name="Ledger")).to_be_visible()
    expect(pia.locator("#header .organization")).to_have_text("Acme Corp")
    pia.goto("/admin/batches/")
    expect(pia.get_by_role("link", name="New batch")).to_have_count(0)

    other = open_page()
    other.goto(link)
    expect(other.get_by_role("heading", name="This link does not work")).to_be_visible()
    assert findings(other) == []

    admin.goto(f"/admin/customers/{account.organization.pk}/people")
    row = admin.get_by_role("row", name="Pia Holm")
    expect(row).to_contain_text("customer finance")
    admin.set_viewport_size({"width": 390, "height": 844})
    assert admin.evaluate("document.documentElement.scrollWidth") <= 390
    assert findings(admin) == []


@pytest.mark.usefixtures("_links")
def test_whoever_lost_their_password_sets_a_new_one_by_a_link_and_signs_in_with_it(
    sign_in: SignIn, open_page: OpenPage
) -> None:
    account = make_account(name="Acme Corp")
    theirs = member(account.organization, "customer developer")
    admin = sign_in(member(account.organization, "customer admin"))
    admin.goto(f"/admin/customers/{account.organization.pk}/people/{theirs.session['_auth_user_id']}/password-link")
    admin.get_by_role("button", name="Make the link").click()
    link = admin.locator(".secret code").inner_text()

    page = open_page(**DARK_PHONE)
    page.goto(link)
    assert findings(page) == []
    name = page.locator("[name=username]").input_value()
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_role("status")).to_contain_text("Your new password is set")
    page.get_by_label("Sign-in name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("navigation", name="Sections")).to_be_visible()
