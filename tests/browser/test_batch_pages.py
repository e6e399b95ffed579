"""A batch's pages in a real browser: live without losing one's place, and acts that happen once."""

from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Request, expect

from batches.failures import FailureType
from batches.finalization import finalize_batch_credits
from batches.models import Batch
from tests.browser.conftest import SignIn
from tests.factories import Account, end_batch, end_items, make_account, make_batch
from tests.people import member, staff

pytestmark = pytest.mark.django_db(transaction=True)

PHONE = {"width": 390, "height": 844}


@pytest.fixture
def account(transactional_db: Any) -> Account:
    """A new organization with credits, seen by the server too."""
    return make_account()


def test_whoever_watches_a_batch_keeps_their_place(account: Account, sign_in: SignIn) -> None:
    batch = make_batch(account.api, 4)
    page = sign_in(member(account.organization, "customer admin"), viewport=PHONE)
    page.goto(f"/admin/batches/{batch.pk}")
    under_way, at_once = set[Request](), [0]

    def asked(request: Request) -> None:
        under_way.add(request)
        at_once.append(len(under_way))

    page.on("request", asked)
    page.on("requestfinished", lambda request: under_way.discard(request))
    link = page.locator("table.items th a").nth(2)
    link.focus()
    page.locator(".box").evaluate("box => { box.scrollLeft = 120; }")
    page.evaluate("window.scrollTo(0, 200)")
    status = page.locator("#batch-status")
    page.evaluate("""() => {
        window.said = [];
        const status = document.getElementById("batch-status");
        const look = () => window.said.push(status.textContent);
        new MutationObserver(look).observe(status, {childList: true, characterData: true, subtree: true});
    }""")
    end_items(batch, succeeded=[0])
    expect(status).to_have_text("queued: 1 of 4 items ended")
    page.wait_for_timeout(2500)
    expect(link).to_be_focused()
    assert page.locator(".box").evaluate("box => box.scrollLeft") == 120
    assert page.evaluate("window.scrollY") == 200
    end_items(batch, succeeded=[1, 2, 3])
    assert finalize_batch_credits(batch_id=batch.pk, now=timezone.now())
    expect(status).to_have_text("completed: 4 succeeded, 0 failed")
    assert page.evaluate("window.said") == ["queued: 1 of 4 items ended", "completed: 4 succeeded, 0 failed"]
    assert max(at_once) == 1


def test_a_double_click_orders_one_retry(account: Account, sign_in: SignIn) -> None:
    batch = end_batch(make_batch(account.api, 2), failed={0: FailureType.TIMEOUT})
    page = sign_in(staff("support"), java_script_enabled=False)
    page.goto(f"/admin/batches/{batch.pk}")
    page.get_by_role("link", name="Retry 1 failed").click()
    page.get_by_label("Why").fill("The provider was slow")
    page.get_by_role("button", name="Retry 1 item").dblclick()
    expect(page.get_by_role("heading", name="order-1-retry")).to_be_visible()
    assert Batch.objects.filter(retry_of=batch).count() == 1


def test_a_batch_is_canceled_after_its_effect_was_said(account: Account, sign_in: SignIn) -> None:
    batch = make_batch(account.api, 2)
    page = sign_in(member(account.organization, "customer admin"), java_script_enabled=False)
    page.goto(f"/admin/batches/{batch.pk}")
    page.get_by_role("link", name="Cancel", exact=True).click()
    expect(page.get_by_text("Nothing runs, so the batch ends at once")).to_be_visible()
    page.get_by_role("button", name="Cancel 2 items: 20 credits come back").click()
    expect(page.locator("#batch-head .pill")).to_have_text("✕ failed")
    expect(page.locator("#batch-head")).to_contain_text("Reserved 20 = Settled 0 + Refunded 20")


def test_ticked_batches_are_saved_without_javascript(account: Account, sign_in: SignIn) -> None:
    for number in range(3):
        make_batch(account.api, request_id=f"order-{number}")
    page = sign_in(staff(), java_script_enabled=False)
    page.goto("/admin/batches/?mode=live")
    page.get_by_label("Tick order-1").check()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV of those ticked").click()
    lines = download.value.path().read_text().splitlines()
    assert [line.split(",")[1] for line in lines] == ["request_id", "order-1"]
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV of all 3").click()
    assert len(download.value.path().read_text().splitlines()) == 4
