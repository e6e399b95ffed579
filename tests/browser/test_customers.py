"""A customer's own people on a whole running system: workers, provider and receiver are real, and so is the browser.

One customer goes through the module, in the order of the tests: their administrator has the login that a pilot brings,
and the developer and the finance person come by the links that the administrator makes. A test that runs alone, or on
another worker than the one before it, does first what that one does.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect
from standardwebhooks.webhooks import Webhook

from tests.browser.conftest import OpenPage, opener
from tests.flows.system import System, running
from tests.webhooks.receivers import Receiver, answers, serve

pytestmark = pytest.mark.stack

PASSWORD = "a long password of their own"
TABLE = (
    "prompt,seconds,custom_id\n"
    "A cat plays piano [[slow:3]],4,sku-1\n"
    "A paper boat sails,4,sku-2\n"
    "What nobody may see [[fail:content_refused]],4,sku-3\n"
)
ENDED_SECONDS = 60_000


@dataclass
class Customer:
    """A pilot on a running system, what its receiver has got, and what the tests hand on."""

    system: System
    pilot: dict[str, Any]
    receiver: Receiver
    open_page: OpenPage
    known: dict[str, str] = field(default_factory=dict)

    def signed_in(self, username: str, password: str) -> Page:
        """Return the browser of somebody who has signed in by the door."""
        return sign_in(self.open_page(), username, password)

    def administrator(self) -> Page:
        login = self.pilot["login"]
        return self.signed_in(login["username"], login["password"])


def sign_in(page: Page, username: str, password: str) -> Page:
    """Sign in by the door; return the page."""
    page.goto("/admin/")
    page.get_by_label("Sign-in name").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("navigation", name="Sections")).to_be_visible()
    return page


@pytest.fixture(scope="module")
def customer(browser: Browser) -> Iterator[Customer]:
    with serve(answers(200)) as receiver, running() as system, opener(browser, system.url) as open_page:
        yield Customer(system, system.provision(credits=1_000), receiver, open_page)


def invited(administrator: Page, *, email: str, role: str) -> str:
    """Return the link by which a colleague comes in."""
    administrator.get_by_role("navigation", name="Sections").get_by_role("link", name="Account").click()
    administrator.get_by_role("navigation", name="About this customer").get_by_role("link", name="People").click()
    administrator.get_by_label("E-mail").fill(email)
    administrator.get_by_label("Role", exact=True).select_option(role)
    administrator.get_by_role("button", name="Make the link").click()
    return administrator.locator(".secret code").inner_text()


def joined(page: Page, link: str, *, name: str) -> None:
    page.goto(link)
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_text("Welcome: you belong to Acme now")).to_be_visible()


def status(customer: Customer, secret: str) -> int:
    """Return how the API answers a key."""
    headers = {"X-API-Key": secret}
    return requests.get(f"{customer.system.url}/api/enterprise/video-batch", headers=headers, timeout=30).status_code


def test_an_administrator_invites_colleagues_and_makes_and_revokes_a_key(customer: Customer) -> None:
    page = customer.administrator()
    for name, role in (("Ola Ek", "customer developer"), ("Noor Haddad", "customer finance")):
        email = f"{name.partition(' ')[0].lower()}@acme.example"
        joined(customer.open_page(), invited(page, email=email, role=role), name=name)
    page.goto("/admin/customers/")
    page.get_by_role("navigation", name="About this customer").get_by_role("link", name="People").click()
    expect(page.get_by_role("row", name="Ola Ek")).to_contain_text("customer developer")
    page.get_by_role("navigation", name="About this customer").get_by_role("link", name="API keys").click()
    page.get_by_role("link", name="Make a LIVE key").click()
    page.get_by_label("Name").fill("Nightly render")
    page.get_by_role("button", name="Make a LIVE key").click()
    secret = page.locator(".secret code").inner_text()
    assert status(customer, secret) == 200
    page.get_by_role("link", name="I have it").click()
    page.get_by_role("link", name="Revoke…").click()
    page.get_by_label("Why").fill("Made to try it")
    page.get_by_role("button", name="Revoke Nightly render").click()
    expect(page.locator("h1 + .pill")).to_have_text("− revoked")
    assert status(customer, secret) == 401
    customer.known["colleagues"] = "have joined"


def test_a_developer_orders_by_csv_watches_it_sees_the_webhook_and_plays_a_video(customer: Customer) -> None:
    if "colleagues" not in customer.known:
        test_an_administrator_invites_colleagues_and_makes_and_revokes_a_key(customer)
    page = customer.signed_in("ola@acme.example", PASSWORD)
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Webhooks").click()
    page.get_by_role("link", name="New endpoint").first.click()
    page.get_by_label("Address").fill(customer.receiver.url)
    page.get_by_role("button", name="Create the LIVE endpoint").click()
    secret = page.locator(".secret code").inner_text()
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Batches").click()
    page.get_by_role("link", name="New batch").click()
    table = {"name": "videos.csv", "mimeType": "text/csv", "buffer": TABLE.encode()}
    page.get_by_label("Or a file").set_input_files(table)  # type: ignore[arg-type]
    page.get_by_role("button", name="See the price").click()
    page.get_by_role("button", name="Freeze").click()
    # It is watched: nobody loads the page again.
    expect(page.locator("#batch-head .pill").first).to_have_text(re.compile("queued|processing"))
    loaded = page.evaluate("performance.timeOrigin")
    expect(page.locator("#batch-head .pill").first).to_have_text("◑ partial", timeout=ENDED_SECONDS)
    assert page.evaluate("performance.timeOrigin") == loaded
    customer.known["batch"] = page.url.rpartition("/")[2]
    page.get_by_role("link", name="Webhooks", exact=True).last.click()
    for _ in range(100):
        if customer.receiver.requests:
            break
        time.sleep(0.1)
    page.reload()
    expect(page.locator("#batch-body .pill", has_text="delivered").first).to_be_visible()
    told = customer.receiver.requests[-1]
    event = Webhook(secret).verify(told.body, dict(told.headers))
    assert (event["batch_id"], event["summary"]["succeeded"]) == (customer.known["batch"], 2)
    page.goto(f"/admin/batches/{customer.known['batch']}?show=succeeded")
    page.locator("table.items tbody tr a").first.click()
    plays(page)


def plays(page: Page) -> None:
    """See that the video on the page plays on."""
    video = page.locator("video")
    video.evaluate("video => { video.muted = true; return video.play(); }")
    for _ in range(100):
        if video.evaluate("video => video.currentTime") > 0.2:
            break
        time.sleep(0.1)
    assert video.evaluate("video => [video.currentTime > 0.2, video.videoWidth, video.error]") == [True, 1280, None]


def test_finance_reconciles_signs_off_and_downloads_the_month(customer: Customer, tmp_path: Path) -> None:
    if "batch" not in customer.known:
        test_a_developer_orders_by_csv_watches_it_sees_the_webhook_and_plays_a_video(customer)
    page = customer.signed_in("noor@acme.example", PASSWORD)
    # The start page says what the latest batch cost, and where each figure comes from.
    expect(page.get_by_text("30 = 20 + 10").first).to_be_visible()
    page.goto(f"/admin/batches/{customer.known['batch']}/billing")
    page.get_by_label("I have compared these figures").check()
    page.get_by_role("button", name="Sign off: 30 = 20 + 10").click()
    expect(page.get_by_text("Signed off: 30 = 20 + 10.")).to_be_visible()
    page.goto("/admin/")
    expect(page.locator("#pilot ~ *").get_by_text("The pilot has succeeded.")).to_be_visible()
    month = page.evaluate("new Date().toISOString().slice(0, 7)")
    page.goto(f"/admin/ledger/{customer.pilot['organization_id']}/month-end?month={month}")
    expect(page.locator("ol.checklist")).to_contain_text("1 of 1; not needed to file the month.")
    for link, ending, begins in (("Statement as PDF", "pdf", b"%PDF"), ("CSV", "csv", b"wallet_id,seq,")):
        with page.expect_download() as download:
            page.locator("#files ~ ul").first.get_by_role("link", name=link, exact=True).click()
        file = tmp_path / f"month.{ending}"
        download.value.save_as(file)
        assert file.read_bytes().startswith(begins)
    assert len((tmp_path / "month.csv").read_text().splitlines()) == 1 + 4  # Grant, reserve, settle, refund.
    assert customer.system.manage("reconcile").returncode == 0
