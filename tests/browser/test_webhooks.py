"""The pages of webhooks in a real browser: support mends a failing endpoint, and the message arrives."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import expect
from pytest_django import Settings

from batches.models import Batch
from customers.models import Mode
from tests.browser.conftest import SignIn
from tests.browser.test_dashboard import PHONE, faint_texts
from tests.factories import Account, end_batch, make_account, make_batch
from tests.people import member, staff, superuser
from tests.webhooks.receivers import Receiver, answers, in_turn, serve
from webhooks.delivery import deliver_due
from webhooks.endpoints import change_endpoint, create_default_secret, create_endpoint, send_test
from webhooks.models import Delivery, Endpoint

pytestmark = pytest.mark.django_db(transaction=True)

DOWN = answers(503, b"down for maintenance")


@pytest.fixture
def account(transactional_db: Any, settings: Settings) -> Account:
    """A new organization with credits, whose receivers may be on this machine."""
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = ["http://127.0.0.1:*"]
    account = make_account()
    create_default_secret(organization=account.organization)
    return account


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that is down for the first message, and works then."""
    with serve(in_turn(DOWN, answers(200, b"thanks"))) as receiver:
        yield receiver


@pytest.fixture
def told(account: Account, receiver: Receiver) -> Batch:
    """A batch whose end was not taken."""
    events = ["batch.completed", "item.succeeded"]
    create_endpoint(organization=account.organization, mode=Mode.LIVE, url=receiver.url, events=events)
    batch = end_batch(make_batch(account.api, 2))
    assert deliver_due() == 1
    return batch


def test_support_finds_a_failing_endpoint_sees_why_and_sends_the_message_again(
    told: Batch, receiver: Receiver, sign_in: SignIn
) -> None:
    page = sign_in(staff("support"))
    page.goto("/admin/")
    expect(page.locator(".figures")).to_contain_text("Acme · since")
    page.get_by_role("link", name=re.compile("takes nothing since .* 1 message waits")).click()
    expect(page.locator("h1 + .pill")).to_have_text("✕ failing")
    expect(page.get_by_text("the last one with HTTP 503: service unavailable")).to_be_visible()
    expect(page.get_by_text("it will be disabled on")).to_be_visible()
    page.get_by_role("link", name="batch.completed").click()
    expect(page.get_by_role("row", name=re.compile("503 service unavailable .* down for maintenance"))).to_be_visible()
    page.get_by_role("button", name="Send now").click()
    expect(page.get_by_text("It is sent again.")).to_be_visible()
    assert deliver_due() == 1
    # Before one's eyes, and then it asks no more.
    expect(page.locator("h1 + .pill")).to_have_text("✓ delivered")
    expect(page.get_by_role("row", name=re.compile("200 ✓ taken .* by hand"))).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(3000)
    assert asked == []
    assert [request.headers["webhook-id"] for request in receiver.requests] == [Delivery.objects.get().event_id] * 2
    page.get_by_role("link", name="its endpoint").click()
    expect(page.locator("h1 + .pill")).to_have_text("✓ healthy")
    page.goto("/admin/")
    expect(page.get_by_text("Nothing. ")).to_be_visible()


def test_a_developer_replays_a_period_without_javascript(told: Batch, receiver: Receiver, sign_in: SignIn) -> None:
    endpoint = Endpoint.objects.get()
    change_endpoint(endpoint=endpoint, actor="usr_1", enabled=False)
    deliver_due()
    page = sign_in(member(told.organization, "customer developer"), java_script_enabled=False)
    page.goto("/admin/webhooks/")
    page.get_by_role("link", name=re.compile("127.0.0.1")).click()
    page.get_by_role("button", name="Enable").click()
    page.get_by_role("link", name="Replay a period").click()
    page.get_by_label("From, UTC").fill("2026-01-01")
    page.get_by_label("batch.completed").check()
    page.get_by_label("Only undelivered").check()
    page.get_by_role("button", name="See how many").click()
    expect(page.get_by_role("heading", name="Replay 1 message")).to_be_visible()
    page.get_by_role("link", name="Change it").click()
    page.get_by_role("button", name="See how many").click()
    page.get_by_role("button", name="Send 1 message again").click()
    expect(page.get_by_text("1 message is sent again")).to_be_visible()
    assert deliver_due() == 1
    assert len(receiver.requests) == 2


def test_a_new_secret_and_a_command_are_copied_whole(told: Batch, sign_in: SignIn) -> None:
    page = sign_in(superuser(), permissions=["clipboard-read", "clipboard-write"])
    endpoint = Endpoint.objects.get()
    page.goto(f"/admin/webhooks/endpoints/{endpoint.pk}")
    page.get_by_text("Rotate the secret").first.click()
    page.get_by_label("Overlap, hours").fill("48")
    page.get_by_role("button", name="Rotate the secret").click()
    page.locator(".secret").get_by_role("button", name="Copy").click()
    endpoint.refresh_from_db()
    assert page.evaluate("navigator.clipboard.readText()") == endpoint.secret
    page.goto(f"/admin/batches/{told.pk}/webhooks")
    copy = page.get_by_role("button", name="Copy as curl")
    copy.click()
    assert Delivery.objects.get().event.body in page.evaluate("navigator.clipboard.readText()")
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    expect(copy).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_a_phone_and_can_be_read(told: Batch, sign_in: SignIn, scheme: str) -> None:
    page = sign_in(superuser(), viewport=PHONE, color_scheme=scheme)
    endpoint, delivery = Endpoint.objects.get(), Delivery.objects.get()
    test = send_test(endpoint=endpoint, actor="usr_1", now=timezone.now())
    deliver_due()
    at = f"/admin/webhooks/endpoints/{endpoint.pk}"
    for address in (
        "/admin/",
        "/admin/webhooks/",
        "/admin/webhooks/?state=disabled",
        at,
        f"{at}/replay",
        f"{at}/replay?see=1&undelivered=on",
        "/admin/webhooks/deliveries/?mode=live",
        f"/admin/webhooks/deliveries/{delivery.pk}",
        f"/admin/webhooks/deliveries/{test.pk}",
        f"/admin/webhooks/secrets/{endpoint.organization_id}",
        f"/admin/batches/{told.pk}/webhooks",
    ):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], address
        assert faint_texts(page) == [], address
