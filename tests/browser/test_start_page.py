"""The start page and the month-end checklist in a real browser: live, on a phone, without a script, for everybody."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, Request, expect

from batches.failures import FailureType
from batches.finalization import finalize_batch_credits
from pilots.models import Pilot
from tests.browser.axe import findings
from tests.browser.conftest import SignIn
from tests.browser.test_dashboard import PHONE, faint_texts
from tests.factories import Account, end_batch, end_items, make_account, make_batch
from tests.people import member

pytestmark = pytest.mark.django_db(transaction=True)

ROLES = ("customer admin", "customer finance", "customer developer")


@pytest.fixture
def account(transactional_db: Any) -> Account:
    """A new organization in its pilot, with credits and a batch that has ended."""
    account, now = make_account(), timezone.now()
    Pilot.objects.create(
        organization=account.organization, credits=1000, created_by="usr_x", override_reason="a test",
        activated_at=now - timedelta(hours=20),
        deadline=now + timedelta(hours=28),
    )  # fmt: skip
    end_batch(make_batch(account.api, 10), failed={7: FailureType.TIMEOUT})
    return account


def is_too_wide(page: Page) -> bool:
    wide: bool = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    return wide


def test_a_batch_that_runs_moves_on_without_a_reload_and_nothing_is_asked_once_it_has_ended(
    account: Account, sign_in: SignIn
) -> None:
    batch = make_batch(account.api, 4, request_id="it runs")
    page = sign_in(member(account.organization))
    page.goto("/admin/")
    page.evaluate("window.here = true")
    row = page.get_by_role("row", name="it runs")
    expect(row).to_contain_text("0 of 4")
    expect(page.locator("#funds")).to_contain_text("Available 870 + Reserved 40 + Settled 90")
    row.get_by_role("link", name="it runs").focus()
    end_items(batch, succeeded=[0], failed={1: FailureType.TIMEOUT})
    expect(row).to_contain_text("2 of 4 · 1 ✓ · 1 ✕")
    expect(row.get_by_role("link", name="it runs")).to_be_focused()
    expect(page.locator("#latest-status")).to_have_text("1 of the latest batches runs")
    end_items(batch, succeeded=[2, 3])
    assert finalize_batch_credits(batch_id=batch.pk, now=timezone.now())
    expect(row).to_contain_text("◑ partial")
    expect(page.locator("#funds")).to_contain_text("Available 880 + Reserved 0 + Settled 120")
    expect(page.locator("#latest-status")).to_have_text("None of the latest batches runs")
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    page.wait_for_timeout(4500)
    assert asked == []
    assert page.evaluate("window.here")


def test_a_developer_copies_the_command_and_follows_the_step_of_the_pilot(account: Account, sign_in: SignIn) -> None:
    page = sign_in(
        member(account.organization, "customer developer"), permissions=["clipboard-read", "clipboard-write"]
    )
    page.goto("/admin/")
    page.get_by_role("button", name="Copy the command that orders").click()
    assert page.evaluate("navigator.clipboard.readText()").startswith("curl -sS ")
    page.get_by_role("link", name="Webhook endpoints", exact=True).click()
    expect(page.get_by_role("heading", name="Webhooks")).to_be_visible()


def test_finance_goes_from_the_start_page_to_the_statement_line_without_a_script(
    account: Account, sign_in: SignIn
) -> None:
    page = sign_in(member(account.organization), java_script_enabled=False)
    page.goto("/admin/")
    page.get_by_role("row", name="Settled amount").get_by_role("link", name="90").click()
    expect(page.get_by_role("heading", name="Settled 90 ✓")).to_be_visible()
    page.goto(f"/admin/ledger/{account.organization.pk}")
    expect(page.get_by_role("row", name="settle").filter(has_text="order-1")).to_contain_text("90")
    page.get_by_role("link", name="Month-end checklist").click()
    expect(page.get_by_role("heading", name="is not ready to be filed yet")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_pages_fit_a_phone_and_can_be_read(account: Account, sign_in: SignIn, scheme: str) -> None:
    month = f"/admin/ledger/{account.organization.pk}/month-end?month={timezone.now():%Y-%m}"
    page = sign_in(member(account.organization, "customer admin"), viewport=PHONE, color_scheme=scheme)
    for address in ("/admin/", month):
        page.goto(address)
        assert not is_too_wide(page)
        assert faint_texts(page) == []


@pytest.mark.parametrize("role", ROLES)
def test_axe_finds_nothing_wrong(account: Account, sign_in: SignIn, role: str) -> None:
    make_batch(account.api, 4, request_id="it runs")
    page = sign_in(member(account.organization, role))
    page.goto("/admin/")
    assert findings(page) == []
    if role != "customer developer":
        page.goto(f"/admin/ledger/{account.organization.pk}/month-end?month={timezone.now():%Y-%m}")
        assert findings(page) == []
