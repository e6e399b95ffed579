"""The paths of finance, support, approvers and the auditor through the pages, in a real browser."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone
from playwright.sync_api import Page, expect

from batches.failures import FailureType
from batches.models import Batch
from customers.models import AuditEvent, User
from ledger.approvals import SamePerson, approve
from ledger.models import CreditRequest
from tests.browser.conftest import SignIn
from tests.dashboard import scenes
from tests.factories import Account, end_batch, make_account, make_batch
from tests.markup import forms_of
from tests.people import signed_in, staff
from tests.world import World, make_world

pytestmark = pytest.mark.django_db(transaction=True)

# From a total to the items or entries that it sums: where it stands, what is clicked, and what is seen then. Three
# clicks at most.
TOTALS = {
    "funded on home": ("/admin/", ["Funded", "Acme", "order-1"], "table.items"),
    "settled on home": ("/admin/", ["90", "Acme"], "#settled"),
    "open batches on home": ("/admin/", ["1", "order-2"], "table.items"),
    "all of the wallets": ("/admin/ledger/", ["Acme"], "#entries"),
    "settled in a statement": ("/admin/ledger/{acme}", ["settle", "order-1"], "table.items"),
    "refunded in a statement": ("/admin/ledger/{acme}", ["refund", "order-1"], "table.items"),
    "all of the batches": ("/admin/batches/", ["order-1"], "table.items"),
    "reserved of a batch": ("/admin/batches/{batch}", ["Reserved"], "#entries"),
    "settled of a batch": ("/admin/batches/{batch}/billing", ["90", "sora-2"], "table.items"),
    "refunded of a batch": ("/admin/batches/{batch}/billing", ["10", "content refused"], "table.items"),
}
# What an auditor may send: nothing there changes anything but their own session and password. A link to a video is for
# whoever may see that one. A check reads all books, and what it finds is kept.
HARMLESS = re.compile(
    r"/admin/(logout/|batches/\w+/items/\w+/link|password_change/|sign-out-everywhere|two-step/.*|check)"
)


@pytest.fixture
def account(transactional_db: Any) -> Account:
    """A new organization with credits, seen by the server too."""
    return make_account()


@pytest.fixture
def ended(account: Account) -> Batch:
    """A batch of ten with one failure, and another one that is open."""
    batch = end_batch(make_batch(account.api, 10), failed={7: FailureType.CONTENT_REFUSED})
    make_batch(account.api, 2, request_id="order-2")
    return batch


@pytest.fixture
def world(transactional_db: Any, tmp_path: Path) -> World:
    """The rich world, seen by the server too."""
    return make_world(tmp_path)


# --- finance -------------------------------------------------------------------------------------------------------


def test_finance_reconciles_a_batch_from_home_and_signs_it_off(ended: Batch, sign_in: SignIn) -> None:
    page = sign_in(staff("finance"))
    page.goto("/admin/")
    page.get_by_role("button", name="Check now").click()
    expect(page.get_by_role("heading", name="Every credit is explained")).to_be_visible()
    expect(page.locator(".equation").first).to_contain_text(re.compile(r"Funded\s+1,000"))
    # Three clicks from the total to the items.
    page.locator(".equation a").first.click()
    page.locator("#content").get_by_role("link", name="Acme").click()
    page.locator("#content").get_by_role("link", name="order-1").first.click()
    expect(page.locator("table.items tbody tr")).to_have_count(10)
    page.get_by_role("link", name="Billing").click()
    expect(page.get_by_text("100 = 90 + 10", exact=True)).to_be_visible()
    page.get_by_label("I have compared these figures").check()
    page.get_by_label("Note").fill("Their CFO confirmed by phone")
    page.get_by_role("button", name="Sign off: 100 = 90 + 10").click()
    signed = page.locator("#sign-off").locator("..")
    expect(signed).to_contain_text(re.compile(r"Reconciled by .+ at .+: 100 = 90 \+ 10"))
    expect(signed).to_contain_text("Their CFO confirmed by phone")
    event = AuditEvent.objects.get(action="batch.sign_off")
    assert (event.subject, event.detail["note"]) == (ended.pk, "Their CFO confirmed by phone")


def test_every_total_is_at_most_three_clicks_from_what_it_sums(ended: Batch, sign_in: SignIn) -> None:
    page = sign_in(staff("finance"))
    for total, (start, clicks, seen) in TOTALS.items():
        assert len(clicks) <= 3, total
        page.goto(start.format(acme=ended.organization_id, batch=ended.pk))
        for name in clicks:
            page.locator("#content a").filter(has_text=re.compile(rf"^\W*{name}(?![\w,])")).first.click()
        expect(page.locator(seen).first, total).to_be_visible()


def test_finance_signs_off_by_keyboard_alone(ended: Batch, sign_in: SignIn) -> None:
    page = sign_in(staff("finance"))
    page.goto(f"/admin/batches/{ended.pk}/billing")
    confirmed = page.get_by_label("I have compared these figures")
    tab_to(page, "#sign-off ~ form input[name=confirmed]")
    page.keyboard.press("Space")
    expect(confirmed).to_be_checked()
    tab_to(page, "input[name=note]")
    page.keyboard.type("Compared with their order list")
    tab_to(page, "#sign-off ~ form button")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    expect(page.get_by_text("Signed off: 100 = 90 + 10.")).to_be_visible()


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the keyboard does not reach {selector}")


# --- two people ----------------------------------------------------------------------------------------------------


def test_who_asked_cannot_approve_and_somebody_else_can(account: Account, sign_in: SignIn) -> None:
    clients = [staff("finance approver") for _ in range(2)]
    first, second = (User.objects.get(pk=client.session["_auth_user_id"]) for client in clients)
    page = sign_in(clients[0])
    page.goto(f"/admin/ledger/requests/new?organization={account.organization.pk}&kind=adjustment_in")
    page.get_by_label("Credits").fill("25")
    page.get_by_label("Reason").fill("Goodwill for a late batch")
    page.get_by_label("Evidence").fill("https://tickets.example/7")
    page.get_by_role("button", name="See the effect").click()
    page.get_by_role("button", name="Ask for +25 credits").click()
    expect(page.get_by_text("Nothing is posted until a second person approves it.")).to_be_visible()
    asked = CreditRequest.objects.get(basis="two_people")
    expect(page.get_by_text("a second person has to decide")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    said = clients[0].post(f"/admin/ledger/requests/{asked.pk}/approve", {"note": "mine"}, follow=True)
    assert "Nothing was changed." in said.content.decode()
    with pytest.raises(SamePerson):
        approve(request=asked, decided_by=first)
    refuses_by_itself(asked, first)
    other = sign_in(clients[1])
    other.goto(f"/admin/ledger/requests/{asked.pk}")
    other.get_by_label("Note").fill("Seen in the ticket")
    other.get_by_role("button", name="Approve and post").click()
    expect(other.get_by_text("Approved: the entry is posted.")).to_be_visible()
    written = AuditEvent.objects.filter(subject=asked.pk, outcome="done").order_by("at", "pk")
    assert [(event.action, event.actor) for event in written] == [
        ("credits.request", first.pk),
        ("credits.approve", second.pk),
    ]
    assert "Goodwill for a late batch" in str(written[0].detail)
    assert "Seen in the ticket" in str(written[1].detail)


def refuses_by_itself(asked: CreditRequest, who: User) -> None:
    """Hold the database to it, whatever the code says."""
    with pytest.raises(DatabaseError), transaction.atomic():
        CreditRequest.objects.filter(pk=asked.pk).update(state="approved", decided_by=who, decided_at=timezone.now())


# --- those who only look -------------------------------------------------------------------------------------------


def test_support_sees_no_credits_on_its_way_to_a_failing_delivery(world: World, sign_in: SignIn) -> None:
    page = sign_in(signed_in(world.people["support"]))
    page.goto("/admin/")
    failing = world.endpoints["failing"]
    ways = ("/admin/", "/admin/webhooks/", f"/admin/webhooks/endpoints/{failing.pk}", "/admin/batches/")
    for address in (*ways, f"/admin/batches/{world.batches['partial'].pk}"):
        page.goto(address)
        words = page.locator("body").inner_text()
        assert not re.search(r"(?i)\b(reserved|settled|refunded|funded|available)\b\s*[\d,]+", words), address
        expect(page.get_by_role("link", name="Billing")).to_have_count(0)
        expect(page.get_by_role("navigation", name="Sections").get_by_role("link", name="Ledger")).to_have_count(0)


def test_the_auditor_opens_everything_and_can_change_nothing(world: World) -> None:
    client = signed_in(world.people["auditor"])
    everything = scenes(world, client)
    assert {"index", "batch_billing", "statement", "credit_request", "period", "delivery"} <= everything.keys()
    for name, address in everything.items():
        response = client.get(address)
        forms = forms_of(response) if response.headers["Content-Type"].startswith("text/html") else []
        for form in forms:
            # Django's lists are forms without a button: there is nothing to be done.
            assert form.method == "get" or not form.buttons or HARMLESS.fullmatch(form.action), (
                name,
                form.action,
                form.buttons,
            )
