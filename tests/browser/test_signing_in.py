"""Signing in, in a real Chromium: locked out, led to set the second step up, in with a code and with one on paper."""

import re
from base64 import b32decode
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django_otp.oath import TOTP
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from customers.models import Authenticator, User
from customers.services import create_staff
from tests.browser.conftest import OpenPage
from tests.customers.test_two_step import PASSWORD, next_code

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def finance() -> User:
    """Somebody of finance who signs in with PASSWORD."""
    user, _ = create_staff(username="finance", role="finance", password=PASSWORD)
    return user


def give_password(page: Page, password: str = PASSWORD) -> None:
    page.goto("/admin/batches/?state=failed")
    page.get_by_label("Sign-in name").fill("finance")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def set_up(page: Page) -> list[str]:
    """Set an app up as a person does who types the key, and return the recovery codes."""
    page.get_by_text("It can't scan? Type this key").click()
    letters = page.locator(".secret code").inner_text()
    image = page.locator("img.qr")
    assert image.evaluate("picture => picture.naturalWidth") > 100, "the policy lets the picture be shown"
    totp = TOTP(b32decode(letters))
    page.get_by_label("Code").fill(f"{totp.token():06}")
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", name="Keep these recovery codes")).to_be_visible()
    return page.locator("ul.codes code").all_inner_texts()


def test_staff_are_led_to_set_it_up_and_then_sign_in_with_a_code_or_one_on_paper(
    finance: User, open_page: OpenPage, settings: Any
) -> None:
    settings.STAFF_TWO_STEP_REQUIRED = True
    page = open_page()
    give_password(page)
    expect(page.get_by_role("heading", name="Set up two-step sign-in")).to_be_visible()
    assert page.get_by_role("navigation", name="Sections").count() == 0
    page.goto("/admin/ledger/")
    expect(page.get_by_role("heading", name="Set up two-step sign-in")).to_be_visible()
    codes = set_up(page)
    assert len(codes) == 10
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("heading", name="Wallets")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("status")).to_have_text("You are signed out.")
    give_password(page)
    expect(page.get_by_label("Code")).to_be_focused()
    page.get_by_label("Code").fill("no code")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not right")
    Authenticator.objects.update(throttling_failure_timestamp=None)
    page.get_by_label("Code").fill(next_code(finance))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Batches")).to_be_visible()
    assert parse_qs(urlsplit(page.url).query) == {"state": ["failed"]}
    other = open_page()
    give_password(other)
    other.get_by_label("Code").fill(codes[3])
    other.get_by_role("button", name="Sign in").click()
    expect(other.get_by_role("heading", name="Batches")).to_be_visible()
    other.goto("/admin/two-step/")
    expect(other.get_by_text(re.compile("^9$"))).to_be_visible()


def test_who_guesses_is_told_how_long_they_are_locked_out(
    finance: User, live_server: LiveServer, browser: Browser
) -> None:
    # Not by open_page: the browser says on its console that the answer was 429.
    page = browser.new_page(base_url=live_server.url)
    for _ in range(5):
        give_password(page, "wrong")
    expect(page.get_by_role("heading", name="Locked for a while")).to_be_visible()
    expect(page.get_by_role("link", name="support@example.com")).to_be_visible()
    page.close()
