"""A pilot from its provisioning to the contract, on a whole running system.

Sales' pages, the customer's own program, their finance. Workers, provider, mails and browsers are real.
"""

import re
import subprocess
from email import message_from_bytes
from email.policy import default

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_customers import invited, joined, sign_in
from tests.flows.system import ROOT, System, clean_environment
from tests.programs import EXAMPLE_MODULES, node

pytestmark = pytest.mark.stack

EXPORT = re.compile(r"^export (\w+)=(\S+)$", re.MULTILINE)


def test_a_pilot_goes_from_its_form_to_the_contract(system: System, open_system: OpenPage) -> None:
    node(EXAMPLE_MODULES)
    made = system.manage("create_staff", "--username", "cleo", "--role", "sales ops").stdout
    sales = sign_in(open_system(), *made.split())
    keys, sign_in_link = provisioned(sales)
    pilot = sales.url.rpartition("/handovers")[0]

    secrets = revealed(open_system(), keys)
    ran = run_the_example(system, secrets)
    assert ran.returncode == 0, ran.stderr
    assert "every check held" in ran.stdout
    [batch] = set(re.findall(r"bat_\w{26}", ran.stdout))

    finance = let_finance_in(open_system, revealed_sign_in(open_system(), sign_in_link))
    signed_off(finance, batch)

    sales.goto(pilot)
    expect(sales.get_by_role("heading", name="How it stands").locator("xpath=..")).to_contain_text("✓ succeeded")
    criteria = sales.locator("ol.checklist").first.get_by_role("listitem")
    expect(criteria).to_have_count(3)
    for criterion, evidence in zip(criteria.all(), (batch, "127.0.0.1", "noor@acme.example"), strict=True):
        expect(criterion).to_contain_text("✓ met")
        assert evidence in criterion.inner_html()
    confirm(system, sales, pilot, batch)
    upgrade(sales, pilot)
    finance.goto("/admin/customers/")
    expect(finance.get_by_text("an answer within 4 hours").first).to_be_visible()
    assert system.manage("reconcile").returncode == 0


def provisioned(sales: Page) -> tuple[str, str]:
    """Provision a pilot by the form; return the one-time links to its keys and to its sign-in."""
    sales.get_by_role("navigation", name="Sections").get_by_role("link", name="Pilots").click()
    sales.get_by_role("link", name="Provision").first.click()
    for label, given in (
        ("Company", "Acme"),
        ("Contact", "mia@acme.example"),
        ("Reason", "Pilot agreed in the call"),
        ("Override, because", "The preflight has a test of its own"),
    ):
        sales.get_by_label(label, exact=True).fill(given)
    sales.get_by_role("button", name="See the effect").click()
    expect(sales.get_by_text("no second person decides")).to_be_visible()
    sales.get_by_role("button", name="Grant 1,000 credits and make the pilot").click()
    keys, sign_in_link = sales.locator(".secret code").all_inner_texts()
    sales.get_by_role("navigation", name="About this pilot").get_by_role("link", name="Handed over").click()
    return keys, sign_in_link


def revealed(engineer: Page, link: str) -> dict[str, str]:
    """Open a one-time link as its holder does; return what it exports to a shell. The second time it opens nothing."""
    engineer.goto(link)
    engineer.get_by_role("button", name="Show it now, this once").click()
    exports = dict(EXPORT.findall(engineer.locator("pre.raw").inner_text()))
    assert engineer.goto(link).status == 404  # type: ignore[union-attr]
    return exports


def run_the_example(system: System, secrets: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the example in Node with nothing but what the link has shown."""
    command = [str(EXAMPLE_MODULES / ".bin/tsx"), str(ROOT / "examples/node/batch_basic.ts")]
    environment = {**clean_environment(system.directory), **secrets}
    prompts = ["A cat playing piano", "What nobody may see [[fail:content_refused]]"]
    return subprocess.run([*command, *prompts], env=environment, capture_output=True, text=True, timeout=120)


def revealed_sign_in(administrator: Page, link: str) -> Page:
    """Sign in with what the other link shows; return the browser of the customer's administrator."""
    administrator.goto(link)
    administrator.get_by_role("button", name="Show it now, this once").click()
    username, password = administrator.locator(".secret code").all_inner_texts()
    return sign_in(administrator, username, password)


def let_finance_in(open_page: OpenPage, administrator: Page) -> Page:
    """Invite the customer's finance; return their browser."""
    finance = open_page()
    joined(finance, invited(administrator, email="noor@acme.example", role="customer finance"), name="Noor Haddad")
    return finance


def signed_off(finance: Page, batch: str) -> None:
    finance.goto(f"/admin/batches/{batch}/billing")
    finance.get_by_label("I have compared these figures").check()
    finance.get_by_role("button", name="Sign off: 20 = 10 + 10").click()
    expect(finance.get_by_text("Signed off: 20 = 10 + 10.")).to_be_visible()


def confirm(system: System, sales: Page, pilot: str, batch: str) -> None:
    """Send the confirmation, which comes next, with the true figures in it."""
    sales.goto(f"{pilot}/mails")
    row = sales.get_by_role("row", name="comes next")
    row.get_by_role("link", name="Pilot complete").click()
    text = sales.get_by_label("Text")
    expect(text).to_have_value(re.compile(rf"Batch {batch} completed"))
    text.fill(text.input_value().replace("[Name]", "Mia").replace("[Your name]", "Cleo"))
    sales.get_by_role("button", name="Send and keep it").click()
    expect(sales.get_by_text("Sent to mia@acme.example").first).to_be_visible()
    [file] = (system.directory / "mail").iterdir()
    mail = message_from_bytes(file.read_bytes(), policy=default)
    assert (mail["To"], mail["Subject"]) == ("mia@acme.example", "Pilot Complete ✓")
    assert f"Batch {batch} completed, with 2 items: 1 succeeded, 1 failed" in " ".join(mail.get_content().split())


def upgrade(sales: Page, pilot: str) -> None:
    """Write down that the customer asked, and agree on the contract."""
    sales.goto(f"{pilot}/plan")
    expect(sales.get_by_text("The customer has not asked for a contract yet")).to_be_visible()
    sales.goto(f"{pilot}/review")
    sales.get_by_text("Record a signal").click()
    sales.get_by_label("Signal", exact=True).select_option("contract_or_sla")
    sales.get_by_role("button", name="Record it").click()
    expect(sales.get_by_text("The customer asked: “Do we need a contract / SLA?”")).to_be_visible()
    for label, given in (("Videos in a batch", "5000"), ("Hours to an answer", "4"), ("Contract", "MSA-2026-042")):
        sales.get_by_label(label, exact=True).fill(given)
    sales.get_by_label("Why").fill("They want to prepay and to order more at once")
    sales.get_by_role("button", name="See the effect").click()
    expect(sales.get_by_text("is closed as it stands now: succeeded")).to_be_visible()
    sales.get_by_role("button", name="Make Acme an enterprise").click()
    expect(sales.get_by_role("heading", name="Plan: enterprise")).to_be_visible()
    expect(sales.get_by_text("MSA-2026-042").first).to_be_visible()
