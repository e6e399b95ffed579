"""An account in a real browser: its administrator says whom we tell, where months begin, and when credits are low."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from customers.models import Membership, User
from tests.browser.axe import findings
from tests.browser.conftest import SignIn
from tests.factories import make_account
from tests.people import signed_in

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_administrator_changes_zone_contacts_and_threshold(transactional_db: Any, sign_in: SignIn) -> None:
    account = make_account(name="Acme Corp")
    mia = User.objects.create_user(username="mia", email="mia@acme.example")
    Membership.objects.create(user=mia, organization=account.organization, role="customer admin")
    page = sign_in(signed_in(mia), viewport={"width": 390, "height": 844})
    page.goto("/admin/")
    page.get_by_role("link", name="Account").click()
    page.get_by_role("link", name="Change").click()
    expect(page).to_have_url(re.compile("/settings$"))
    assert findings(page) == []
    page.get_by_label("Finance").fill("books@acme.example, cfo@acme")
    page.get_by_label("Time zone").fill("Europe/Berlin")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("'cfo@acme' is no e-mail address.")).to_be_visible()
    assert findings(page) == []
    page.get_by_label("Finance").fill("books@acme.example, cfo@acme.example")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("books@acme.example, cfo@acme.example")).to_be_visible()
    expect(page.get_by_text("Europe/Berlin")).to_be_visible()
    live = page.locator("form", has=page.locator("input[name=mode][value=live]"))
    live.get_by_label("Low below, credits").fill("1500")
    live.get_by_role("button", name="Set").click()
    expect(page.get_by_text("▲ Low: 1,000 credits are available, below the threshold of 1,500")).to_be_visible()
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("link", name="live", exact=True).click()
    expect(page.get_by_text("Time (Europe/Berlin)")).to_be_visible()
