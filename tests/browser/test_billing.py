"""From a quote to the closed month, on a whole running system: our sales and finance, the customer's finance.

Workers, mails and browsers are real. The customer was a pilot in the month before, so that there is a month to close.
"""

import io
import json
import re
import time
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from pypdf import PdfReader

from tests.browser.conftest import OpenPage
from tests.browser.test_customers import sign_in
from tests.flows.system import System

pytestmark = pytest.mark.stack

# What a worker does: it takes the mail, or the month, from the broker.
WORK_SECONDS = 60
SCENE = """
import json
from datetime import timedelta
import time_machine
from django.db import transaction
from django.utils import timezone
from customers.services import create_member, create_staff
from tests.factories import make_account
from tests.ledger.clock import turn_back, turn_to
from tests.onboarding import make_enterprise

now = timezone.now()
before = (now.replace(day=1) - timedelta(days=1)).replace(hour=9, minute=0)
with transaction.atomic(), time_machine.travel(before, tick=False):
    turn_to(before.isoformat())
    acme = make_account(1_000, name="Acme").organization
    turn_back()
sales, finance = (create_staff(username=name, role=role) for name, role in (("cleo", "sales ops"), ("ada", "finance")))
theirs = create_member(organization=acme, username="noor", email="noor@acme.example", role="customer finance")
make_enterprise(acme, sales[0], now)
people = {user.username: password for user, password in (sales, finance, theirs)}
print(json.dumps({"organization": acme.pk, "month": f"{before:%Y-%m}", "name": f"{before:%B %Y}", "people": people}))
"""


@dataclass(frozen=True)
class Scene:
    """A customer under contract with an entry in the month before, and who signs in with which password."""

    organization: str
    month: str
    name: str
    people: dict[str, str]


def test_a_quote_becomes_an_invoice_that_is_paid_and_the_month_before_is_closed(
    system: System, open_system: OpenPage, tmp_path: Path
) -> None:
    scene = Scene(**json.loads(system.manage("shell", "-v", "0", "-c", SCENE).stdout))
    sales, finance, theirs = (sign_in(open_system(), *each) for each in scene.people.items())

    number = sent_from_a_quote(sales, scene)
    invoice = sales.url
    assert_mailed(system, finance, invoice, number)

    before = available(finance)
    paid_in_two_steps(finance, invoice)
    assert available(finance) - before == 102_000
    finance.get_by_role("link", name="Acme").first.click()
    expect(finance.get_by_role("row", name=number)).to_contain_text("102,000")

    theirs.goto(invoice)
    expect(theirs.locator("h1 + .pill")).to_have_text("✓ paid")
    assert_is_the_paper(downloaded(theirs, "PDF", tmp_path), number)

    closed_with_its_files(system, finance, scene)
    assert system.manage("reconcile").returncode == 0


def sent_from_a_quote(sales: Page, scene: Scene) -> str:
    """Quote the package, draft its invoice and send it; return its number. It is the page on which sales ends."""
    sales.goto(f"/admin/invoices/billing/{scene.organization}")
    for label, given in (("Legal name", "Acme Corporation Inc."), ("Address", "1 Roadrunner Way\nAlbuquerque")):
        sales.get_by_label(label, exact=True).fill(given)
    sales.get_by_label("Country", exact=True).select_option("US")
    sales.get_by_role("button", name="Save").click()
    sales.get_by_role("link", name="Quote", exact=True).click()
    expect(sales.get_by_role("region", name="What it costs")).to_contain_text("$5,000.00")
    expect(sales.get_by_role("region", name="For a mail")).to_contain_text("102,000")
    sales.get_by_role("button", name="Draft the invoice of $5,000.00").click()
    sales.get_by_role("link", name="Send", exact=True).click()
    sales.get_by_role("button", name="Send it: $5,000.00").click()
    heading = sales.get_by_role("heading", level=1)
    expect(heading).to_have_text(re.compile(r"Invoice INV-\d{4}-0001"))
    return heading.inner_text().split()[-1]


def assert_mailed(system: System, page: Page, invoice: str, number: str) -> None:
    """See that a worker has mailed the invoice, with its paper, to the customer's finance."""
    page.goto(invoice)
    until_there(page, page.locator("dd", has_text="noor@acme.example · sent"))
    [mail] = mails(system)
    assert (mail["To"], number in mail["Subject"]) == ("noor@acme.example", True)
    [paper] = mail.iter_attachments()
    assert paper.get_content_type() == "application/pdf"
    assert_is_the_paper(paper.get_content(), number)


def until_there(page: Page, found: Locator) -> None:
    """Load the page again until something is there that a worker brings about."""
    end = time.monotonic() + WORK_SECONDS
    while not found.count():
        assert time.monotonic() < end, page.locator("main").inner_text()
        page.reload()


def mails(system: System) -> list[EmailMessage]:
    """Return the mails that were sent, in that order."""
    files = sorted((system.directory / "mail").iterdir(), key=lambda file: file.stat().st_mtime_ns)
    return [message_from_bytes(file.read_bytes(), policy=default) for file in files]


def assert_is_the_paper(pdf: bytes, number: str) -> None:
    """See that a file is the invoice, with its price and its credits."""
    assert pdf.startswith(b"%PDF")
    words = "".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    for each in (number, "$5,000.00", "102,000"):
        assert each in words


def available(finance: Page) -> int:
    """Return what the ledger says is available to the customer."""
    finance.goto("/admin/ledger/?mode=live")
    return int(finance.get_by_role("row", name="Acme").get_by_role("cell").nth(1).inner_text().replace(",", ""))


def paid_in_two_steps(finance: Page, invoice: str) -> None:
    """Record the payment in one tab, and then the same in another one that shows its effect still: nothing changes."""
    tabs = (finance, finance.context.new_page())
    for tab in tabs:
        tab.goto(invoice)
        tab.get_by_role("link", name="Record a payment").click()
        tab.get_by_label("Bank reference").fill("ACH 2026-4711")
        tab.get_by_role("button", name="See the effect").click()
        expect(tab.get_by_text("the live wallet gets 102,000 credits more: 1,000 → 103,000")).to_be_visible()
    for tab in tabs:
        tab.get_by_role("button", name="Record $5,000.00, grant 102,000 credits").click()
        expect(tab.locator("h1 + .pill")).to_have_text("✓ paid")
        expect(tab.get_by_role("row", name="ACH 2026-4711")).to_have_count(1)


def downloaded(page: Page, link: str, folder: Path) -> bytes:
    """Return the file that a link of the page leads to."""
    with page.expect_download() as download:
        page.get_by_role("link", name=link, exact=True).click()
    download.value.save_as(folder / "file")
    return (folder / "file").read_bytes()


def closed_with_its_files(system: System, finance: Page, scene: Scene) -> None:
    """Check the books, close the month before, and have a worker make its files."""
    finance.goto("/admin/")
    finance.get_by_role("button", name="Check now").click()
    finance.goto(f"/admin/ledger/periods/{scene.month}")
    close = finance.get_by_role("button", name=f"Close {scene.name} for good")
    until_there(finance, close)
    close.click()
    expect(finance.locator("h1 + .pill")).to_have_text("✓ closed")
    finance.get_by_role("button", name="Make the files").click()
    expect(finance.locator("#progress")).to_contain_text("1 of 1 customer")
    expect(finance.locator("#progress")).to_contain_text("✓ made", timeout=WORK_SECONDS * 1000)
    system.manage("seal_ledger")
    finance.reload()
    expect(finance.get_by_role("heading", name=f"{scene.name} is closed and complete")).to_be_visible()
    finance.locator("#progress").get_by_role("link").first.click()
    expect(finance.get_by_role("row", name="Acme").get_by_role("link", name="PDF")).to_be_visible()
