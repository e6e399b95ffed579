"""The month-end checklist: each line in each state, judged from the records, and the files that verify the month."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from batches.failures import FailureType
from batches.models import Batch
from batches.reconciliation import reconcile
from customers.models import Mode, Organization
from customers.services import create_staff
from ledger import seals
from ledger.approvals import approve, request_credits
from ledger.checklists import Line
from ledger.models import Entry
from ledger.periods import close_period
from sora2.ids import new_id
from tests.batches.faults import tamper
from tests.factories import Account, end_batch, make_account, make_batch, sign
from tests.ledger.clock import turn_to
from tests.markup import links_of
from tests.people import member, staff, words_of

pytestmark = [pytest.mark.django_db, pytest.mark.owner]
unbooked = pytest.mark.unbooked

Go = Callable[[str], None]
FAILED = {7: FailureType.TIMEOUT}
CHECKED = "The last check of the books is clean"


@pytest.fixture(autouse=True)
def _sealed_here(settings: Settings, tmp_path: Path) -> None:
    settings.SEAL_DIR, settings.SEAL_SECONDS = tmp_path / "seals", 0


@pytest.fixture
def go(db: None) -> Iterator[Go]:
    """Turn Python's and PostgreSQL's clocks, forwards only."""
    with time_machine.travel(datetime(2026, 10, 1, tzinfo=UTC), tick=False) as travel:

        def to(at: str) -> None:
            travel.move_to(datetime.fromisoformat(at))
            turn_to(at)

        to("2026-10-01T00:00+00:00")
        yield to


@pytest.fixture
def acme(go: Go) -> Account:
    """A customer who had 1 000 credits in October, and a batch of ten of which one failed."""
    go("2026-10-05T12:00+00:00")
    account = make_account(max_items_per_batch=100)
    end_batch(make_batch(account.api, 10), failed=FAILED)
    return account


def address(account: Account) -> str:
    return f"/admin/ledger/{account.organization.pk}/month-end"


def page(account: Account, month: str = "") -> Any:
    return member(account.organization).get(address(account), {"month": month} if month else {})


def lines(account: Account, month: str = "") -> dict[str, Line]:
    """Return the lines of the checklist by their first words."""
    found = page(account, month).context["found"].lines
    return {line.name: line for line in found}


def stands(line: Line) -> str:
    return f"{line.standing.value}: {line.says}"


def finish(go: Go, at: str = "2026-11-02T09:00+00:00") -> None:
    """Let the month be closed, sealed and checked."""
    go(at)
    closer, _ = create_staff(username=new_id("usr"), role="finance")
    close_period(month="2026-10", closed_by=closer, now=timezone.now())
    seals.seal(now=timezone.now())
    reconcile(now=timezone.now())


def adjust(account: Account, amount: int, kind: Entry.Kind = Entry.Kind.ADJUSTMENT_IN, **given: Any) -> None:
    asks, decides = (create_staff(username=new_id("usr"), role=role)[0] for role in ("finance", "finance approver"))
    wallet = account.wallets[Mode.LIVE]
    request = request_credits(
        wallet=wallet, kind=kind, amount=amount, requested_by=asks, reason="Late delivery", **given
    )
    approve(request=request, decided_by=decides)


# --- ready ---------------------------------------------------------------------------------------------------------


def test_a_month_of_which_all_is_done_is_ready_to_be_filed(go: Go, acme: Account) -> None:
    finish(go)
    response = page(acme)
    assert "✓ October 2026 is ready to be filed" in words_of(response)
    found = {line.name: stands(line) for line in response.context["found"].lines}
    assert found == {
        "The month is over": "done: It ended at 2026-11-01 00:00 UTC.",
        "Every batch ordered in it is final": "done: 1 of 1.",
        "What was held at its end is listed": "done: Nothing was held.",
        "Every final batch has reserved = settled + refunded": "done: 1 batch: 100 = 90 + 10.",
        "The statement adds up": (
            "done: Opening + movements = closing. Funded 0 + 1,000 = 1,000; available 0 + 910 = 910; "
            "reserved 0 + 0 = 0; settled 0 + 90 = 90."
        ),
        "The last check of the books is clean": (
            "done: Checked 2026-11-02 09:00 UTC: 1 batch, 4 entries; nothing unexplained."
        ),
        "Every failed item is refunded": "done: 1 of 1 failed items; 10 credits.",
        "Adjustments are listed with their reasons": "done: None.",
        "The month is closed": "done: No entry can come into it any more.",
        "Its last entry is sealed": "done: Entry 4, by seal 1 of 2026-11-02 09:00 UTC, which is over entry 4.",
        "Batches are signed off": "waiting: 0 of 1; not needed to file the month.",
    }


def test_every_link_of_the_checklist_leads_somewhere(go: Go, acme: Account) -> None:
    adjust(acme, 5)
    finish(go)
    client = member(acme.organization)
    # Of October, and of November, in which there is no entry.
    responses = [client.get(address(acme), {"month": month}) for month in ("2026-10", "2026-11")]
    links = {link for response in responses for link in links_of(response)}
    own = {link for link in links if link.startswith("/admin/") and "month-end" not in link}
    assert len(own) > 30
    assert {link: client.get(link, follow=True).status_code for link in own} == dict.fromkeys(own, 200)


def test_the_month_before_the_current_one_is_shown_unless_another_is_asked_for(go: Go, acme: Account) -> None:
    go("2026-11-30T23:00+00:00")
    assert "Month-end: October 2026" in words_of(page(acme))
    november = page(acme, "2026-11")
    assert "Month-end: November 2026" in words_of(november)
    assert november.context["found"].later is None, "December is yet to come"
    assert page(acme, "soon").status_code == 400
    Organization.objects.filter(pk=acme.organization.pk).update(time_zone="Asia/Tokyo")
    assert "Month-end: November 2026 Acme · Asia/Tokyo · live" in words_of(page(acme))


def test_the_month_is_one_of_the_customers_time_zone(go: Go, acme: Account) -> None:
    go("2026-10-31T16:00+00:00")
    end_batch(make_batch(acme.api, 2, request_id="of November in Tokyo"))
    Organization.objects.filter(pk=acme.organization.pk).update(time_zone="Asia/Tokyo")
    finish(go)
    found = lines(acme, "2026-10")
    assert stands(found["The month is over"]) == "done: It ended at 2026-11-01 00:00 Asia/Tokyo."
    assert stands(found["Every batch ordered in it is final"]) == "done: 1 of 1."
    assert "settled 0 + 90 = 90" in found["The statement adds up"].says


# --- each line that waits ------------------------------------------------------------------------------------------


def test_a_month_that_runs_is_not_ready(go: Go, acme: Account) -> None:
    go("2026-10-20T00:00+00:00")
    reconcile(now=timezone.now())
    found = lines(acme, "2026-10")
    assert stands(found["The month is over"]) == "waiting: It ends at 2026-11-01 00:00 UTC."
    assert stands(found["What was held at its end is listed"]) == "waiting: Nothing is held so far."
    assert found[CHECKED].missing == "the last check is from before the month's end"
    said = words_of(page(acme, "2026-10"))
    assert "○ October 2026 is not ready to be filed yet It ends at 2026-11-01 00:00 UTC; " in said


def test_a_batch_that_runs_is_listed_with_what_it_holds(go: Go, acme: Account) -> None:
    go("2026-10-31T23:30+00:00")
    batch = make_batch(acme.api, 4, request_id="over midnight")
    finish(go)
    line = lines(acme)["Every batch ordered in it is final"]
    assert stands(line) == "waiting: 1 of 2; 1 batch is still open: 40 held."
    assert [(row.label, row.detail) for row in line.rows] == [("over midnight", "queued, holds 40 credits")]
    assert "October 2026 is not ready to be filed yet 1 batch is still open." in words_of(page(acme))
    end_batch(batch)
    reconcile(now=timezone.now())
    found = lines(acme)
    assert stands(found["Every batch ordered in it is final"]) == "done: 2 of 2."
    held = found["What was held at its end is listed"]
    assert stands(held) == "done: 40 credits at its end, for 1 batch."
    assert [(row.label, row.detail) for row in held.rows] == [
        ("over midnight", "40 credits since 2026-10-31 23:30 UTC")
    ]


def test_a_check_that_never_ran_or_is_overdue_is_waited_for(go: Go, acme: Account) -> None:
    go("2026-11-02T09:00+00:00")
    assert stands(lines(acme)[CHECKED]) == "waiting: None has run yet."
    reconcile(now=timezone.now())
    assert lines(acme)[CHECKED].standing == "done"
    go("2026-11-02T12:00+00:00")
    assert lines(acme)[CHECKED].missing == "the last check is overdue"


def test_closing_and_sealing_are_waited_for(go: Go, acme: Account) -> None:
    go("2026-11-02T09:00+00:00")
    found = lines(acme)
    assert found["The month is closed"].missing == "it is not closed yet"
    assert stands(found["Its last entry is sealed"]).startswith("waiting: Entry 4 is not sealed yet")
    assert "once its last entry is sealed" in words_of(page(acme))


def test_a_month_that_ends_in_the_one_after_in_utc_is_closed_with_that(go: Go, acme: Account) -> None:
    finish(go)
    name = "The month is closed"
    for zone, said in (
        ("UTC", "done: No entry can come into it any more."),
        ("Asia/Tokyo", "done: No entry can come into it any more."),
        ("America/Los_Angeles", "waiting: Not yet. Sora2 closes months in UTC, after their end: this one with"),
    ):
        Organization.objects.filter(pk=acme.organization.pk).update(time_zone=zone)
        assert stands(lines(acme)[name]).startswith(said), zone
    assert "this one with November 2026 in UTC." in lines(acme)[name].says


def test_sign_offs_are_counted_and_hold_nothing_up(go: Go, acme: Account) -> None:
    second = end_batch(make_batch(acme.api, 1, request_id="second"))
    finish(go)
    sign(second)
    response = page(acme)
    assert response.context["found"].missing == []
    line = lines(acme)["Batches are signed off"]
    assert stands(line) == "waiting: 1 of 2; not needed to file the month."
    assert [row.label for row in line.rows] == ["order-1"]
    sign(Batch.objects.get(request_id="order-1"))
    assert stands(lines(acme)["Batches are signed off"]) == "done: 2 of 2; not needed to file the month."


def test_adjustments_are_listed_each_with_its_reason(go: Go, acme: Account) -> None:
    batch = Batch.objects.get()
    adjust(acme, 5, about=batch.pk)
    go("2026-10-06T12:00+00:00")
    adjust(acme, 3, Entry.Kind.ADJUSTMENT_OUT)
    finish(go)
    adjust(acme, 7)
    line = lines(acme)["Adjustments are listed with their reasons"]
    assert stands(line) == "done: 2 adjustments."
    assert [(row.label, row.detail) for row in line.rows] == [
        ("+5 credits", f"2026-10-05 12:00 UTC: Late delivery ({batch.pk})"),
        ("−3 credits", "2026-10-06 12:00 UTC: Late delivery"),
    ]


# --- each line that is wrong ---------------------------------------------------------------------------------------


@unbooked
def test_a_batch_that_is_no_equation_must_not_be_filed(go: Go, acme: Account) -> None:
    batch = Batch.objects.get()
    tamper("UPDATE credit_ledger SET amount = 80 WHERE reference = %s AND kind = 'settle'", batch.pk)
    finish(go)
    found = lines(acme)
    equations = found["Every final batch has reserved = settled + refunded"]
    assert (equations.standing, equations.missing) == ("wrong", "1 batch is not explained")
    assert any("10 credits unexplained" in row.detail for row in equations.rows)
    assert found[CHECKED].standing == "wrong"
    statement = found["The statement adds up"]
    assert (statement.standing, statement.missing) == ("wrong", "the statement does not add up")
    assert any("differ from the closing settled credits by 10" in row.detail for row in statement.rows)
    assert "✕ October 2026 must not be filed yet 1 batch is not explained" in words_of(page(acme))


@unbooked
def test_a_failed_item_without_its_refund_must_not_be_filed(go: Go, acme: Account) -> None:
    tamper("UPDATE batches_item SET status = 'failed', refunded_at = NULL WHERE index = 7")
    finish(go)
    line = lines(acme)["Every failed item is refunded"]
    assert stands(line) == "wrong: 0 of 1 failed items; 10 credits."
    assert line.missing == "1 failed item is not refunded"


@unbooked
def test_what_is_wrong_with_another_customer_is_not_said(
    go: Go, acme: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    globex = make_account(name="Globex")
    wrong = end_batch(make_batch(globex.api, 2))
    finish(go)
    tamper("UPDATE credit_ledger SET amount = 10 WHERE reference = %s AND kind = 'settle'", wrong.pk)
    # Of two checks at one moment the first would count.
    go("2026-11-02T10:00+00:00")
    reconcile(now=timezone.now())
    assert "✓ October 2026 is ready to be filed" in words_of(page(acme))
    # Of staff, who see all, the page is of one customer too.
    response = staff().get(address(acme))
    assert "✓ October 2026 is ready to be filed" in words_of(response)
    assert {line.name: stands(line) for line in response.context["found"].lines} == {
        name: stands(line) for name, line in lines(acme).items()
    }
    assert lines(globex)[CHECKED].standing == "wrong"
    assert "✕ October 2026 must not be filed yet" in words_of(staff().get(address(globex)))
    # A check that found more than it lists says of no customer that they are not among it.
    monkeypatch.setattr("batches.reconciliation_pages.LISTED", 0)
    assert lines(acme)[CHECKED].missing == "the last check is being looked into"


# --- the files -----------------------------------------------------------------------------------------------------


def test_the_command_verifies_the_month_with_the_files_that_are_offered(go: Go, acme: Account, tmp_path: Path) -> None:
    # What comes after the month is under the same seal.
    go("2026-11-01T07:00+00:00")
    end_batch(make_batch(acme.api, 3, request_id="of November"))
    finish(go)
    end_batch(make_batch(acme.api, 3, request_id="after the seal"))
    client = member(acme.organization)
    response = client.get(address(acme))
    offered = [
        link
        for link in links_of(response)
        if any(part in link for part in ("verify_ledger.py", "seals/1", "well-known"))
    ]
    offered += [link for link in links_of(response) if "export.csv" in link][-1:]
    for link in offered:
        answer = client.get(link)
        named = answer.headers.get("Content-Disposition", 'x="sora2-seal-keys.json"').split('"')[1]
        (tmp_path / named).write_bytes(b"".join(answer) if answer.streaming else answer.content)
    command = next(line for line in words_of(response).split("Put these four")[1:])
    command = command[command.index("python3 verify_ledger.py") :].split(" What it proves")[0]
    done = subprocess.run(
        [sys.executable, *command.split()[1:]], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "entry 6 is the one that was sealed; signed by" in done.stdout
    assert "newer than these seals" not in done.stdout


# --- who, and how much it costs ------------------------------------------------------------------------------------


def test_who_may_not_see_credits_or_is_of_another_customer_sees_nothing(go: Go, acme: Account) -> None:
    assert member(acme.organization, "customer admin").get(address(acme)).status_code == 200
    assert member(acme.organization, "customer developer").get(address(acme)).status_code == 403
    assert member(make_account(name="Globex").organization).get(address(acme)).status_code == 404
    assert staff("auditor").get(address(acme)).status_code == 200
    assert staff("support").get(address(acme)).status_code == 403


def test_it_takes_as_many_queries_however_many_batches_there_were(go: Go, acme: Account) -> None:
    finish(go)
    client = member(acme.organization)

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(address(acme), {"month": "2026-11"}).status_code == 200
        return len(queries)

    end_batch(make_batch(acme.api, 2, request_id="ended"), failed={0: FailureType.TIMEOUT})
    make_batch(acme.api, 1, request_id="open")
    adjust(acme, 1)
    few = asked()
    for number in range(12):
        end_batch(make_batch(acme.api, 2, request_id=f"ended {number}"), failed={0: FailureType.TIMEOUT})
        make_batch(acme.api, 1, request_id=f"open {number}")
        adjust(acme, 1)
    assert asked() == few


def test_of_long_lists_the_first_are_named_and_the_others_counted(go: Go, acme: Account) -> None:
    finish(go)
    for number in range(23):
        make_batch(acme.api, 1, request_id=f"open {number}")
    line = lines(acme, "2026-11")["Every batch ordered in it is final"]
    assert (len(line.rows), line.more) == (20, 3)
    assert "and 3 more" in words_of(page(acme, "2026-11"))
