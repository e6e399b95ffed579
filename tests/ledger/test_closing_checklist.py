"""The checklist that closes a month: each line in each state, what is next, and that unchecked books are not closed."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from customers.models import AuditEvent
from customers.services import create_staff
from ledger import month_run, seals
from ledger.approvals import approve, request_credits
from ledger.closing import NotReconciled, close_month
from ledger.models import Entry, Period, ReconciliationRun
from ledger.periods import NotOver
from sora2.ids import new_id
from tests.ledger.month_scenes import NOW, Customers, bill, check_books, make_customers
from tests.markup import links_of
from tests.people import member, staff, superuser, words_of

MONTH = "2026-10"
PAGE = f"/admin/ledger/periods/{MONTH}"
CHECKED, CLOSED, FILES = "The books are checked", "The month is closed", "Exports are fixed"
SEALED, INVOICES, REQUESTS = (
    "Every wallet's last entry is sealed",
    "Usage invoices are made where wanted",
    "No request for credits waits",
)


@pytest.fixture
def customers(db: None, settings: Settings, tmp_path: Path) -> Iterator[Customers]:
    """Three customers on 2 November, with October still open and nothing checked."""
    settings.SEAL_DIR, settings.SEAL_SECONDS = tmp_path / "seals", 0
    with time_machine.travel(NOW, tick=False):
        yield make_customers()


def checklist(month: str = MONTH) -> dict[str, str]:
    """Return the lines of the page by their names, as they stand, and what is next."""
    found = staff().get(f"/admin/ledger/periods/{month}").context["found"]
    lines = {line.name: f"{line.standing.value}: {line.says}" for line in found.lines}
    return {**lines, "next": found.next.missing if found.next else ""}


def find_something() -> None:
    """Let the last check have found something."""
    now = timezone.now()
    found = [{"invariant": "invariant_chain_intact", "promise": "It is.", "subject": "led_1", "detail": "It is not."}]
    ReconciliationRun.objects.create(
        started_at=now, finished_at=now, batches=0, entries=0, counts={"invariant_chain_intact": 3}, discrepancies=found
    )


# --- line by line --------------------------------------------------------------------------------------------------


def test_a_month_goes_line_by_line_until_it_is_closed_and_complete(customers: Customers) -> None:
    bill(customers.acme)
    client = staff()
    assert checklist() == {
        "The month is over": "done: It ended at 2026-11-01 00:00 UTC.",
        CHECKED: "waiting: The books have not been checked yet.",
        REQUESTS: "done: All of the month are decided.",
        "Open reserves are listed": "done: None at its end.",
        "Revenue adds up": "done: Its lots come to what the ledger and the invoices say.",
        CLOSED: "waiting: Not yet.",
        SEALED: "waiting: 0 of 3 wallets.",
        "next": "check the books, by Check now on the home page",
    }
    assert "for good" not in words_of(client.get(PAGE))
    check_books()
    lines = checklist()
    assert lines[CHECKED] == "done: Checked 2026-11-02 09:00 UTC, after the month's end: nothing unexplained."
    assert lines["next"] == "close October 2026"
    assert "Close October 2026 for good" in words_of(client.get(PAGE))
    assert "2026-10 is closed" in words_of(client.post(PAGE, follow=True))
    lines = checklist()
    assert lines[CLOSED].startswith("done: Closed 2026-11-02 09:00 UTC by ")
    assert lines[FILES] == "waiting: Statement and ledger CSV of 0 of 2 customers, hashes kept."
    assert lines[INVOICES] == "waiting: 0 of 1."
    assert lines["next"] == "make the files"
    run = month_run.begin(month=MONTH, by=customers.ada)
    next(run)
    assert checklist()[FILES] == "partly: Statement and ledger CSV of 1 of 2 customers, hashes kept."
    list(run)
    lines = checklist()
    assert lines[FILES] == "done: Statement and ledger CSV of 2 of 2 customers, hashes kept."
    assert lines[INVOICES] == "done: 1 of 1."
    assert lines["next"].startswith("wait for the seal")
    seals.seal(now=timezone.now())
    lines = checklist()
    assert lines[SEALED] == "done: 3 of 3 wallets, the last by seal 1."
    assert lines["next"] == ""
    page = client.get(PAGE)
    assert "✓ October 2026 is closed and complete" in words_of(page)
    own = {link for link in links_of(page) if link.startswith("/admin/ledger/")}
    assert {link: client.get(link).status_code for link in own} == dict.fromkeys(own, 200)


def test_what_waits_and_what_is_held_is_said_and_does_not_stand_in_the_way(customers: Customers) -> None:
    asks, _ = create_staff(username=new_id("usr"), role="finance")
    decides, _ = create_staff(username=new_id("usr"), role="finance approver")
    given: dict[str, Any] = {
        "wallet": customers.acme,
        "kind": Entry.Kind.ADJUSTMENT_IN,
        "reason": "Late",
        "requested_by": asks,
    }
    request_credits(amount=7, **given)
    assert checklist()[REQUESTS] == "done: All of the month are decided.", "it was asked for in November"
    with time_machine.travel(NOW - timedelta(days=2), tick=False):
        request = request_credits(amount=5, **given)
    check_books()
    lines = checklist()
    assert lines[REQUESTS].startswith("partly: 1 request from before its end, of 5 credits")
    assert lines["next"] == "close October 2026"
    approve(request=request, decided_by=decides)
    assert checklist()[REQUESTS].startswith("done")


def test_what_a_check_found_stands_in_the_way(customers: Customers) -> None:
    find_something()
    lines = checklist()
    assert lines[CHECKED] == "wrong: The last check of the books, of 2026-11-02 09:00 UTC, found 3 discrepancies."
    assert lines["next"] == "look into what the last check of the books found: each row says what to do"
    text = words_of(staff().get(PAGE))
    assert "✕ Next: look into" in text
    assert "for good" not in text


def test_a_check_that_is_overdue_is_said_and_a_closed_month_needs_no_newer_one(customers: Customers) -> None:
    check_books()
    with time_machine.travel(NOW + timedelta(hours=2), tick=False):
        lines = checklist()
        assert lines[CHECKED].startswith("partly")
        assert lines["next"] == "check the books again, by Check now on the home page"
        close_month(month=MONTH, closed_by=customers.ada, now=timezone.now())
        assert checklist()[CHECKED].startswith("done")


def test_a_month_that_is_not_over_says_so_and_one_before_the_first_has_no_run(customers: Customers) -> None:
    assert checklist("2026-11")["next"] == "wait until 2026-12-01 00:00 UTC: then November 2026 can be closed"
    check_books()
    close_month(month=MONTH, closed_by=customers.ada, now=NOW)
    assert "It lies before the first month that was closed by itself" in words_of(
        staff().get("/admin/ledger/periods/2026-08")
    )


# --- unchecked books are not closed --------------------------------------------------------------------------------


def test_unchecked_books_are_not_closed_by_anybody(customers: Customers) -> None:
    for client in (staff(), superuser()):
        answer = words_of(client.post(PAGE, follow=True))
        assert "The books have not been checked yet. Check them on the home page or with manage.py reconcile" in answer
        assert "Nothing was changed." in answer
    with pytest.raises(CommandError, match="have not been checked yet"):
        call_command("close_period", MONTH, "--by", "ada", stdout=StringIO())
    assert not Period.objects.filter(month=MONTH).exists()
    assert set(AuditEvent.objects.filter(subject=MONTH).values_list("outcome", flat=True)) == {"not_reconciled"}


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("2026-10-31T23:59:59+00:00", "is of 2026-10-31 23:59 UTC, from before the end of October 2026"),
        ("", "found 3 discrepancies"),
    ],
)
def test_books_are_closed_after_a_clean_check_that_saw_the_whole_month(
    customers: Customers, at: str, said: str
) -> None:
    if at:
        check_books(datetime.fromisoformat(at))
    else:
        find_something()
    with pytest.raises(NotReconciled, match=said):
        close_month(month=MONTH, closed_by=customers.ada, now=NOW)
    assert not Period.objects.filter(month=MONTH).exists()
    check_books(NOW + timedelta(seconds=1))
    assert close_month(month=MONTH, closed_by=customers.ada, now=NOW).month == MONTH


def test_what_the_month_itself_forbids_is_said_first(customers: Customers) -> None:
    with pytest.raises(NotOver):
        close_month(month="2026-11", closed_by=customers.ada, now=NOW)


def test_a_customers_people_find_none_of_it(customers: Customers) -> None:
    client = member(customers.acme.organization)
    assert client.get(f"{PAGE}/files").status_code == 404
    assert client.post(f"{PAGE}/run").status_code == 403
