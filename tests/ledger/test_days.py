"""Credits per day are the sums of the entries at every moment, whether they were rolled up never, twice, or late."""

import re
from datetime import UTC, date, datetime

import pytest
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from customers.access import Access, Permission
from customers.models import Mode
from ledger.days import ROLL_UP, Day, Share, days_until, extent_before, roll_up, shares_of
from ledger.models import Entry, WalletDay
from ledger.reconciliation import INVARIANTS, discrepancies
from ledger.services import Movement, refund, reserve, settle
from tests.as_role import as_owner
from tests.connections import at_once
from tests.factories import Account, fund, make_account
from tests.ledger.clock import turn_to

pytestmark = pytest.mark.django_db
STAFF = Access.of_staff(actor="usr", roles=["finance"], superuser=False)
OCTOBER_31, NOVEMBER_1, NOVEMBER_2 = date(2100, 10, 31), date(2100, 11, 1), date(2100, 11, 2)


def moved(account: Account, reference: str, amount: int, *, back: int = 0, mode: Mode = Mode.LIVE) -> None:
    """Hold credits for a reference, charge what is not given back, and give back the rest."""
    movement = Movement(wallet_id=account.wallets[mode].pk, reference=reference, actor="system")
    reserve(movement=movement, amount=amount)
    if amount > back:
        settle(movement=movement, amount=amount - back)
    if back:
        refund(movement=movement, amount=back)


def own(account: Account) -> Access:
    permissions = frozenset({Permission.LEDGER_READ})
    return Access("usr", frozenset({account.organization.pk}), None, permissions)


def days(access: Access = STAFF, *, mode: Mode = Mode.LIVE, last: date = NOVEMBER_2, count: int = 3) -> list[Day]:
    return days_until(access, mode=mode, last=last, count=count)


def over_two_midnights(account: Account) -> None:
    """Move 100, 20 of them back, in the last microsecond of October; 30 in the first of November; 7 the day after."""
    turn_to("2100-10-31 23:59:59.999990 UTC")
    moved(account, "bat_1", 100, back=20)
    turn_to("2100-11-01 00:00:00 UTC")
    moved(account, "bat_2", 30)
    turn_to("2100-11-02 12:00:00 UTC")
    moved(account, "bat_3", 7, back=7)


EXPECTED = [Day(OCTOBER_31, 100, 80, 20), Day(NOVEMBER_1, 30, 30, 0), Day(NOVEMBER_2, 7, 0, 7)]


def test_a_day_lasts_from_midnight_to_midnight_in_utc_and_is_right_before_any_roll_up(account: Account) -> None:
    over_two_midnights(account)
    assert days() == EXPECTED
    assert WalletDay.objects.count() == 0


def test_rolling_up_changes_no_figure_and_twice_adds_nothing(account: Account) -> None:
    over_two_midnights(account)
    assert roll_up() > 0
    assert days() == EXPECTED
    assert roll_up() == 0
    assert days() == EXPECTED


def test_a_day_that_was_rolled_up_half_grows_and_the_rest_is_read_meanwhile(account: Account) -> None:
    turn_to("2100-10-31 10:00:00 UTC")
    moved(account, "bat_1", 100, back=20)
    roll_up()
    turn_to("2100-10-31 23:59:59.999990 UTC")
    moved(account, "bat_2", 5)
    turn_to("2100-11-01 00:00:00 UTC")
    moved(account, "bat_3", 6)
    expected = [Day(OCTOBER_31, 105, 85, 20), Day(NOVEMBER_1, 6, 6, 0), Day(NOVEMBER_2)]
    assert days() == expected
    roll_up()
    assert days() == expected
    assert discrepancies(INVARIANTS) == []


def test_a_clock_that_was_set_back_over_midnight_makes_no_day_wrong(account: Account) -> None:
    other = make_account(name="Globex")
    turn_to("2100-11-01 00:00:10 UTC")
    moved(account, "bat_1", 10)
    roll_up()
    turn_to("2100-10-31 23:59:50 UTC")
    moved(account, "bat_2", 20)
    moved(other, "bat_3", 40)
    expected = [Day(OCTOBER_31, 40, 40, 0), Day(NOVEMBER_1, 30, 30, 0), Day(NOVEMBER_2)]
    assert days() == expected
    roll_up()
    assert days() == expected


def test_all_days_together_are_all_entries(account: Account) -> None:
    turn_to("2100-10-30 08:00:00 UTC")
    for number in range(30):
        turn_to(f"2100-10-{30 + number // 20} {number % 20 + 4}:00:00 UTC")
        moved(account, f"bat_{number}", 10 + number, back=number % 11)
        if number % 7 == 3:
            roll_up()
        found = days(last=NOVEMBER_2, count=10)
        for kind, figure in (
            (Entry.Kind.RESERVE, "reserved"),
            (Entry.Kind.SETTLE, "settled"),
            (Entry.Kind.REFUND, "refunded"),
        ):
            due = Entry.objects.filter(wallet__mode=Mode.LIVE, kind=kind).aggregate(sum=Sum("amount", default=0))["sum"]
            assert sum(getattr(day, figure) for day in found) == due


def test_modes_are_never_added_and_a_customer_sees_their_own_only(account: Account) -> None:
    other = make_account(name="Globex")
    turn_to("2100-11-02 12:00:00 UTC")
    moved(account, "bat_1", 100, back=20)
    moved(account, "bat_2", 900, mode=Mode.TEST)
    moved(other, "bat_3", 30)
    for _ in range(2):
        assert days()[-1] == Day(NOVEMBER_2, 130, 110, 20)
        assert days(mode=Mode.TEST)[-1] == Day(NOVEMBER_2, 900, 900, 0)
        assert days(own(account))[-1] == Day(NOVEMBER_2, 100, 80, 20)
        assert shares_of(STAFF, mode=Mode.LIVE, day=NOVEMBER_2) == [
            Share(account.organization.pk, "Acme", 100, 80, 20),
            Share(other.organization.pk, "Globex", 30, 30, 0),
        ]
        assert shares_of(own(other), mode=Mode.LIVE, day=NOVEMBER_2) == [
            Share(other.organization.pk, "Globex", 30, 30, 0)
        ]
        assert shares_of(STAFF, mode=Mode.LIVE, day=NOVEMBER_1) == []
        roll_up()


def test_what_comes_in_and_goes_out_is_no_days_figure(account: Account) -> None:
    today = timezone.now().astimezone(UTC).date()
    fund(account.wallets[Mode.LIVE], 500)
    roll_up()
    assert days(last=today) == [Day(day.day) for day in days(last=today)]
    assert discrepancies(INVARIANTS) == []


def test_entries_and_batches_before_a_moment_are_counted_of_ones_own_rolled_up_or_not(account: Account) -> None:
    moved(make_account(name="Globex"), "bat_0", 5)
    over_two_midnights(account)
    moved(account, "bat_4", 1, mode=Mode.TEST)
    counted = {"2100-10-31T23:59:59.999991Z": (3, 1), "2100-11-01T12:00Z": (7, 2), "2100-11-03T00:00Z": (11, 4)}
    for _ in range(2):
        for at, expected in counted.items():
            assert extent_before(own(account), at=datetime.fromisoformat(at)) == expected
        roll_up()


def test_a_roll_up_reads_no_entry_of_a_wallet_that_has_not_moved(account: Account) -> None:
    over_two_midnights(account)
    roll_up()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {ROLL_UP}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert re.search(r"on credit_ledger .*\(never executed\)", plan), plan


@pytest.mark.django_db(transaction=True)
def test_two_roll_ups_at_once_add_each_entry_once(account: Account) -> None:
    for number in range(20):
        moved(account, f"bat_{number}", 10, back=3)
    today = datetime.now(UTC).date()
    assert not [error for error in at_once(*[roll_up] * 4) if isinstance(error, Exception)]
    assert sum(day.reserved for day in days(last=today, count=2)) == 200
    assert discrepancies(INVARIANTS) == []


@pytest.mark.django_db(transaction=True)
def test_an_entry_that_commits_after_the_roll_up_is_read_and_rolled_up_later(account: Account) -> None:
    today = datetime.now(UTC).date()
    with transaction.atomic():
        moved(account, "bat_1", 10)
        assert at_once(roll_up) == [at_once_count(account)]
    assert sum(day.reserved for day in days(last=today, count=2)) == 10
    roll_up()
    assert sum(day.reserved for day in days(last=today, count=2)) == 10
    assert discrepancies(INVARIANTS) == []


def at_once_count(account: Account) -> int:
    """Return how many figures there are to roll up before anything was held: one for each wallet's grant."""
    return len(account.wallets)


@pytest.mark.unbooked
@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (
            "UPDATE ledger_walletday SET settled = settled + 5 WHERE day = '2100-10-31'",
            "The figures of 2100-10-31 (UTC), of entries 2 to 4, say 100 reserved, 85 settled and 20 refunded; its "
            "entries, 2 to 4, add up to 100, 80 and 20: 5 credits too many settled.",
        ),
        (
            "DELETE FROM ledger_walletday WHERE day = '2100-11-01'",
            "The figures of 2100-11-01 (UTC), of entries 0 to 0, say 0 reserved, 0 settled and 0 refunded; its "
            "entries, 5 to 6, add up to 30, 30 and 0: 30 credits too few reserved, 30 credits too few settled.",
        ),
    ],
)
def test_figures_that_are_not_the_entries_are_found(account: Account, change: str, detail: str) -> None:
    over_two_midnights(account)
    roll_up()
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(change)
    found = [(row.invariant, row.subject, row.detail) for row in discrepancies(INVARIANTS)]
    assert found == [("invariant_day_figures", account.wallets[Mode.LIVE].pk, detail)]


@pytest.mark.unbooked
def test_figures_that_are_wrong_are_made_anew_once_they_are_deleted(account: Account) -> None:
    over_two_midnights(account)
    roll_up()
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_walletday SET settled = 0")
        assert discrepancies(INVARIANTS)
        cursor.execute("DELETE FROM ledger_walletday")
    assert days() == EXPECTED
    roll_up()
    assert days() == EXPECTED
    assert discrepancies(INVARIANTS) == []
