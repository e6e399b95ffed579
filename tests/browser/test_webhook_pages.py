"""A developer makes an endpoint, sends it a test, sees what was sent, and verifies it, all on the pages."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings

from customers.models import Mode
from tests.browser.axe import findings
from tests.browser.conftest import SignIn
from tests.browser.test_dashboard import PHONE
from tests.factories import Account, end_batch, make_account, make_batch
from tests.people import member
from tests.webhooks.receivers import Receiver, answers, serve
from webhooks.delivery import deliver_due
from webhooks.endpoints import create_endpoint
from webhooks.models import Delivery, Endpoint
from webhooks.snippets import HOLDS, HOLDS_NOT

pytestmark = pytest.mark.django_db(transaction=True)

NEW = "/admin/webhooks/endpoints/new"
DOWN = answers(400, b"signature? " * 400)


@pytest.fixture
def acme(transactional_db: object, settings: Settings) -> Account:
    """A customer whose receivers may be on this machine."""
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = ["http://127.0.0.1:*"]
    return make_account()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with serve(answers(200, b"thanks")) as receiver:
        yield receiver


def verified(program: str, folder: Path, *, secret: str) -> str:
    (folder / "verify.py").write_text(program, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "verify.py"], cwd=folder, env={"WEBHOOK_SECRET": secret}, capture_output=True, timeout=60
    )
    return run.stdout.decode().strip()


def copied(page: Page) -> str:
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


def test_a_developer_makes_an_endpoint_sends_a_test_and_verifies_it(
    acme: Account, receiver: Receiver, sign_in: SignIn, tmp_path: Path
) -> None:
    page = sign_in(member(acme.organization, "customer developer"), permissions=["clipboard-read", "clipboard-write"])
    page.goto("/admin/webhooks/")
    page.get_by_role("link", name="New endpoint").click()
    expect(page.get_by_role("checkbox", name=re.compile("batch.completed"))).to_be_checked()
    # What is refused is said at its field, and nothing typed is lost.
    page.get_by_label("Description").fill("the shop")
    page.get_by_label("Address").fill("http://example.com/hook")
    page.get_by_role("button", name="Create the LIVE endpoint").click()
    expect(page.locator(".field.wrong")).to_contain_text("The address must begin with https://")
    expect(page.get_by_label("Description")).to_have_value("the shop")
    page.get_by_label("Address").fill(receiver.url)
    page.get_by_role("button", name="Create the LIVE endpoint").click()
    page.locator(".secret").get_by_role("button", name="Copy").click()
    secret = copied(page)
    assert secret == Endpoint.objects.get().secret
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_text("Not tried yet.")).to_be_visible()
    assert deliver_due() == 1
    # Before one's eyes: the state, the headers as they came, and a program that verifies them.
    expect(page.locator("h1 + .pill")).to_have_text("✓ delivered")
    signature = receiver.requests[0].headers["webhook-signature"]
    expect(page.locator("#headers")).to_contain_text(f"webhook-signature: {signature}")
    page.get_by_role("button", name="Copy the Python program").click()
    assert verified(copied(page), tmp_path, secret=secret) == HOLDS
    assert verified(copied(page), tmp_path, secret="whsec_" + "A" * 43 + "=") == HOLDS_NOT
    page.get_by_role("link", name="Verify it in the browser").click()
    expect(page.get_by_label("webhook-signature")).to_have_value(signature)
    expect(page.get_by_label("Body", exact=True)).to_have_value(receiver.requests[0].body.decode())
    page.get_by_label("Secret", exact=True).fill(secret)
    page.get_by_role("button", name="Verify").click()
    expect(page.locator("#result .verdict.good")).to_be_visible()


def test_without_javascript_an_endpoint_is_made_in_test_mode_changed_and_deleted(
    acme: Account, receiver: Receiver, sign_in: SignIn
) -> None:
    page = sign_in(member(acme.organization, "customer admin"), java_script_enabled=False)
    page.goto(NEW)
    page.get_by_label("Address").fill(receiver.url)
    page.get_by_role("button", name="Take TEST instead").click()
    page.get_by_role("button", name="Create the TEST endpoint").click()
    page.get_by_role("link", name="To the endpoint").click()
    assert Endpoint.objects.get().mode == "test"
    page.get_by_role("link", name="Change", exact=True).click()
    page.get_by_role("checkbox", name=re.compile("credits.low")).check()
    page.get_by_role("button", name="Change the events").click()
    expect(page.get_by_text("The events are changed")).to_be_visible()
    assert Endpoint.objects.get().events == ["batch.completed", "credits.low"]
    page.get_by_role("link", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete the TEST endpoint").click()
    expect(page.get_by_text("Deleted. Nothing is sent to it any more")).to_be_visible()
    assert not Endpoint.objects.present().exists()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_the_pages_fit_a_phone(acme: Account, sign_in: SignIn, scheme: str) -> None:
    with serve(DOWN) as receiver:
        create_endpoint(organization=acme.organization, mode=Mode.LIVE, url=receiver.url)
        end_batch(make_batch(acme.api, 2))
        deliver_due()
    endpoint, delivery = Endpoint.objects.get(), Delivery.objects.get()
    page = sign_in(
        member(acme.organization, "customer developer"), viewport=PHONE, color_scheme=scheme, reduced_motion="reduce"
    )
    found = {}
    for address in (NEW, *(f"/admin/webhooks/endpoints/{endpoint.pk}/{act}" for act in ("change", "delete"))):
        page.goto(address)
        found[address] = seen(page)
    page.goto(f"/admin/webhooks/deliveries/{delivery.pk}")
    for fold in page.locator("main summary, #content summary").all():
        fold.click()
    found["delivery"] = seen(page)
    page.goto(NEW)
    page.get_by_role("button", name="Create the LIVE endpoint").click()
    found["refused"] = seen(page)
    page.get_by_label("Address").fill("https://example.com/hook")
    page.get_by_role("button", name="Create the LIVE endpoint").click()
    expect(page.locator(".secret")).to_be_visible()
    found["secret"] = seen(page)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def seen(page: Page) -> list[str]:
    """Return what is wrong with a page as it stands."""
    width = page.evaluate("document.documentElement.scrollWidth")
    return [*findings(page), *([f"it is {width} px wide"] if width > PHONE["width"] else [])]
