"""The pages in a real browser: live, by keyboard, without scripts, on a phone, on paper."""

import re
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from batches.failures import FailureType
from batches.finalization import finalize_batch_credits
from batches.models import Batch, CatalogueModel, Output, PriceList
from batches.offering import pause_route
from batches.simulator import clips
from customers.models import User
from ledger.models import ReconciliationRun
from tests.browser.conftest import SignIn
from tests.factories import Account, end_batch, end_items, make_account, make_batch
from tests.people import member, staff, superuser

pytestmark = pytest.mark.django_db(transaction=True)

PHONE = {"width": 390, "height": 844}


@pytest.fixture
def account(transactional_db: Any) -> Account:
    """A new organization with credits, seen by the server too."""
    return make_account()


@pytest.fixture
def ended(account: Account) -> Batch:
    """A batch of ten with one failure, of which the first item has a video that plays."""
    batch = end_batch(make_batch(account.api, 10), failed={7: FailureType.CONTENT_REFUSED})
    film = clips.video("A cat playing piano", seconds=4, width=320, height=180)
    still = clips.still("A cat playing piano", width=320, height=180, image_format="JPEG")
    Output.objects.filter(item__batch=batch, item__index=0).update(
        video=default_storage.save("film.mp4", ContentFile(film)),
        poster=default_storage.save("still.jpg", ContentFile(still)),
        bytes=len(film),
    )
    return batch


def test_finance_signs_in_and_follows_a_batch_to_its_proof(
    ended: Batch, browser: Browser, live_server: LiveServer
) -> None:
    User.objects.create_superuser("finance", password="a password of length")
    page = browser.new_page(base_url=live_server.url)
    page.goto("/admin/")
    page.get_by_label("Sign-in name").fill("finance")
    page.get_by_label("Password").fill("a password of length")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Check now").click()
    expect(page.get_by_role("heading", name="Every credit is explained")).to_be_visible()
    assert ReconciliationRun.objects.count() == 1
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Batches").click()
    page.get_by_role("link", name="order-1").click()
    expect(page.locator("#batch-head")).to_contain_text("Settled 90 + Refunded 10")
    page.get_by_role("link", name="Billing").click()
    expect(page.get_by_text("100 = 90 + 10", exact=True)).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the proof").click()
    assert download.value.suggested_filename == f"{ended.pk}.proof.json"
    page.get_by_role("button", name="Log out").click()
    page.goto("/admin/batches/")
    expect(page).to_have_url(re.compile("/admin/login/"))
    page.close()


def test_a_running_batch_ends_before_ones_eyes_and_then_asks_no_more(account: Account, sign_in: SignIn) -> None:
    batch = make_batch(account.api, 4)
    page = sign_in(staff())
    page.goto(f"/admin/batches/{batch.pk}")
    expect(page.locator("#batch-head .pill")).to_have_text("○ queued")
    end_items(batch, succeeded=[0, 1])
    expect(page.locator("#batch-head")).to_contain_text("2 of 4")
    expect(page.locator("#batch-body")).to_contain_text("✓ 2 succeeded")
    end_items(batch, succeeded=[2, 3])
    assert finalize_batch_credits(batch_id=batch.pk, now=timezone.now())
    expect(page.locator("#batch-head .pill")).to_have_text("✓ completed")
    expect(page.locator("#batch-head")).to_contain_text("Reserved 40 = Settled 40 + Refunded 0")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(3000)
    assert asked == []


def test_a_filter_stays_while_the_page_refreshes_itself(account: Account, sign_in: SignIn) -> None:
    batch = make_batch(account.api, 4)
    end_items(batch, succeeded=[0])
    page = sign_in(staff())
    page.goto(f"/admin/batches/{batch.pk}?show=succeeded")
    expect(page.locator("table.items tbody tr")).to_have_count(1)
    end_items(batch, succeeded=[1])
    expect(page.locator("table.items tbody tr")).to_have_count(2)


def test_everything_can_be_read_without_javascript(account: Account, sign_in: SignIn) -> None:
    batch = make_batch(account.api, 4)
    page = sign_in(member(account.organization), java_script_enabled=False)
    page.goto("/admin/batches/?state=open")
    page.get_by_role("link", name="order-1").click()
    end_items(batch, succeeded=[0, 1])
    page.get_by_role("link", name="Refresh").click()
    expect(page.locator("#batch-head")).to_contain_text("2 of 4")
    page.get_by_role("link", name="✓ 2 succeeded").click()
    expect(page.locator("table.items tbody tr")).to_have_count(2)
    expect(page.get_by_role("button", name="Copy")).to_have_count(0)


def test_an_item_plays(ended: Batch, sign_in: SignIn) -> None:
    page = sign_in(staff())
    page.goto(f"/admin/batches/{ended.pk}")
    expect(page.locator("td.poster img").first).to_have_js_property("naturalWidth", 320)
    page.get_by_role("link", name="0", exact=True).click()
    video = page.locator("video")
    video.evaluate("video => { video.muted = true; return video.play(); }")
    video.evaluate("video => new Promise((seen) => video.addEventListener('timeupdate', seen, {once: true}))")
    assert video.evaluate("video => Math.round(video.duration)") == 4


def test_the_keyboard_finds_and_moves(ended: Batch, sign_in: SignIn) -> None:
    page = sign_in(staff())
    page.goto(f"/admin/batches/{ended.pk}")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("table.items tbody tr").nth(1).locator("th a")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("jk/")
    expect(page.get_by_role("searchbox")).to_have_value("jk/")
    page.get_by_role("searchbox").fill(ended.items.get(index=3).pk)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Item 3")).to_be_visible()


def test_an_id_is_copied_whole(ended: Batch, sign_in: SignIn) -> None:
    page = sign_in(staff(), permissions=["clipboard-read", "clipboard-write"])
    page.goto(f"/admin/batches/{ended.pk}")
    page.get_by_role("button", name=f"Copy {ended.pk}").click()
    assert page.evaluate("navigator.clipboard.readText()") == ended.pk


def test_sales_ops_retires_a_model_and_raises_a_price_without_javascript(account: Account, sign_in: SignIn) -> None:
    make_batch(account.api, 3)
    page = sign_in(staff("sales ops"), java_script_enabled=False)
    page.goto("/admin/settings/")
    page.get_by_role("link", name="Catalogue").click()
    page.get_by_role("link", name="sora-2", exact=True).click()
    page.get_by_label("Deprecated from").fill("now")
    page.get_by_label("Retired from").fill("now")
    page.get_by_label("Replacement").select_option("sora-2-pro")
    page.get_by_role("button", name="See the effect").click()
    expect(page.get_by_text("3 items wait. What waits fails within a minute, and its 30 credits")).to_be_visible()
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_label("Retired from")).to_have_value("now")
    page.get_by_role("button", name="See the effect").click()
    page.get_by_role("button", name="Save sora-2").click()
    expect(page.get_by_text("Saved sora-2.")).to_be_visible()
    assert CatalogueModel.objects.get(pk="sora-2").replacement_id == "sora-2-pro"
    page.goto("/admin/catalogue/prices/new")
    page.get_by_label("veo-3: credits").fill("98")
    page.get_by_label("Version").fill("2030-01-01")
    page.get_by_label("In force from").fill("now")
    page.get_by_label("Reason").fill("Inflation")
    page.get_by_role("button", name="See what clips will cost").click()
    expect(page.get_by_text("97 → 98")).to_be_visible()
    page.get_by_role("button", name="Write the price list 2030-01-01").click()
    expect(page.locator("h1 + .pill")).to_have_text("✓ in force")
    assert PriceList.objects.filter(pk="2030-01-01").exists()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_and_can_be_read(ended: Batch, sign_in: SignIn, scheme: str) -> None:
    page = sign_in(superuser(), viewport=PHONE, color_scheme=scheme)
    pause_route(name="openai", reason="Maintenance", actor="usr_1", now=timezone.now())
    at = f"/admin/batches/{ended.pk}"
    item = ended.items.get(index=7)
    ledger = f"/admin/ledger/{ended.organization_id}"
    for address in (
        "/admin/",
        "/admin/batches/",
        at,
        f"{at}/billing",
        f"{at}/webhooks",
        f"{at}/retry",
        f"{at}/items/{item.pk}",
        ledger,
        "/admin/catalogue/",
        "/admin/catalogue/models/sora-2",
        "/admin/catalogue/prices/new",
        "/admin/catalogue/prices/2026-01-24",
        "/admin/routes/",
        "/admin/routes/openai",
        "/admin/routes/new",
    ):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], address
        assert faint_texts(page) == [], address


def test_paper_shows_no_navigation(ended: Batch, sign_in: SignIn) -> None:
    page = sign_in(staff())
    page.emulate_media(media="print")
    page.goto(f"/admin/batches/{ended.pk}/billing")
    for gone in (".sections", ".tabs", ".find", "button"):
        expect(page.locator(gone).first).to_be_hidden()
    expect(page.get_by_text("100 = 90 + 10", exact=True)).to_be_visible()


def faint_texts(page: Page) -> list[str]:
    """Return the texts of a page whose contrast is below 4.5 (WCAG 2.2, AA)."""
    found: list[str] = page.evaluate(CONTRASTS)
    return found


CONTRASTS = """() => {
    const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map((v) => {
            v /= 255;
            return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = parts(getComputedStyle(at).backgroundColor);
            if (colour.length < 4 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    const faint = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        const text = texts.currentNode.textContent.trim();
        if (!text || !element.checkVisibility() || element.closest("script, svg, .unseen")) continue;
        const [a, b] = [light(parts(getComputedStyle(element).color)), light(behind(element))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) faint.push(`${text.slice(0, 40)} ${contrast.toFixed(2)}`);
    }
    return faint;
}"""


def test_finance_signs_a_batch_off(ended: Batch, sign_in: SignIn) -> None:
    page = sign_in(member(ended.organization))
    page.goto(f"/admin/batches/{ended.pk}/billing")
    page.get_by_role("button", name="Sign off: 100 = 90 + 10").click()
    expect(page.get_by_label("I have compared these figures")).to_be_focused()  # The browser asks for the confirmation.
    page.get_by_label("I have compared these figures").check()
    page.get_by_label("Note").fill("compared with our order list")
    page.get_by_role("button", name="Sign off: 100 = 90 + 10").click()
    expect(page.get_by_text("Signed off: 100 = 90 + 10.")).to_be_visible()
    expect(page.locator("#sign-off").locator("..")).to_contain_text("Reconciled by")
    expect(page.get_by_role("button", name="Sign off")).to_have_count(0)
