"""Finance asks of a figure why it is there, and clicks down to the one item that explains it."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from batches.failures import FailureType
from tests.browser.axe import findings
from tests.browser.conftest import SignIn
from tests.factories import Account, end_batch, make_account, make_batch
from tests.people import member, staff

pytestmark = pytest.mark.django_db(transaction=True)

PHONE: ViewportSize = {"width": 390, "height": 844}


@pytest.fixture
def account(transactional_db: Any) -> Account:
    """A customer of whose ten clips one failed."""
    account = make_account()
    end_batch(make_batch(account.api, 10, request_id="order-123"), failed={3: FailureType.TIMEOUT})
    return account


def is_in_order(page: Page) -> None:
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_our_finance_comes_from_the_figure_on_home_to_the_item(account: Account, sign_in: SignIn) -> None:
    page = sign_in(staff("finance"))
    page.goto("/admin/")
    page.locator(".equation").get_by_role("link", name="90", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Settled 90 ✓")
    is_in_order(page)
    page.get_by_role("link", name="Acme", exact=True).click()
    expect(page.get_by_text("What was charged for videos that were made")).to_be_visible()
    is_in_order(page)
    page.get_by_role("rowheader").get_by_role("link").first.click()
    page.locator("table.rows").get_by_role("link", name="3", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Entry 3: settle 90")
    is_in_order(page)
    page.locator("dl.pairs").get_by_role("link").first.click()
    page.locator(".equation").get_by_role("link", name="90", exact=True).click()
    expect(page.get_by_text("9 × 10; price list: 10 for 4 s")).to_be_visible()
    is_in_order(page)
    page.get_by_role("link", name="sora-2 · 4 s").click()
    page.get_by_role("link", name="0", exact=True).click()
    expect(page.get_by_role("heading", name="Its credits")).to_be_visible()
    expect(page.get_by_text(re.compile(r"10 × 4 s ÷ 4 s = 10 ✓"))).to_be_visible()


def test_customers_finance_finds_on_a_phone_why_credits_came_back(account: Account, sign_in: SignIn) -> None:
    page = sign_in(member(account.organization), viewport=PHONE, color_scheme="dark")
    page.goto("/admin/batches/")
    page.locator("tbody").get_by_role("link", name="10", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Refunded 10 ✓")
    is_in_order(page)
    page.get_by_role("link", name="timeout").click()
    page.get_by_role("link", name="3", exact=True).click()
    expect(page.get_by_text("Given back: it failed, and what fails is not charged.")).to_be_visible()
    is_in_order(page)
    page.goto(f"/admin/ledger/{account.organization.pk}")
    page.locator(".equation").get_by_role("link", name="910", exact=True).click()
    expect(page.get_by_text("910 = 1,000 − 0 − 90 ✓")).to_be_visible()
    is_in_order(page)
