"""Closing months: nothing enters a closed one any more, whatever the clocks say and whoever comes at that moment."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from customers.models import AuditEvent, Mode, Organization, User
from customers.services import create_staff
from ledger import periods
from ledger.exports.formats import CSV
from ledger.exports.selection import Selection
from ledger.intervals import NotAnInterval, month_before, month_of
from ledger.models import Entry, Period, PeriodBalance, Wallet
from ledger.periods import AlreadyClosed, NotInOrder, NotOver, close_period, closed_months, due, effect
from ledger.reconciliation import INVARIANTS, discrepancies
from ledger.services import Movement, open_wallets, refund, reserve, settle
from tests.connections import at_once
from tests.factories import fund, make_account
from tests.ledger.clock import turn_to
from tests.ledger.month_scenes import check_books
from tests.people import member, staff, superuser, words_of

NOW = datetime(2026, 12, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def wallet(db: None) -> Wallet:
    """An empty wallet of Acme. One in test mode, to which credits come without two people."""
    return open_wallets(organization=Organization.objects.create(name="Acme"))[Mode.TEST]


@pytest.fixture
def closer(db: None) -> User:
    """Somebody of our finance."""
    user = User.objects.create_user(username="ada", is_staff=True)
    user.groups.create(name="finance")
    return user


@pytest.fixture
def books(wallet: Wallet) -> Wallet:
    """A wallet with entries in October and November 2026, seen on 2 December; a batch is open over both ends."""
    turn_to("2026-10-05T12:00Z")
    fund(wallet, 1000, reference="play money")
    reserve(movement=about(wallet, "bat_1"), amount=100)
    settle(movement=about(wallet, "bat_1"), amount=60)
    refund(movement=about(wallet, "bat_1"), amount=40)
    reserve(movement=about(wallet, "bat_2"), amount=30)
    turn_to("2026-11-10T12:00Z")
    reserve(movement=about(wallet, "bat_3"), amount=5)
    turn_to(NOW.isoformat())
    return wallet


def about(wallet: Wallet, reference: str) -> Movement:
    return Movement(wallet_id=wallet.pk, reference=reference, request_id=f"order {reference}", actor="system")


def exported(wallet: Wallet, month: str) -> bytes:
    interval = month_of(month)
    asked = Selection(wallet=wallet, created_after=interval.starts_at, created_before=interval.ends_at)
    return b"".join(CSV.blocks(asked.fixed()))


def tamper(*statements: str) -> None:
    """Run statements as the tables' owner; what is checked at commit is checked before."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        for statement in statements:
            cursor.execute(statement)


# --- closing a month -----------------------------------------------------------------------------------------------


def test_a_month_is_closed_with_the_balances_at_its_end(books: Wallet, closer: User) -> None:
    period = close_period(month="2026-10", closed_by=closer, now=NOW)
    assert (period.closed_at, period.closed_by) == (NOW, closer)
    balance = PeriodBalance.objects.get(period=period, wallet=books)
    last = Entry.objects.get(wallet=books, seq=5)
    assert (balance.available, balance.reserved, balance.settled) == (910, 30, 60)
    assert (balance.last_seq, balance.head_hash) == (5, last.hash)
    books.refresh_from_db()
    assert books.closed_until == datetime(2026, 11, 1, tzinfo=UTC)
    assert PeriodBalance.objects.filter(period=period).count() == Wallet.objects.count()


def test_who_closed_what_is_in_the_audit_log(books: Wallet, closer: User) -> None:
    close_period(month="2026-10", closed_by=closer, now=NOW)
    event = AuditEvent.objects.get(action="period.close")
    assert (event.actor, event.subject, event.outcome) == (closer.pk, "2026-10", "done")
    assert event.detail["test"] == {"wallets": 1, "available": 910, "reserved": 30, "settled": 60}
    assert event.detail["live"] == {"wallets": 0, "available": 0, "reserved": 0, "settled": 0}


def test_a_running_month_is_not_closed(books: Wallet, closer: User) -> None:
    turn_to("2026-10-31T23:59:59.999999Z")
    with pytest.raises(NotOver, match="October 2026 is not over: it can be closed from 2026-11-01 00:00 UTC on"):
        close_period(month="2026-10", closed_by=closer, now=NOW)
    assert not Period.objects.exists()
    turn_to("2026-11-01T00:00Z")
    close_period(month="2026-10", closed_by=closer, now=NOW)


def test_the_database_does_not_trust_our_clock(books: Wallet, closer: User) -> None:
    with pytest.raises(NotOver):
        close_period(month="2026-12", closed_by=closer, now=datetime(2027, 1, 2, tzinfo=UTC))


def test_months_close_in_order(books: Wallet, closer: User) -> None:
    close_period(month="2026-09", closed_by=closer, now=NOW)
    with pytest.raises(NotInOrder, match="October 2026 comes before November 2026"):
        close_period(month="2026-11", closed_by=closer, now=NOW)
    close_period(month="2026-10", closed_by=closer, now=NOW)
    close_period(month="2026-11", closed_by=closer, now=NOW)
    assert [closed.period.month for closed in closed_months(mode="test")] == ["2026-11", "2026-10", "2026-09"]


def test_a_month_is_closed_once(books: Wallet, closer: User) -> None:
    close_period(month="2026-10", closed_by=closer, now=NOW)
    for month in ("2026-10", "2026-09"):
        with pytest.raises(AlreadyClosed, match="is closed already"):
            close_period(month=month, closed_by=closer, now=NOW)
    assert Period.objects.count() == 1


def test_a_refused_close_changes_nothing_and_is_in_the_audit_log(books: Wallet, closer: User) -> None:
    close_period(month="2026-10", closed_by=closer, now=NOW)
    before = list(Wallet.objects.order_by("pk").values())
    for month, refusal in (("2026-10", AlreadyClosed), ("2026-12", NotOver), ("2027-05", NotOver)):
        with pytest.raises(refusal):
            close_period(month=month, closed_by=closer, now=NOW)
    assert list(Wallet.objects.order_by("pk").values()) == before
    told = AuditEvent.objects.filter(action="period.close").exclude(outcome="done").order_by("pk")
    assert list(told.values_list("subject", "outcome", "actor")) == [
        ("2026-10", "already_closed", closer.pk),
        ("2026-12", "not_over", closer.pk),
        ("2027-05", "not_over", closer.pk),
    ]


def test_what_is_no_month_is_not_closed(books: Wallet, closer: User) -> None:
    with pytest.raises(NotAnInterval):
        close_period(month="2026-13", closed_by=closer, now=NOW)


def test_the_month_that_is_due_follows_the_last_closed_one(wallet: Wallet, closer: User) -> None:
    assert due(now=NOW).month == "2026-12"
    turn_to("2026-10-05T12:00Z")
    fund(wallet, 10)
    turn_to(NOW.isoformat())
    assert due(now=NOW).month == "2026-10"
    close_period(month="2026-10", closed_by=closer, now=NOW)
    assert due(now=NOW).month == "2026-11"
    close_period(month="2026-11", closed_by=closer, now=NOW)
    assert due(now=NOW).month == "2026-12"


def test_the_effect_of_closing_is_what_closing_then_fixes(books: Wallet, closer: User) -> None:
    before = effect(month=month_of("2026-10"))
    live, test = before.totals
    assert (live.mode, live.wallets, live.entries) == ("live", 0, 0)
    assert (test.mode, test.wallets, test.entries) == ("test", 1, 5)
    assert [(held.wallet, held.reserve.reference, held.reserve.credits) for held in before.reserves] == [
        (books, "bat_2", 30)
    ]
    close_period(month="2026-10", closed_by=closer, now=NOW)
    (closed,) = closed_months(mode="test")
    assert (closed.wallets, closed.closing) == (test.wallets, test.closing)
    assert effect(month=month_of("2026-10")) == before
    assert [held.reserve.reference for held in effect(month=month_of("2026-11")).reserves] == ["bat_2", "bat_3"]


def test_the_effect_takes_as_many_queries_whatever_there_is(
    books: Wallet, closer: User, django_assert_num_queries: Any
) -> None:
    for _ in range(2):
        with django_assert_num_queries(3):
            assert effect(month=month_of("2026-11")).reserves
        turn_to("2026-11-12T00:00Z")
        for number in range(5):
            more = open_wallets(organization=Organization.objects.create(name=f"More {number}"))[Mode.TEST]
            fund(more, 100)
            reserve(movement=about(more, f"{more.pk} bat"), amount=1)
    assert len(effect(month=month_of("2026-11")).reserves) == 12


# --- after the close -----------------------------------------------------------------------------------------------


def test_an_entry_is_dated_after_the_closed_month_though_the_clock_steps_back(books: Wallet, closer: User) -> None:
    quiet = open_wallets(organization=Organization.objects.create(name="Quiet"))[Mode.TEST]
    close_period(month="2026-10", closed_by=closer, now=NOW)
    turn_to("2026-10-15T12:00Z")
    for number in (1, 2):
        assert fund(quiet, 10, reference=f"late {number}").created_at == datetime(
            2026, 11, 1, 0, 0, 0, number - 1, tzinfo=UTC
        )
    assert PeriodBalance.objects.get(wallet=quiet).last_seq == 0
    assert discrepancies(INVARIANTS) == []


def test_a_wallet_that_is_opened_after_the_close_begins_after_it(books: Wallet, closer: User) -> None:
    close_period(month="2026-10", closed_by=closer, now=NOW)
    turn_to("2026-10-15T12:00Z")
    new = open_wallets(organization=Organization.objects.create(name="New"))[Mode.TEST]
    assert fund(new, 10).created_at == datetime(2026, 11, 1, tzinfo=UTC)


def test_the_export_of_a_closed_month_never_changes(wallet: Wallet, closer: User) -> None:
    turn_to("2026-10-05T12:00Z")
    fund(wallet, 100)
    open_month = exported(wallet, "2026-10")
    turn_to("2026-10-06T12:00Z")
    reserve(movement=about(wallet, "bat_1"), amount=10)
    assert exported(wallet, "2026-10") != open_month
    turn_to(NOW.isoformat())
    close_period(month="2026-10", closed_by=closer, now=NOW)
    closed_month = exported(wallet, "2026-10")
    assert closed_month.count(b"\r\n") == 3
    turn_to("2026-10-15T12:00Z")
    settle(movement=about(wallet, "bat_1"), amount=10)
    fund(wallet, 5)
    turn_to("2026-12-20T12:00Z")
    reserve(movement=about(wallet, "bat_2"), amount=1)
    close_period(month="2026-11", closed_by=closer, now=NOW)
    assert exported(wallet, "2026-10") == closed_month
    assert exported(wallet, "2026-11").count(b"\r\n") == 3


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO ledger_periodbalance (period_id, wallet_id, available, reserved, settled, last_seq, head_hash)"
        " SELECT '2026-10', id, 9, 9, 9, 9, '' FROM ledger_wallet",
        "UPDATE ledger_periodbalance SET available = 9",
        "DELETE FROM ledger_periodbalance",
        "TRUNCATE ledger_periodbalance",
        "UPDATE ledger_period SET ends_at = ends_at - interval '1 day'",
        "DELETE FROM ledger_period",
        "TRUNCATE ledger_period CASCADE",
        "UPDATE ledger_wallet SET closed_until = NULL",
    ],
)
@pytest.mark.parametrize("as_replica", [False, True])
@pytest.mark.owner
def test_what_was_closed_is_not_changed_by_hand(books: Wallet, closer: User, statement: str, as_replica: bool) -> None:
    close_period(month="2026-10", closed_by=closer, now=NOW)
    before = list(PeriodBalance.objects.order_by("pk").values())
    tamper()
    role = f"SET LOCAL session_replication_role = {'replica' if as_replica else 'origin'}"
    with pytest.raises(DatabaseError, match=r"append-only|by an entry"), transaction.atomic():
        connection.cursor().execute(f"{role}; {statement}")
    assert list(PeriodBalance.objects.order_by("pk").values()) == before
    assert Wallet.objects.get(pk=books.pk).closed_until == datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.unbooked
def test_an_entry_that_was_slipped_into_a_closed_month_is_found(books: Wallet, closer: User) -> None:
    quiet = open_wallets(organization=Organization.objects.create(name="Quiet"))[Mode.TEST]
    close_period(month="2026-10", closed_by=closer, now=NOW)
    assert discrepancies(INVARIANTS) == []
    tamper(
        "ALTER TABLE ledger_wallet DISABLE TRIGGER ledger_wallet_no_direct_change",
        f"UPDATE ledger_wallet SET closed_until = NULL WHERE id = '{quiet.pk}'",
    )
    turn_to("2026-10-15T12:00Z")
    late = fund(quiet, 10, reference="late")
    (found,) = discrepancies(INVARIANTS)
    assert (found.invariant, found.subject) == ("invariant_closed_periods", late.pk)
    assert "2026-10" in found.detail


@pytest.mark.unbooked
def test_a_balance_that_was_altered_is_found(books: Wallet, closer: User) -> None:
    close_period(month="2026-10", closed_by=closer, now=NOW)
    tamper(
        "ALTER TABLE ledger_periodbalance DISABLE TRIGGER ledger_periodbalance_no_change",
        f"UPDATE ledger_periodbalance SET available = 911 WHERE wallet_id = '{books.pk}'",
    )
    (found,) = discrepancies(INVARIANTS)
    assert (found.invariant, found.subject) == ("invariant_closed_periods", books.pk)


# --- at the same moment --------------------------------------------------------------------------------------------


def close_until_now(month: str = "a moment ago") -> Period:
    """Close an interval that ends at this moment: PostgreSQL's clock dates what is posted here."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (ends_at,) = cursor.fetchone()
    return Period.objects.create(month=month[:7], starts_at=ends_at - timedelta(days=1), ends_at=ends_at)


def wait_for_a_lock() -> None:
    """Wait until some connection waits for a lock."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits for a lock")


@pytest.mark.django_db(transaction=True)
def test_a_close_waits_for_the_posting_that_is_under_way_and_takes_it_in(transactional_db: None) -> None:
    wallet = open_wallets(organization=Organization.objects.create(name="Acme"))[Mode.TEST]
    posted, waited = threading.Event(), threading.Event()

    def posts() -> Entry:
        with transaction.atomic():
            entry = fund(wallet, 100)
            posted.set()
            assert waited.wait(20)
            return entry

    def closes() -> Period:
        assert posted.wait(20)
        return close_until_now()

    def watches() -> None:
        assert posted.wait(20)
        wait_for_a_lock()
        assert not Period.objects.exists()
        waited.set()

    entry, period, watched = at_once(posts, closes, watches)
    assert isinstance(entry, Entry)
    assert isinstance(period, Period)
    assert watched is None
    balance = PeriodBalance.objects.get(wallet=wallet)
    assert (balance.last_seq, balance.available, balance.head_hash) == (1, 100, entry.hash)
    assert entry.created_at < period.ends_at
    assert fund(wallet, 1).created_at >= period.ends_at


@pytest.mark.django_db(transaction=True)
def test_a_posting_waits_for_the_close_that_is_under_way_and_comes_after_it(transactional_db: None) -> None:
    wallet = open_wallets(organization=Organization.objects.create(name="Acme"))[Mode.TEST]
    fund(wallet, 100)
    closed, waited = threading.Event(), threading.Event()

    def closes() -> Period:
        with transaction.atomic():
            period = close_until_now()
            closed.set()
            assert waited.wait(20)
            return period

    def posts() -> Entry:
        assert closed.wait(20)
        return fund(wallet, 1)

    def opens() -> Wallet:
        assert closed.wait(20)
        return open_wallets(organization=Organization.objects.create(name="New"))[Mode.TEST]

    def watches() -> None:
        assert closed.wait(20)
        wait_for_a_lock()
        assert Entry.objects.count() == 1
        waited.set()

    period, entry, new, watched = at_once(closes, posts, opens, watches)
    assert isinstance(period, Period)
    assert isinstance(entry, Entry)
    assert isinstance(new, Wallet)
    assert watched is None
    assert entry.created_at >= period.ends_at
    assert PeriodBalance.objects.get(wallet=wallet).last_seq == 1
    assert Wallet.objects.get(pk=new.pk).closed_until == period.ends_at


@pytest.mark.django_db(transaction=True)
def test_of_several_who_close_a_month_at_once_one_does(transactional_db: None) -> None:
    users = [User.objects.create_user(username=f"closer {number}", is_staff=True) for number in range(4)]
    open_wallets(organization=Organization.objects.create(name="Acme"))
    last = month_before(due(now=timezone.now()))
    assert last is not None

    def closes(user: User) -> Callable[[], Period]:
        return lambda: close_period(month=last.month, closed_by=user, now=timezone.now())

    results = at_once(*(closes(user) for user in users))
    assert sorted(type(result).__name__ for result in results) == [*["AlreadyClosed"] * 3, "Period"]
    assert Period.objects.get().closed_by in users
    assert PeriodBalance.objects.count() == Wallet.objects.count()


@pytest.mark.django_db(transaction=True)
def test_closing_while_many_post_leaves_right_books(transactional_db: None) -> None:
    organizations = [Organization.objects.create(name=f"Customer {number}") for number in range(3)]
    wallets = [open_wallets(organization=organization)[Mode.TEST] for organization in organizations]
    for wallet in wallets:
        fund(wallet, 1000)

    def posts(number: int) -> Callable[[], None]:
        def run() -> None:
            for turn in range(25):
                wallet = wallets[(number + turn) % 3]
                movement = about(wallet, f"bat {number} {turn}")
                reserve(movement=movement, amount=2)
                settle(movement=movement, amount=1)
                refund(movement=movement, amount=1)

        return run

    assert at_once(*(posts(number) for number in range(3)), close_until_now)[:3] == [None] * 3
    assert discrepancies(INVARIANTS) == []
    assert PeriodBalance.objects.count() == 6


# --- on the command line -------------------------------------------------------------------------------------------


def run_command(*arguments: str) -> str:
    out = StringIO()
    call_command("close_period", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_closes_a_month_and_says_what_was_fixed(books: Wallet, closer: User) -> None:
    check_books(NOW)
    assert run_command("2026-10", "--by", "ada").splitlines() == [
        "October 2026 is closed: no entry is dated into it any more.",
        "live: 0 wallets, 0 entries; closing funded 0 = available 0 + reserved 0 + settled 0",
        "test: 1 wallets, 5 entries; closing funded 1,000 = available 910 + reserved 30 + settled 60",
        "open at its end: bat_2, 30 credits of Acme (test) since 2026-10-05 12:00 UTC",
    ]
    assert Period.objects.get().closed_by == closer


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["2026-13", "--by", "ada"], "'2026-13' is no month"),
        (["2026-12", "--by", "ada"], "December 2026 is not over: it can be closed from 2027-01-01 00:00 UTC on"),
        (["2026-10", "--by", "nobody"], "'nobody' is no member of our finance"),
        (["2026-10", "--by", "audrey"], "'audrey' is no member of our finance"),
    ],
)
def test_the_command_says_why_it_does_not_close(books: Wallet, closer: User, arguments: list[str], said: str) -> None:
    create_staff(username="audrey", role="auditor", password="x")
    with pytest.raises(CommandError, match=said):
        run_command(*arguments)
    assert not Period.objects.exists()


# --- in the dashboard ----------------------------------------------------------------------------------------------


PERIODS = "/admin/ledger/periods/"


@pytest.fixture
def december(books: Wallet) -> Any:
    """It is 2 December 2026, for us as for the database, and the books have been checked."""
    with time_machine.travel(NOW, tick=False):
        check_books(NOW)
        yield


def test_finance_sees_the_figures_and_closes_the_month(books: Wallet, december: None) -> None:
    client = staff("finance")
    assert "Next: October 2026" in words_of(client.get(PERIODS))
    text = words_of(client.get(f"{PERIODS}2026-10"))
    assert "TEST 1 5 1,000 910 30 60" in text
    assert "order bat_2 Acme TEST 2026-10-05 12:00:00 30" in text
    assert "Close October 2026 for good" in text
    assert not Period.objects.exists()
    answer = client.post(f"{PERIODS}2026-10", follow=True)
    assert "2026-10 is closed: no entry is dated into it any more." in words_of(answer)
    assert "✓ closed" in words_of(answer)
    assert "for good" not in words_of(answer)
    text = words_of(client.get(PERIODS, {"mode": "test"}))
    assert "Next: November 2026" in text
    assert "2026-10 1 1,000 910 30 60 2026-12-02 09:00:00 usr_" in text


def test_a_month_that_cannot_be_closed_yet_says_why(books: Wallet, december: None) -> None:
    client = staff("finance")
    assert "Months close in order, and another one comes before" in words_of(client.get(f"{PERIODS}2026-11"))
    assert "It can be closed from 2027-01-01 00:00 UTC on" in words_of(client.get(f"{PERIODS}2026-12"))
    for month in ("2026-11", "2026-12"):
        assert "for good" not in words_of(client.get(f"{PERIODS}{month}"))
    answer = client.post(f"{PERIODS}2026-12", follow=True)
    assert "December 2026 is not over" in words_of(answer)
    assert "Nothing was changed" in words_of(answer)
    assert not Period.objects.exists()


def test_a_second_click_closes_nothing_more(books: Wallet, december: None) -> None:
    client = staff("finance")
    for _ in range(2):
        answer = client.post(f"{PERIODS}2026-10", follow=True)
    assert "October 2026 is closed already. Nothing was changed." in words_of(answer)
    assert Period.objects.count() == 1


def test_who_may_look_at_months_and_who_may_close_them(books: Wallet, december: None) -> None:
    for role, looks, closes in (
        ("finance", 200, True),
        ("finance approver", 200, True),
        ("auditor", 200, False),
        ("sales ops", 200, False),
        ("support", 403, False),
        ("", 403, False),
    ):
        client = staff(role)
        assert client.get(PERIODS).status_code == looks
        page = client.get(f"{PERIODS}2026-10")
        assert page.status_code == looks
        assert ("for good" in words_of(page)) == closes
        if not closes:
            assert client.post(f"{PERIODS}2026-10").status_code == 403
    assert not Period.objects.exists()
    assert superuser().post(f"{PERIODS}2026-10").status_code == 302
    assert Period.objects.exists()


def test_a_customers_people_find_no_such_page(books: Wallet, december: None) -> None:
    for role in ("customer admin", "customer finance"):
        client = member(books.organization, role)
        for address in (PERIODS, f"{PERIODS}2026-10"):
            assert client.get(address).status_code == 404
        assert client.post(f"{PERIODS}2026-10").status_code == 404
    assert not Period.objects.exists()


def test_what_is_no_month_is_no_page(books: Wallet) -> None:
    for month in ("2026-13", "soon"):
        assert staff().get(f"{PERIODS}{month}").status_code == 404
    assert staff().put(f"{PERIODS}2026-10").status_code == 405


def test_before_any_month_is_closed_the_page_says_how(wallet: Wallet) -> None:
    assert "No month is closed yet" in words_of(staff().get(PERIODS))


def test_the_pages_take_as_many_queries_whatever_there_is(
    books: Wallet, closer: User, december: None, django_assert_max_num_queries: Any
) -> None:
    client = staff()
    close_period(month="2026-10", closed_by=closer, now=NOW)
    for _ in range(2):
        # An open month, and a closed one, of which a run may have been. Lots are looked for where there are some.
        for address, queries in ((PERIODS, 6), (f"{PERIODS}2026-11", 23), (f"{PERIODS}2026-10", 26)):
            with django_assert_max_num_queries(queries):
                assert client.get(address).status_code == 200
        turn_to("2026-11-20T12:00Z")
        more = make_account(0, name="More").wallets[Mode.TEST]
        fund(more, 10)
        reserve(movement=about(more, f"{more.pk} bat"), amount=1)
        turn_to(NOW.isoformat())
        if Period.objects.count() == 1:
            assert periods.close_period(month="2026-11", closed_by=closer, now=NOW)
