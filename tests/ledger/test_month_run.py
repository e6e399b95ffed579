"""The run of a closed month: what each customer files is made once, whatever happens to the run, and then compared."""

import hashlib
import json
import threading
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from customers.models import AuditEvent, Mode, Organization
from customers.services import create_staff
from ledger import month_files, month_run
from ledger.intervals import month_before, month_of
from ledger.models import BillingDetails, Invoice, MonthFile, Period, Wallet
from ledger.month_run import ASKED, ENDED, NotYetClosed, Outcome, UnderWay
from ledger.periods import close_period, due
from ledger.services import open_wallets
from ledger.statements import statement_of
from ledger.tasks import run_month
from sora2.slots import slot
from tests.connections import at_once
from tests.ledger.month_scenes import NOW, Customers, bill, make_customers
from tests.people import member, staff, words_of

MONTH = "2026-10"
FILES = f"/admin/ledger/periods/{MONTH}/files"


@pytest.fixture
def customers(db: None) -> Iterator[Customers]:
    """Three customers on 2 November, with October closed; Acme wants usage invoices."""
    with time_machine.travel(NOW, tick=False):
        made = make_customers()
        bill(made.acme)
        close_period(month=MONTH, closed_by=made.ada, now=NOW)
        yield made


def ran(customers: Customers) -> dict[str, str]:
    """Run the month, and return what was done by customer."""
    done = month_run.begin(month=MONTH, by=customers.ada)
    return {each.wallet.organization.name: f"{each.outcome.value}: {each.says}" for each in done}


def kept() -> list[dict[str, Any]]:
    return [dict(row) for model in (MonthFile, Invoice) for row in model._default_manager.order_by("pk").values()]


def sha256(response: Any) -> str:
    body = b"".join(response.streaming_content) if response.streaming else response.content
    return hashlib.sha256(body).hexdigest()


def tamper(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        cursor.execute("ALTER TABLE credit_ledger DISABLE TRIGGER USER; " + statement)


# --- once ----------------------------------------------------------------------------------------------------------


def test_the_run_fixes_the_files_that_customers_download(customers: Customers) -> None:
    done = ran(customers)
    assert done.keys() == {"Acme", "Globex"}, "Quiet has no entry, and test wallets have no files"
    file = MonthFile.objects.get(wallet=customers.acme)
    assert done["Acme"] == f"made: statement and CSV of 4 entries, usage invoice {file.usage_invoice}"
    assert done["Globex"] == "made: statement and CSV of 1 entry"
    client, owner = member(customers.acme.organization), customers.acme.organization_id
    month = month_of(MONTH)
    asked = {"mode": "live", "month": MONTH, "tz": "UTC"}
    assert sha256(client.get(f"/admin/ledger/{owner}/statement.pdf", asked)) == file.statement_sha256
    between = {"created_after": month.starts_at.isoformat(), "created_before": month.ends_at.isoformat()}
    assert sha256(client.get(f"/admin/ledger/{owner}/export.csv", between)) == file.ledger_csv_sha256
    # The customer sees both hashes, and the invoice, also by a calendar of its own.
    for zone in ("UTC", "Asia/Tokyo"):
        Organization.objects.filter(pk=owner).update(time_zone=zone)
        page = client.get(f"/admin/ledger/{owner}/month-end", {"month": MONTH})
        for shown in (file.statement_sha256, file.ledger_csv_sha256, f"{file.usage_invoice}, with nothing due"):
            assert shown in page.content.decode(), zone
    other = member(customers.globex.organization)
    text = words_of(other.get(f"/admin/ledger/{customers.globex.organization_id}/month-end", {"month": MONTH}))
    assert "Files as fixed at the month's end" in text
    assert "usage invoice" not in text, "none is wanted"


def test_the_usage_invoice_says_what_was_used_and_asks_for_nothing(customers: Customers) -> None:
    ran(customers)
    invoice = Invoice.objects.get(kind=Invoice.Kind.USAGE)
    assert (invoice.organization_id, invoice.month, invoice.state) == (customers.acme.organization_id, MONTH, "paid")
    assert (invoice.subtotal_cents, invoice.tax_cents, invoice.total_cents, invoice.credits) == (0, 0, 0, 0)
    assert (invoice.purchase_order, invoice.terms_days) == ("PO-9", 0)
    assert invoice.number
    # 200 of the 500 promotional credits were used in September; 2 000 were paid with $100.00.
    lines = list(invoice.lines.values_list("description", "credits", "unit_micros", "amount_cents"))
    assert [line[1:] for line in lines] == [(300, 0, 0), (100, 50_000, 500), (0, 0, -500)]
    assert lines[0][0].startswith("Credits used, promotional, of 2026-09-20")
    assert lines[1][0] == "Credits used, prepaid by TR-77 of 2026-10-05"
    assert lines[2][0] == "Prepaid: taken off"
    statement = statement_of(wallet=customers.acme, interval=month_of(MONTH))
    assert sum(line[1] for line in lines) == statement.effect.settled == 400


# --- again, and in parts -------------------------------------------------------------------------------------------


def test_the_second_run_makes_nothing_and_finds_the_same(customers: Customers) -> None:
    ran(customers)
    # Who asks for it later, gets it of the months to come.
    bill(customers.globex)
    before = kept()
    assert ran(customers) == {"Acme": "same: the same as fixed", "Globex": "same: the same as fixed"}
    assert kept() == before
    events = AuditEvent.objects.filter(subject=MONTH, action__in=(ASKED, ENDED)).order_by("pk")
    assert [(event.action, event.outcome, event.actor) for event in events] == [
        (ASKED, "done", customers.ada.pk),
        (ENDED, "done", customers.ada.pk),
    ] * 2
    assert [event.detail.get("made") for event in events] == [None, 2, None, 0]


def test_a_run_that_is_stopped_goes_on_where_it_was(customers: Customers) -> None:
    run = month_run.begin(month=MONTH, by=customers.ada)
    assert next(run).outcome == Outcome.MADE
    run.close()  # type: ignore[attr-defined]
    progress = month_run.progress(month=MONTH, now=timezone.now())
    assert (progress.made, progress.customers, progress.is_complete) == (1, 2, False)
    assert progress.ended is not None
    assert progress.ended.outcome == "stopped"
    assert sorted(outcome.partition(":")[0] for outcome in ran(customers).values()) == ["made", "same"]
    assert MonthFile.objects.count() == 2
    assert Invoice.objects.filter(kind=Invoice.Kind.USAGE).count() == 1


def test_what_fails_for_a_customer_leaves_nothing_of_it_and_stops_no_other(
    customers: Customers, settings: Settings
) -> None:
    name = settings.SELLER_LEGAL_NAME
    settings.SELLER_LEGAL_NAME = ""
    done = ran(customers)
    assert done["Acme"].startswith("failed: Set SELLER_LEGAL_NAME")
    assert done["Globex"].startswith("made")
    assert not Invoice.objects.exists()
    assert MonthFile.objects.get().wallet == customers.globex
    ended = AuditEvent.objects.get(action=ENDED)
    assert (ended.outcome, ended.detail["wrong"]) == ("failed", [f"Acme: {done['Acme'].removeprefix('failed: ')}"])
    settings.SELLER_LEGAL_NAME = name or "Sora2 Inc."
    settings.SELLER_ADDRESS, settings.SELLER_BANK = "1 Example Street", "IBAN"
    assert ran(customers)["Acme"].startswith("made")


@pytest.mark.django_db(transaction=True)
def test_of_two_who_fix_the_same_at_once_one_does(transactional_db: None) -> None:
    wallets = open_wallets(organization=Organization.objects.create(name="Acme"))
    last = month_before(due(now=timezone.now()))
    assert last is not None
    ada, _ = create_staff(username="ada", role="finance")
    period = close_period(month=last.month, closed_by=ada, now=timezone.now())
    both = threading.Barrier(2, timeout=20)

    def fixes() -> MonthFile | None:
        wallet = Wallet.objects.select_related("organization").get(pk=wallets[Mode.LIVE].pk)
        both.wait()
        return month_files.fix(period=period, wallet=wallet, by=ada, now=timezone.now())

    made = at_once(fixes, fixes)
    assert sorted(type(each).__name__ for each in made) == ["MonthFile", "NoneType"]
    assert MonthFile.objects.count() == 1


# --- compared ------------------------------------------------------------------------------------------------------


@pytest.mark.unbooked
@pytest.mark.owner
def test_a_file_that_would_be_another_one_now_is_found(customers: Customers) -> None:
    ran(customers)
    Organization.objects.filter(pk=customers.globex.organization_id).update(name="Globex Renamed")
    tamper(f"UPDATE credit_ledger SET reason = 'altered' WHERE wallet_id = '{customers.acme.pk}' AND seq = 5")
    done = ran(customers)
    assert done["Acme"].startswith("differs: The ledger CSV is another one than was fixed")
    assert "over the same entries: the customer's name or the paper's form has changed" in done["Globex Renamed"]
    assert AuditEvent.objects.filter(action=ENDED, outcome="differs").count() == 1
    text = words_of(staff().get(f"/admin/ledger/periods/{MONTH}"))
    assert "0 made, 0 the same as fixed, 2 differ, 0 failed" in text
    assert "✕ Acme: The ledger CSV is another one" in text


@pytest.mark.unbooked
@pytest.mark.owner
def test_a_statement_that_does_not_add_up_is_not_fixed(customers: Customers) -> None:
    tamper(f"UPDATE credit_ledger SET settled_after = 7 WHERE wallet_id = '{customers.acme.pk}' AND seq = 8")
    assert ran(customers)["Acme"].startswith("failed: The statement does not add up")
    assert MonthFile.objects.get().wallet == customers.globex


# --- asked for -----------------------------------------------------------------------------------------------------


def test_finance_asks_on_the_page_and_a_worker_runs_it(customers: Customers) -> None:
    client, page = staff(), f"/admin/ledger/periods/{MONTH}"
    assert "No files yet" in words_of(client.get(FILES))
    assert "0 of 2 customers" in words_of(client.get(page))
    assert "The run of 2026-10 is asked for" in words_of(client.post(f"{page}/run", follow=True))
    shown = client.get(page)
    assert "◐ running" in words_of(shown)
    assert "hx-get" in shown.content.decode()
    assert "Make the files" not in words_of(shown)
    answer = words_of(client.post(f"{page}/run", follow=True))
    assert "A run of 2026-10 is under way since 2026-11-02 09:00 UTC. Nothing was begun." in answer
    with slot(month_run.TASK):
        run_month()
    assert not MonthFile.objects.exists(), "somebody was at it"
    run_month()
    assert MonthFile.objects.count() == 2
    run_month()
    assert AuditEvent.objects.filter(action=ENDED).count() == 1, "nobody asked again"
    text = words_of(client.get(page))
    assert "✓ made 2 of 2 customers · 1 of 1 usage invoice" in text
    assert "2 made, 0 the same as fixed, 0 differ, 0 failed" in text
    files = client.get(FILES)
    assert "hx-get" not in files.content.decode()
    for file in MonthFile.objects.all():
        assert file.statement_sha256 in files.content.decode()


def test_what_a_worker_did_not_survive_is_taken_up_by_the_next(customers: Customers) -> None:
    month_run.ask(month=MONTH, by=customers.ada, now=timezone.now())
    run = month_run.run(month=MONTH, by=customers.ada)
    next(run)
    # Its process is gone: nothing was written about its end.
    with pytest.raises(UnderWay):
        month_run.ask(month=MONTH, by=customers.ada, now=timezone.now())
    run_month()
    assert MonthFile.objects.count() == 2
    assert month_run.asked(now=timezone.now()) is None


def test_an_open_month_is_not_run(customers: Customers) -> None:
    with pytest.raises(NotYetClosed, match="2026-11 is not closed"):
        month_run.begin(month="2026-11", by=customers.ada)
    answer = words_of(staff().post("/admin/ledger/periods/2026-11/run", follow=True))
    assert "2026-11 is not closed: close it first, then make its files. Nothing was begun." in answer
    assert "November 2026 is not closed" in words_of(staff().get("/admin/ledger/periods/2026-11/files"))
    assert not AuditEvent.objects.filter(action=ASKED).exists()


# --- on the command line -------------------------------------------------------------------------------------------


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("month_end", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.owner
def test_the_command_says_what_was_made_and_ends_with_1_when_something_differs(customers: Customers) -> None:
    BillingDetails.objects.update(usage_invoices=False)
    *lines, last = command(MONTH, "--by", "ada").splitlines()
    assert sorted(lines) == ["✓ Acme: statement and CSV of 4 entries", "✓ Globex: statement and CSV of 1 entry"]
    assert last == "2 made, 0 same, 0 differs, 0 failed"
    again = json.loads(command(MONTH, "--by", "ada", "--json"))
    assert (again["ok"], again["same"], again["made"]) == (True, 2, 0)
    assert [each["statement_sha256"] for each in again["customers"]] == list(
        MonthFile.objects.order_by("pk").values_list("statement_sha256", flat=True)
    )
    Organization.objects.filter(pk=customers.globex.organization_id).update(name="Globex Renamed")
    with pytest.raises(CommandError, match="1 of 2 customers: something differs or failed") as refused:
        command(MONTH, "--by", "ada")
    assert refused.value.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["2026-11", "--by", "ada"], "2026-11 is not closed"),
        ([MONTH, "--by", "bo"], "'bo' is no member of our finance"),
    ],
)
def test_the_command_says_why_it_does_not_run(customers: Customers, arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        command(*arguments)
    with slot(month_run.TASK), pytest.raises(CommandError, match="A run is under way"):
        command(MONTH, "--by", "ada")
    assert not MonthFile.objects.exists()
    assert set(Period.objects.values_list("month", flat=True)) == {"2026-09", MONTH}
