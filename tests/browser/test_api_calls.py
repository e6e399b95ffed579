"""The calls behind a page in a real browser: an engineer opens them, copies one, and it runs."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from batches.models import Batch
from customers.models import Mode
from tests.browser.axe import findings
from tests.browser.conftest import SignIn
from tests.browser.test_dashboard import PHONE
from tests.commands import in_a_shell
from tests.factories import Account, end_batch, make_account, make_batch
from tests.people import member

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account(transactional_db: Any, live_server: LiveServer, settings: Settings) -> Account:
    """A new organization with credits; the addresses that it is told are the server's."""
    settings.PUBLIC_BASE_URL = live_server.url
    return make_account()


def opened(page: Page, batch: Batch) -> Page:
    """Open a batch's page, and the calls behind it."""
    page.goto(f"/admin/batches/{batch.pk}")
    expect(page.locator("details.calls pre").first).to_be_hidden()
    page.get_by_text("The same by the API").click()
    return page


def test_an_engineer_copies_a_call_and_it_runs(account: Account, sign_in: SignIn, tmp_path: Path) -> None:
    batch = end_batch(make_batch(account.api, 2))
    developer = member(account.organization, "customer developer")
    permissions = ["clipboard-read", "clipboard-write"]
    page = opened(sign_in(developer, permissions=permissions, color_scheme="dark", reduced_motion="reduce"), batch)
    assert findings(page) == []
    page.get_by_role("button", name="Copy the call: Show a batch").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    answer = json.loads(in_a_shell(copied, tmp_path, SORA2_API_KEY=account.secrets[Mode.LIVE]))
    assert (answer["batch_id"], answer["summary"]["succeeded"]) == (batch.pk, 2)
    page.get_by_role("link", name="Show a batch").click()
    found = page.locator("#operations-Batches-showBatch")
    expect(found).to_contain_text("Needs a key with the scope", timeout=20_000)
    expect(found).to_be_in_viewport()


def test_the_calls_are_read_on_a_phone_without_javascript(account: Account, sign_in: SignIn, tmp_path: Path) -> None:
    batch = make_batch(account.test_api)
    page = opened(sign_in(member(account.organization), viewport=PHONE, java_script_enabled=False), batch)
    expect(page.get_by_role("button", name="Copy the call: Show a batch")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    text = page.locator("details.calls pre", has_text="timeline").inner_text()
    answer = json.loads(in_a_shell(text, tmp_path, SORA2_TEST_API_KEY=account.secrets[Mode.TEST]))
    assert answer["batch_id"] == batch.pk
