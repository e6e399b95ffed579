"""A batch ordered in a real browser: with a file that has a fault, without a script, by keyboard, on a phone."""

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from batches.finalization import finalize_batch_credits
from batches.models import Batch
from customers.models import Mode
from tests.browser.conftest import SignIn
from tests.browser.test_dashboard import PHONE, faint_texts
from tests.factories import Account, end_items, make_account
from tests.people import member, staff, superuser

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = "prompt;seconds;custom_id\nA cat playing piano;5;sku-1\nA sailing boat;8;sku-2\n"


@pytest.fixture
def account(transactional_db: Any) -> Account:
    """A new organization with credits, seen by the server too."""
    return make_account()


def file(text: str, name: str = "videos.csv") -> Any:
    return {"name": name, "mimeType": "text/csv", "buffer": text.encode()}


def see_the_price(page: Page) -> None:
    page.get_by_role("button", name="See the price").click()


@pytest.mark.parametrize("script", [True, False])
def test_a_developer_mends_a_file_and_arrives_at_the_batch(account: Account, sign_in: SignIn, script: bool) -> None:
    page = sign_in(member(account.organization, "customer developer"), java_script_enabled=script)
    page.goto("/admin/batches/")
    page.get_by_role("link", name="New batch").click()
    page.get_by_label("Or a file").set_input_files(file(TABLE))
    see_the_price(page)
    expect(page.get_by_role("heading", name="Nothing was ordered yet")).to_be_focused()
    page.get_by_role("link", name="1 fault in videos.csv").click()
    fault = page.get_by_role("row", name="row 2 seconds 5 is not allowed for sora-2; choose 4, 8 or 12.")
    expect(fault).to_be_in_viewport()
    box = page.get_by_label("Prompts", exact=True)
    expect(box).to_have_value(TABLE)
    box.fill(TABLE.replace(";5;", ";4;"))
    see_the_price(page)
    expect(page.get_by_role("heading", name="3. Price")).to_be_focused()
    expect(page.get_by_role("row", name="Together 2 30")).to_be_visible()
    page.get_by_role("button", name="Freeze 30 credits and start").click()
    expect(page.get_by_text("Accepted: 30 credits are held.")).to_be_visible()
    batch = Batch.objects.get()
    expect(page).to_have_url(f"{page.url.partition('/admin')[0]}/admin/batches/{batch.pk}")
    assert list(batch.items.order_by("index").values_list("seconds", "custom_id")) == [(4, "sku-1"), (8, "sku-2")]
    if script:
        end_items(batch, succeeded=[0, 1])
        assert finalize_batch_credits(batch_id=batch.pk, now=timezone.now())
        expect(page.locator("#batch-head .pill")).to_have_text("✓ completed")


def test_support_orders_by_keyboard_for_a_customer(account: Account, sign_in: SignIn) -> None:
    page = sign_in(staff("support"))
    page.goto("/admin/batches/new")
    page.get_by_label("Prompts", exact=True).focus()
    page.keyboard.type("A cat\nA dog")
    page.get_by_label("Customer").focus()
    page.keyboard.type("Acme")
    page.keyboard.press("Tab")
    page.keyboard.type("Ticket 7")
    page.keyboard.press("Enter")
    expect(page.get_by_text("TEST Acme: play money")).to_be_visible()
    page.get_by_role("button", name="Freeze 20 credits and start").press("Enter")
    expect(page.get_by_text("Accepted: 20 credits are held.")).to_be_visible()
    assert Batch.objects.get().mode == Mode.TEST


def test_the_command_runs_in_a_shell_and_answers_the_very_batch(
    account: Account, sign_in: SignIn, live_server: LiveServer, settings: Settings
) -> None:
    settings.PUBLIC_BASE_URL = live_server.url
    page = sign_in(member(account.organization, "customer admin"), permissions=["clipboard-read", "clipboard-write"])
    page.goto("/admin/batches/new")
    page.get_by_label("Prompts", exact=True).fill('It\'s a "cat" $HOME `id` \\ !1 %s\nKätzchen 猫 </pre>')
    see_the_price(page)
    page.get_by_role("button", name="Copy the command").click()
    command = page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("button", name="Freeze 20 credits").click()
    expect(page.get_by_text("Accepted")).to_be_visible()
    done = subprocess.run(
        ["bash", "-c", command.replace("curl ", "curl -s ", 1)],
        env={"SORA2_API_KEY": account.secrets[Mode.LIVE], "PATH": "/usr/bin:/bin:/usr/local/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert (answer["batch_id"], answer["created_via"]) == (Batch.objects.get().pk, "dashboard")
    assert account.figures() == (980, 20, 0)


def test_ten_thousand_rows_are_carried_over_the_steps(sign_in: SignIn, tmp_path: Path) -> None:
    account = make_account(credits=0, max_items_per_batch=10_000)
    page = sign_in(member(account.organization, "customer admin"))
    page.goto("/admin/batches/new")
    page.get_by_label("TEST").check()
    rows = "".join(f'"A cat, take {number}\r\nfrom above",4\r\n' for number in range(10_000))
    page.get_by_label("Or a file").set_input_files(file("prompt,seconds\r\n" + rows))
    see_the_price(page)
    expect(page.get_by_text("10,000 rows of videos.csv: show and change them")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download web-").click()
    download.value.save_as(tmp_path / "body.json")
    words = shlex.split(page.locator("pre").first.inner_text())
    assert words[words.index("--data-binary") + 1] == f"@{download.value.suggested_filename}"
    page.get_by_role("button", name="Freeze 100,000 credits and start").click()
    expect(page.get_by_text("Accepted: 100,000 credits are held.")).to_be_visible()
    batch = Batch.objects.get()
    assert batch.items.get(index=9999).prompt == "A cat, take 9999\nfrom above"
    body = (tmp_path / "body.json").read_bytes()
    answer = account.test_api.send("POST", "/video-batch", body, "application/json")
    assert (answer.status_code, answer.json()["batch_id"]) == (200, batch.pk)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone_and_can_be_read(account: Account, sign_in: SignIn, scheme: str) -> None:
    page = sign_in(superuser(), viewport=PHONE, color_scheme=scheme)

    def fits(state: str) -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], state
        assert faint_texts(page) == [], state

    page.goto("/admin/batches/new")
    fits("empty")
    page.get_by_label("Or a file").set_input_files(file(TABLE))
    see_the_price(page)
    expect(page.get_by_role("heading", name="Nothing was ordered yet")).to_be_visible()
    fits("with faults")
    page.get_by_label("Customer").fill("Acme")
    page.get_by_label("Reason").fill("Ticket 7")
    page.get_by_label("Prompts", exact=True).fill(TABLE.replace(";5;", ";4;"))
    see_the_price(page)
    expect(page.get_by_role("button", name="Freeze")).to_be_visible()
    fits("priced")
