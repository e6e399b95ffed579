"""What becomes of a check: the command, the run that is kept, one at a time, and the pages that show it."""

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from pytest_django import Settings

from batches import tasks
from batches.models import Item
from batches.reconciliation import INVARIANTS, reconcile, reconcile_in_turn
from customers.models import Mode
from ledger.models import Entry, ReconciliationRun, Wallet
from ledger.reconciliation import LISTED, UnderWay, books_at_one_moment
from tests.batches.faults import batch_of, busy_wallet, tamper
from tests.connections import at_once
from tests.factories import Account, end_batch, fund, make_account, make_batch
from tests.people import member, staff, words_of

pytestmark = pytest.mark.django_db
unbooked = pytest.mark.unbooked


@pytest.fixture
def wallet(account: Account) -> Wallet:
    """The live wallet of Acme, in the middle of much."""
    return busy_wallet(account)


# --- the command, and the run that is kept -------------------------------------------------------------------------


def test_sound_books_are_explained_and_the_run_says_what_was_checked(wallet: Wallet) -> None:
    out = io.StringIO()
    call_command("reconcile", stdout=out)
    assert (
        out.getvalue()
        == f"✓ Every credit is explained ({len(INVARIANTS)} promises, 4 batches, 17 items, 11 entries).\n"
    )
    run = ReconciliationRun.objects.get()
    assert (run.explained, run.counts, run.discrepancies) == (True, {}, [])
    assert (run.batches, run.items, run.entries) == (4, 17, 11)
    assert run.figures == {"funded": 1050, "available": 910, "reserved": 20, "settled": 120}


@unbooked
def test_the_command_names_the_rows_and_ends_with_status_1(wallet: Wallet) -> None:
    tamper("UPDATE ledger_wallet SET available = available + 1 WHERE id = %s", wallet.pk)
    out = io.StringIO()
    with pytest.raises(CommandError, match=r"^2 rows break a promise\.$") as refused:
        call_command("reconcile", stdout=out)
    assert refused.value.returncode == 1
    assert out.getvalue().startswith(f"✕ Not every credit is explained ({len(INVARIANTS)} promises, 4 batches")
    assert f"  {wallet.pk}  The wallet shows 911 available" in out.getvalue()
    assert "      A wallet's figures are the sum of its entries." in out.getvalue()


@unbooked
def test_of_many_rows_all_are_counted_and_some_are_listed(account: Account) -> None:
    count = LISTED + 3
    make_account(name="Globex")
    batch = end_batch(make_batch(make_account(2000, max_items_per_batch=200).api, count))
    tamper("DELETE FROM batches_output WHERE item_id IN (SELECT id FROM batches_item WHERE batch_id = %s)", batch.pk)
    out = io.StringIO()
    with pytest.raises(CommandError, match=f"^{count} rows break a promise"):
        call_command("reconcile", "--json", stdout=out)
    said = json.loads(out.getvalue())
    assert said["ok"] is False
    assert said["counts"] == {"invariant_charged_item_has_output": count}
    expected = list(Item.objects.order_by("pk").values_list("pk", flat=True)[:LISTED])
    assert [row["subject"] for row in said["discrepancies"]] == expected
    with pytest.raises(CommandError):
        call_command("reconcile", stdout=out)
    assert "… and 3 rows more" in out.getvalue()


def test_one_batchs_credits_are_read_from_its_own_entries_at_each_commit(account: Account) -> None:
    """The view groups all entries; asked for one batch, it must look for that one's first."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("PREPARE one (text) AS SELECT detail FROM invariant_batch_credits WHERE subject = $1")
        cursor.execute("EXPLAIN EXECUTE one ('bat_1')")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("DEALLOCATE one")
    assert "((reference)::text = $1)" in plan


# --- one at a time, as of one moment -------------------------------------------------------------------------------


@contextmanager
def another_check() -> Iterator[int]:
    """Have a check under way on another connection, and yield the number of its server process."""
    started, over = threading.Event(), threading.Event()
    process: list[int] = []

    def run() -> None:
        try:
            with suppress(DatabaseError), books_at_one_moment(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                process.append(cursor.fetchone()[0])
                started.set()
                over.wait(20)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    try:
        yield process[0]
    finally:
        over.set()
        thread.join()


@pytest.mark.django_db(transaction=True)
def test_two_checks_are_never_under_way_at_once() -> None:
    with another_check():
        with pytest.raises(UnderWay):
            reconcile(now=timezone.now())
        tasks.reconcile()
        assert not ReconciliationRun.objects.exists()
    tasks.reconcile()
    assert ReconciliationRun.objects.get().explained


def in_turn() -> None:
    """Check on a connection of this thread's own."""
    reconcile_in_turn()
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_who_needs_an_answer_waits_for_the_turn() -> None:
    with another_check():
        waiting = threading.Thread(target=in_turn)
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        assert not ReconciliationRun.objects.exists()
    waiting.join(10)
    assert ReconciliationRun.objects.get().explained


@pytest.mark.owner
@pytest.mark.django_db(transaction=True)
def test_a_check_that_was_killed_keeps_no_other_from_running() -> None:
    with another_check() as process, connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [process])
        assert reconcile(now=timezone.now()).explained


@pytest.mark.django_db(transaction=True)
def test_a_check_sees_everything_as_of_one_moment_and_can_change_nothing() -> None:
    account = make_account()
    with books_at_one_moment():
        before = Entry.objects.count()
        assert all(isinstance(made, Entry) for made in at_once(lambda: fund(account.wallets[Mode.TEST], 5)))
        assert Entry.objects.count() == before
        with pytest.raises(DatabaseError, match="read-only"), transaction.atomic():
            ReconciliationRun.objects.create(
                started_at=timezone.now(), finished_at=timezone.now(), batches=0, entries=0
            )
    assert Entry.objects.count() == before + 1


# --- the pages -----------------------------------------------------------------------------------------------------


def earlier_run(ago: timedelta, **fields: Any) -> ReconciliationRun:
    """Keep a run that ended so long ago."""
    at = timezone.now() - ago
    return ReconciliationRun.objects.create(started_at=at, finished_at=at, batches=1, entries=3, **fields)


def test_a_check_that_is_overdue_is_not_called_explained(account: Account, settings: Settings) -> None:
    settings.RECONCILE_SECONDS = 300.0
    earlier_run(timedelta(minutes=16))
    for client in (staff(), member(account.organization)):
        home = words_of(client.get("/admin/"))
        assert "◑ The check is overdue" in home
        assert "A check is due every 5 min, and none has ended for longer than that" in home
        assert "✓ Every credit is explained" not in home
    earlier_run(timedelta(minutes=14))
    assert "✓ Every credit is explained" in words_of(staff().get("/admin/"))


def test_an_overdue_check_still_says_what_it_found() -> None:
    row = {"invariant": "invariant_x", "promise": "A promise.", "subject": "wal_x", "detail": "Wrong."}
    earlier_run(timedelta(days=1), counts={"invariant_x": 1}, discrepancies=[row])
    home = words_of(staff().get("/admin/"))
    assert "✕ 1 discrepancy: credits are unexplained" in home
    assert "◑ A check is due every" in home


@unbooked
def test_home_says_how_many_rows_there_are_besides_those_that_it_lists(account: Account) -> None:
    batch = end_batch(make_batch(make_account(2000, max_items_per_batch=200).api, LISTED + 5))
    tamper("DELETE FROM batches_output WHERE item_id IN (SELECT id FROM batches_item WHERE batch_id = %s)", batch.pk)
    run = reconcile(now=timezone.now())
    response = staff().get("/admin/")
    assert "✕ 105 discrepancies: credits are unexplained" in words_of(response)
    assert "100 of 105 are listed" in words_of(response)
    assert f'href="/admin/reconciliations/{run.pk}"' in response.content.decode()
    stranger = words_of(member(account.organization).get("/admin/"))
    assert "◑ Being looked into" in stranger
    assert "✓ Every credit is explained" not in stranger


@pytest.mark.django_db(transaction=True)
def test_checking_now_while_a_check_is_under_way_says_so_and_waits_for_nothing() -> None:
    client = staff()
    with another_check():
        response = client.post("/admin/check", follow=True)
    assert "A check is under way. What it finds will be here when it ends." in words_of(response)
    assert not ReconciliationRun.objects.exists()


@unbooked
def test_the_checks_are_listed_newest_first_and_those_that_found_something_alone(wallet: Wallet) -> None:
    reconcile(now=timezone.now())
    tamper("UPDATE ledger_wallet SET available = available + 1 WHERE id = %s", wallet.pk)
    bad = reconcile(now=timezone.now())
    client = staff("auditor")
    listed = words_of(client.get("/admin/reconciliations/"))
    assert listed.index("✕ unexplained 2") < listed.index("✓ explained 0")
    assert "4 17 11 1,050" in listed
    alone = client.get("/admin/reconciliations/", {"unexplained": "1"})
    assert [line.run.pk for line in alone.context["lines"]] == [bad.pk]


def test_the_list_of_checks_takes_as_many_queries_however_many_there_are(
    account: Account, django_assert_max_num_queries: Any
) -> None:
    client = staff()
    client.get("/admin/reconciliations/")
    for _ in range(10):
        reconcile(now=timezone.now())
    with django_assert_max_num_queries(8):
        assert words_of(client.get("/admin/reconciliations/")).count("✓ explained") == 10


@unbooked
def test_one_check_is_shown_in_full_with_a_link_from_each_row(wallet: Wallet) -> None:
    item = batch_of("completed").items.get(index=1)
    tamper("DELETE FROM batches_output WHERE item_id = %s", item.pk)
    tamper("UPDATE ledger_wallet SET available = available + 1 WHERE id = %s", wallet.pk)
    run = reconcile(now=timezone.now())
    response = staff().get(f"/admin/reconciliations/{run.pk}")
    page, html = words_of(response), response.content.decode()
    assert "✕ 3 discrepancies" in page
    assert "4 batches · 17 items · 11 entries" in page
    assert "Funded 1,051 = Available 911 + Reserved 20 + Settled 120 ✓" in page
    assert f"Item 1 of {item.batch_id} counts as succeeded for 10 credits" in page
    assert "A charged item has its video in our storage. invariant_charged_item_has_output ✕ 1" in page
    assert "Every batch has items. invariant_batch_has_items ✓ 0" in page
    assert f'href="/admin/batches/{item.batch_id}/items/{item.pk}"' in html
    assert f'href="/admin/ledger/{wallet.organization_id}?mode=live"' in html


def test_the_checks_are_shown_to_staff_who_may_see_credits_only(account: Account) -> None:
    run = reconcile(now=timezone.now())
    for page in ("/admin/reconciliations/", f"/admin/reconciliations/{run.pk}"):
        assert staff().get(page).status_code == 200
        assert staff("support").get(page).status_code == 403
        assert member(account.organization).get(page).status_code == 404
    assert staff().get(f"/admin/reconciliations/{run.pk + 1}").status_code == 404
    assert "All checks" not in words_of(member(account.organization).get("/admin/"))


def test_a_check_of_before_there_were_figures_is_shown_too() -> None:
    row = {"invariant": "invariant_x", "promise": "A promise.", "subject": "wal_x", "detail": "Wrong."}
    run = earlier_run(timedelta(days=1), discrepancies=[row])
    assert "✕ unexplained 1" in words_of(staff().get("/admin/reconciliations/"))
    assert "A promise. Wrong." in words_of(staff().get(f"/admin/reconciliations/{run.pk}"))


def test_before_the_first_check_the_list_says_how_one_is_made() -> None:
    assert "No check yet" in words_of(staff().get("/admin/reconciliations/"))
    assert "No check has found a discrepancy" in words_of(staff().get("/admin/reconciliations/", {"unexplained": "1"}))
