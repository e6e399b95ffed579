"""Finance's home in a real browser: a discrepancy and its row, and credits per day down to the entries."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from playwright.sync_api import expect

from batches.failures import FailureType
from batches.models import Batch
from ledger.days import roll_up
from tests.browser.conftest import SignIn
from tests.factories import Account, end_batch, make_account, make_batch
from tests.people import member, staff

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account(transactional_db: Any) -> Account:
    """A new organization with credits, seen by the server too."""
    return make_account()


@pytest.fixture
def ended(account: Account) -> Batch:
    """A batch of ten with one failure."""
    return end_batch(make_batch(account.api, 10), failed={7: FailureType.CONTENT_REFUSED})


@contextmanager
def changeable_entries() -> Iterator[None]:
    """Let entries be changed, as only the tables' owner can."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE credit_ledger DISABLE TRIGGER ledger_no_change")
        yield
        cursor.execute("ALTER TABLE credit_ledger ENABLE ALWAYS TRIGGER ledger_no_change")


@pytest.mark.unbooked
@pytest.mark.owner
def test_a_seeded_discrepancy_leads_from_home_to_its_row(ended: Batch, sign_in: SignIn) -> None:
    with changeable_entries(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE credit_ledger SET amount = 80 WHERE reference = %s AND kind = 'settle' RETURNING entry_id",
            [ended.pk],
        )
    page = sign_in(staff())
    page.goto("/admin/")
    page.get_by_role("button", name="Check now").click()
    expect(page.get_by_role("heading", name="discrepancies: credits are unexplained")).to_be_visible()
    row = page.get_by_role("table", name="Discrepancies").get_by_role("row").filter(has_text="reserved 100, settled 80")
    expect(row).to_contain_text("Acme")
    expect(row).to_contain_text("10 credits unexplained")
    expect(row).to_contain_text("ask for an adjustment")
    row.get_by_role("link").click()
    expect(page.locator("#batch-head")).to_contain_text("Reserved 100")
    expect(page.locator("#batch-head .verdict.bad")).to_be_visible()


def test_credits_per_day_lead_to_the_entries_without_javascript(ended: Batch, sign_in: SignIn) -> None:
    roll_up()
    today = datetime.now(UTC).date().isoformat()
    page = sign_in(staff(), java_script_enabled=False)
    page.goto("/admin/")
    drawing = page.get_by_role("group", name="Credits per day from")
    expect(drawing).to_be_visible()
    expect(drawing).to_have_accessible_name(
        f"Credits per day from {page.locator('.dates span').first.inner_text()} to {today}, UTC: 100 reserved, "
        "90 settled, 10 refunded. The table below has each day's figures."
    )
    page.get_by_text("As table").click()
    page.get_by_role("row", name=today).get_by_role("link", name="90").click()
    expect(page.get_by_role("heading", name=f"Credits of {today}")).to_be_visible()
    page.get_by_role("row", name="Acme").get_by_role("link", name="90").click()
    expect(page.get_by_role("row", name="settle").filter(has_text="order-1")).to_contain_text("90")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_home_and_a_day_fit_a_phone_with_the_table_open(ended: Batch, sign_in: SignIn, scheme: str) -> None:
    page = sign_in(member(ended.organization), viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page.goto("/admin/")
    page.get_by_text("As table").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.goto(f"/admin/ledger/days/{datetime.now(UTC).date()}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_paper_shows_the_table_of_days(ended: Batch, sign_in: SignIn) -> None:
    page = sign_in(staff())
    page.goto("/admin/")
    expect(page.get_by_role("columnheader", name="Reserved, credits")).to_be_hidden()
    page.emulate_media(media="print")
    expect(page.get_by_role("columnheader", name="Reserved, credits")).to_be_visible()
