"""Statements: figures over an interval that check themselves, and what bounds an interval."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.access import Permission
from customers.models import Mode, Organization
from ledger import statements
from ledger.days import roll_up
from ledger.intervals import (
    NotAnInterval,
    interval_of,
    month_after,
    month_at,
    month_before,
    month_of,
    months_between,
)
from ledger.models import Entry, Period, Wallet
from ledger.services import Movement, open_wallets, refund, reserve, settle
from ledger.statements import Balances, Statement, months_with_entries, statement_of
from sora2.times import timestamp
from tests.factories import Account, api_with_scopes, code_of, fund, make_account
from tests.ledger.clock import turn_to
from tests.sora2.test_openapi import check

pytestmark = pytest.mark.django_db

ZONES = ["UTC", "Europe/Berlin", "America/Havana", "America/Sao_Paulo", "Pacific/Apia", "Australia/Lord_Howe"]


# --- intervals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("month", "zone", "starts_at", "ends_at"),
    [
        ("2026-10", "UTC", "2026-10-01T00:00Z", "2026-11-01T00:00Z"),
        ("2024-02", "UTC", "2024-02-01T00:00Z", "2024-03-01T00:00Z"),
        ("2026-12", "UTC", "2026-12-01T00:00Z", "2027-01-01T00:00Z"),
        ("2026-10", "Europe/Berlin", "2026-09-30T22:00Z", "2026-10-31T23:00Z"),  # Clocks go back on the 25th.
        ("2026-03", "Europe/Berlin", "2026-02-28T23:00Z", "2026-03-31T22:00Z"),
        ("2026-11", "America/Havana", "2026-11-01T04:00Z", "2026-12-01T05:00Z"),  # Midnight comes twice on the 1st.
        ("2017-10", "America/Asuncion", "2017-10-01T04:00Z", "2017-11-01T03:00Z"),  # Midnight is skipped on the 1st.
    ],
)
def test_a_month_is_bounded_by_the_first_instants_of_its_zone(
    month: str, zone: str, starts_at: str, ends_at: str
) -> None:
    found = month_of(month, zone)
    assert (found.starts_at, found.ends_at) == (datetime.fromisoformat(starts_at), datetime.fromisoformat(ends_at))
    assert found.month == month


@given(
    year=st.integers(1975, 2035),
    month=st.integers(1, 12),
    zone=st.sampled_from([*ZONES, "Pacific/Kiritimati", "Asia/Amman"]),
)
def test_months_follow_one_another_without_gap_or_overlap(year: int, month: int, zone: str) -> None:
    found = month_of(f"{year}-{month:02}", zone)
    after = month_after(found)
    assert after is not None
    assert after.starts_at == found.ends_at
    assert month_before(after) == found
    assert month_at(found.starts_at, zone) == found
    assert month_at(found.ends_at - timedelta(microseconds=1), zone) == found
    assert months_between(found.starts_at, after.starts_at, zone) == [found, after]


@given(
    start=st.datetimes(datetime(1975, 1, 1), datetime(2035, 1, 1)),  # noqa: DTZ001 - the strategy gives it its zone.
    minutes=st.integers(1, 10**6),
    zone=st.sampled_from(ZONES),
)
def test_an_interval_is_asked_for_again_as_it_says(start: datetime, minutes: int, zone: str) -> None:
    starts_at = start.replace(tzinfo=UTC)
    asked = interval_of(starts_at.isoformat(), (starts_at + timedelta(minutes=minutes)).isoformat(), zone)
    assert (asked.starts_at, asked.ends_at) == (starts_at, starts_at + timedelta(minutes=minutes))
    assert interval_of(asked.start, asked.end, zone) == asked


def test_days_and_times_without_a_zone_are_those_of_the_chosen_one() -> None:
    days = interval_of("2026-03-29", "2026-03-30", "Europe/Berlin")
    assert days.ends_at is not None
    assert days.starts_at == datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert days.ends_at - days.starts_at == timedelta(hours=23)
    assert days.name == "From 2026-03-29 until before 2026-03-30"
    assert interval_of("2026-03-29T12:00", "", "Europe/Berlin").starts_at == datetime(2026, 3, 29, 10, tzinfo=UTC)
    assert interval_of("2026-03-29T12:00Z", "", "Europe/Berlin").starts_at == datetime(2026, 3, 29, 12, tzinfo=UTC)
    assert interval_of("", "", "Europe/Berlin").name == "Everything"


@pytest.mark.parametrize(
    ("ask", "name", "sentence"),
    [
        *(
            (lambda text=text: month_of(text), "month", "is no month: write it like 2026-10")
            for text in ("2026-13", "2026-00", "2026-1", "202610", "2026-10-01", "", "٢٠٢٦-10", "9999-12", "October")
        ),
        *(
            (lambda zone=zone: month_of("2026-10", zone), "tz", "is no time zone: write it like Europe/Berlin, or UTC")
            for zone in ("", "Mars/Base", "../../etc/passwd", "/etc/passwd", "Europe", "CEST", "x" * 5000, "\0")
        ),
        (lambda: interval_of("", "", "Mars/Base"), "tz", "is no time zone"),
        (lambda: interval_of("soon", "", "UTC"), "from", "'soon' is no day or time: write it like 2026-10-01"),
        (lambda: interval_of("", "2026-02-30", "UTC"), "until", "is no day or time"),
        (lambda: interval_of("0001-01-01", "", "Asia/Tokyo"), "from", "is no day or time"),
        (lambda: interval_of("2026-10-02", "2026-10-01", "UTC"), "until", "does not come after 2026-10-02"),
        (lambda: interval_of("2026-10-01", "2026-10-01", "UTC"), "until", "does not come after 2026-10-01"),
    ],
)
def test_what_names_no_interval_is_said_in_a_sentence(ask: Callable[[], object], name: str, sentence: str) -> None:
    with pytest.raises(NotAnInterval) as refusal:
        ask()
    assert refusal.value.name == name
    assert sentence in str(refusal.value)
    assert len(str(refusal.value)) < 200


# --- books over three months ---------------------------------------------------------------------------------------


@pytest.fixture
def wallet() -> Wallet:
    """An empty wallet. One in test mode, to which credits come without two people."""
    return open_wallets(organization=Organization.objects.create(name="Acme"))[Mode.TEST]


def about(wallet: Wallet, reference: str) -> Movement:
    return Movement(wallet_id=wallet.pk, reference=reference, request_id=f"order {reference}", actor="system")


@pytest.fixture
def books(wallet: Wallet) -> Wallet:
    """A wallet with entries in September, October and November 2026, some on the very edges."""
    turn_to("2026-09-15T12:00Z")
    fund(wallet, 1000, reference="invoice 9")
    reserve(movement=about(wallet, "bat_1"), amount=100)
    turn_to("2026-10-01T00:00Z")
    settle(movement=about(wallet, "bat_1"), amount=90)
    refund(movement=about(wallet, "bat_1"), amount=10)
    turn_to("2026-10-20T08:30Z")
    fund(wallet, 500, reference="invoice 10")
    reserve(movement=about(wallet, "bat_2"), amount=40)
    settle(movement=about(wallet, "bat_2"), amount=40)
    reserve(movement=about(wallet, "bat_3"), amount=70)
    turn_to("2026-10-31T23:59:59.999999Z")
    reserve(movement=about(wallet, "bat_4"), amount=30)
    turn_to("2026-11-01T00:00Z")
    refund(movement=about(wallet, "bat_4"), amount=30)
    settle(movement=about(wallet, "bat_3"), amount=60)
    wallet.refresh_from_db()
    return wallet


def october(wallet: Wallet, zone: str = "UTC") -> Statement:
    return statement_of(wallet=wallet, interval=month_of("2026-10", zone))


def moved(statement: Statement) -> dict[str, tuple[int, int]]:
    """Return count and credits of each kind that has entries."""
    return {row.kind.value: (row.count, row.credits) for row in statement.moved if row.count}


def test_a_month_has_opening_balances_movements_by_kind_and_closing_balances(books: Wallet) -> None:
    found = october(books)
    assert found.opening == Balances(available=900, reserved=100, settled=0)
    assert moved(found) == {"grant": (1, 500), "reserve": (3, 140), "settle": (2, 130), "refund": (1, 10)}
    assert found.closing == Balances(available=1270, reserved=100, settled=130)
    assert (found.opening.funded, found.closing.funded) == (1000, 1500)
    assert (found.first_seq, found.last_seq, found.count) == (3, 9, 7)
    assert found.head_hash == Entry.objects.get(wallet=books, seq=9).hash
    assert found.balanced


def test_sums_of_days_say_what_the_entries_say_rolled_up_or_not(books: Wallet) -> None:
    months = [
        month_of(f"2026-{month}", zone) for month in ("09", "10", "11") for zone in ("UTC", "America/Los_Angeles")
    ]
    intervals = [*months, interval_of("", ""), interval_of("2026-10-20T08:30Z", "2026-10-20T08:31Z")]
    for number in range(3):
        for interval in intervals:
            by_days = statement_of(wallet=books, interval=interval, by_days=True)
            assert by_days == statement_of(wallet=books, interval=interval)
        roll_up()
        reserve(movement=about(books, f"later {number}"), amount=1)


def test_every_kind_stands_in_the_same_order_with_what_it_does_to_the_balances(books: Wallet) -> None:
    assert [(row.kind.value, row.effect) for row in october(books).moved] == [
        ("grant", Balances(500, 0, 0)),
        ("reserve", Balances(-140, 140, 0)),
        ("settle", Balances(0, -130, 130)),
        ("refund", Balances(10, -10, 0)),
        ("adjustment_in", Balances()),
        ("adjustment_out", Balances()),
    ]


def test_what_happens_at_the_end_belongs_to_the_next_month(books: Wallet) -> None:
    at = {row.seq: timestamp(row.created_at) for row in Entry.objects.filter(wallet=books)}
    assert (at[3], at[9], at[10]) == (
        "2026-10-01T00:00:00.000000Z",
        "2026-10-31T23:59:59.999999Z",
        "2026-11-01T00:00:00.000000Z",
    )
    assert (october(books).first_seq, october(books).last_seq) == (3, 9)


def test_a_zone_moves_the_edges_of_a_month(books: Wallet) -> None:
    berlin = october(books, "Europe/Berlin")
    assert (berlin.first_seq, berlin.last_seq) == (3, 8)
    los_angeles = october(books, "America/Los_Angeles")
    assert (los_angeles.first_seq, los_angeles.last_seq) == (5, 11)
    assert berlin.balanced
    assert los_angeles.balanced


def test_open_reserves_are_what_is_reserved_at_the_end(books: Wallet) -> None:
    reserves = october(books).open_reserves
    assert [(each.reference, each.request_id, each.credits) for each in reserves] == [
        ("bat_3", "order bat_3", 70),
        ("bat_4", "order bat_4", 30),
    ]
    assert reserves[0].since == Entry.objects.get(kind="reserve", reference="bat_3").created_at
    # Of the reserve of bat_3 a part is settled in November, the rest is held.
    so_far = statement_of(wallet=books, interval=month_of("2026-11"))
    assert [(each.reference, each.credits) for each in so_far.open_reserves] == [("bat_3", 10)]
    assert statement_of(wallet=books, interval=month_of("2026-08")).open_reserves == ()


def test_a_reserve_that_was_made_long_ago_is_found(books: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "REACH_ENTRIES", 1)
    monkeypatch.setattr(statements, "REACH_FACTOR", 2)
    for number in range(20):
        reserve(movement=about(books, f"quick {number}"), amount=1)
        refund(movement=about(books, f"quick {number}"), amount=1)
    found = statement_of(wallet=books, interval=month_of("2026-11"))
    assert [(each.reference, each.credits) for each in found.open_reserves] == [("bat_3", 10)]


def test_a_month_without_entries_ends_as_it_starts(books: Wallet) -> None:
    for month, available in (("2026-08", 0), ("2027-05", 1300)):
        found = statement_of(wallet=books, interval=month_of(month))
        assert found.opening == found.closing
        assert (found.closing.available, found.count, found.first_seq, found.last_seq) == (available, 0, None, None)
        assert found.balanced
    assert statement_of(wallet=books, interval=month_of("2026-08")).head_hash == "0" * 64


def test_a_wallet_without_entries_has_a_statement_of_nothing(wallet: Wallet) -> None:
    found = october(wallet)
    assert (found.opening, found.closing, found.count, found.balanced) == (Balances(), Balances(), 0, True)
    assert months_with_entries(wallet=wallet, zone="UTC") == []


def test_open_ends_reach_from_the_first_entry_to_the_last(books: Wallet) -> None:
    everything = statement_of(wallet=books, interval=interval_of("", ""))
    assert (everything.opening, everything.first_seq, everything.last_seq) == (Balances(), 1, 11)
    before = statement_of(wallet=books, interval=interval_of("", "2026-10-01"))
    after = statement_of(wallet=books, interval=interval_of("2026-10-01", ""))
    assert before.closing == after.opening == october(books).opening
    assert (before.last_seq, after.first_seq) == (2, 3)


def test_months_with_entries_are_those_of_the_zone(books: Wallet) -> None:
    turn_to("2027-01-01T00:30Z")
    reserve(movement=about(books, "bat_9"), amount=1)
    books.refresh_from_db()

    def months(zone: str) -> list[str]:
        return [month.month for month in months_with_entries(wallet=books, zone=zone)]

    assert months("UTC") == ["2026-09", "2026-10", "2026-11", "2027-01"]
    assert months("America/New_York") == ["2026-09", "2026-10", "2026-12"]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(
        st.tuples(st.integers(1, 400), st.sampled_from(["reserve", "settle", "refund"]), st.integers(1, 60)),
        max_size=25,
    ),
    zone=st.sampled_from(ZONES),
)
def test_statements_of_any_books_add_up_and_continue_one_another(steps: list[tuple[int, str, int]], zone: str) -> None:
    wallet = open_wallets(organization=Organization.objects.create(name="Acme"))[Mode.TEST]
    now, held = datetime(2026, 1, 1, tzinfo=UTC), dict[str, int]()
    turn_to(now.isoformat())
    fund(wallet, 5000)
    for hours, verb, amount in steps:
        now += timedelta(hours=hours)
        turn_to(now.isoformat())
        movement = about(wallet, f"{wallet.pk} {now}")
        if verb == "reserve" or not held:
            reserve(movement=movement, amount=amount)
            held[movement.reference] = amount
        else:
            oldest, credits = next(iter(held.items()))
            {"settle": settle, "refund": refund}[verb](movement=about(wallet, oldest), amount=credits)
            del held[oldest]
    wallet.refresh_from_db()
    rows = list(Entry.objects.filter(wallet=wallet).order_by("seq"))
    closing = Balances()
    for month in months_between(rows[0].created_at, now, zone):
        found = statement_of(wallet=wallet, interval=month)
        local = [row for row in rows if f"{row.created_at.astimezone(ZoneInfo(zone)):%Y-%m}" == month.month]
        assert found.count == len(local)
        assert found.balanced
        assert found.opening == closing
        closing = found.closing
    assert closing == Balances(wallet.available, wallet.reserved, wallet.settled)


# --- wrong books ---------------------------------------------------------------------------------------------------


def tamper(statement: str) -> None:
    """Change the books as their tables' owner, with the triggers off."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE credit_ledger DISABLE TRIGGER USER")
        cursor.execute(statement)


@pytest.mark.unbooked
@pytest.mark.parametrize(
    ("statement", "unexplained", "missing"),
    [
        ("UPDATE credit_ledger SET amount = 499 WHERE seq = 5", Balances(1, 0, 0), 0),
        ("UPDATE credit_ledger SET kind = 'refund' WHERE seq = 7", Balances(-40, 0, 40), 0),
        ("UPDATE credit_ledger SET reserved_after = 99 WHERE seq = 9", Balances(0, -1, 0), 0),
        ("UPDATE credit_ledger SET settled_after = 7 WHERE seq = 2", Balances(0, 0, -7), 0),
        ("DELETE FROM credit_ledger WHERE seq = 7", Balances(0, -40, 40), 1),
    ],
)
def test_a_statement_of_wrong_books_does_not_balance(
    books: Wallet, statement: str, unexplained: Balances, missing: int
) -> None:
    tamper(statement)
    found = october(books)
    assert (found.unexplained, found.missing, found.balanced) == (unexplained, missing, False)


@pytest.mark.unbooked
def test_movements_that_cancel_out_are_missed_all_the_same(books: Wallet) -> None:
    tamper("DELETE FROM credit_ledger WHERE reference = 'bat_2'")
    found = october(books)
    assert (found.missing, found.balanced) == (2, False)


@pytest.mark.unbooked
def test_reserved_credits_that_are_not_those_of_open_reserves_are_seen(books: Wallet) -> None:
    tamper("UPDATE credit_ledger SET reference = 'nobody' WHERE kind = 'settle' AND reference = 'bat_2'")
    found = october(books)
    assert (found.unexplained, found.missing) == (Balances(), 0)
    assert (found.unexplained_reserved, found.balanced) == (-40, False)


# --- closed --------------------------------------------------------------------------------------------------------


def test_a_statement_says_whether_its_interval_is_closed(books: Wallet) -> None:
    assert not october(books).closed
    interval = month_of("2026-10")
    Period.objects.create(month="2026-10", starts_at=interval.starts_at, ends_at=interval.ends_at)
    assert october(books).closed
    # In a zone east of Greenwich the month has ended by then; in one west of it, its last hours are open.
    assert october(books, "Europe/Berlin").closed
    assert not october(books, "America/Los_Angeles").closed
    assert statement_of(wallet=books, interval=month_of("2026-09")).closed
    assert not statement_of(wallet=books, interval=month_of("2026-11")).closed
    assert not statement_of(wallet=books, interval=interval_of("2026-10-01", "")).closed


# --- over HTTP -----------------------------------------------------------------------------------------------------


@pytest.fixture
def acme() -> Account:
    """A customer whose live wallet has entries in October 2026."""
    account = make_account(0)
    wallet = account.wallets[Mode.LIVE]
    turn_to("2026-09-30T12:00Z")
    fund(wallet, 1000)
    turn_to("2026-10-05T12:00Z")
    reserve(movement=about(wallet, "bat_1"), amount=100)
    settle(movement=about(wallet, "bat_1"), amount=60)
    return account


def test_the_statement_of_a_month_over_http(acme: Account) -> None:
    wallet = acme.wallets[Mode.LIVE]
    response = acme.api.get("/statements/2026-10")
    check(response)
    entries = {row.seq: row for row in Entry.objects.filter(wallet=wallet)}
    nothing = {"funded": 0, "available": 0, "reserved": 0, "settled": 0}
    assert response.json() == {
        "ok": True,
        "month": "2026-10",
        "tz": "UTC",
        "from": "2026-10-01T00:00:00.000000Z",
        "until": "2026-11-01T00:00:00.000000Z",
        "wallet_id": wallet.pk,
        "livemode": True,
        "closed": False,
        "opening": {"funded": 1000, "available": 1000, "reserved": 0, "settled": 0},
        "movements": [
            {"kind": "grant", "count": 0, "credits": 0, "effect": nothing},
            {
                "kind": "reserve",
                "count": 1,
                "credits": 100,
                "effect": {"funded": 0, "available": -100, "reserved": 100, "settled": 0},
            },
            {
                "kind": "settle",
                "count": 1,
                "credits": 60,
                "effect": {"funded": 0, "available": 0, "reserved": -60, "settled": 60},
            },
            {"kind": "refund", "count": 0, "credits": 0, "effect": nothing},
            {"kind": "adjustment_in", "count": 0, "credits": 0, "effect": nothing},
            {"kind": "adjustment_out", "count": 0, "credits": 0, "effect": nothing},
        ],
        "closing": {"funded": 1000, "available": 900, "reserved": 40, "settled": 60},
        "balanced": True,
        "entries": 2,
        "first_seq": 2,
        "last_seq": 3,
        "head_hash": entries[3].hash,
        "open_reserves": [
            {
                "reference": "bat_1",
                "request_id": "order bat_1",
                "since": "2026-10-05T12:00:00.000000Z",
                "credits": 40,
            }
        ],
    }


def test_a_statement_in_another_zone(acme: Account) -> None:
    response = acme.api.get("/statements/2026-10", tz="Pacific/Auckland")
    check(response)
    found = response.json()
    assert (found["tz"], found["from"]) == ("Pacific/Auckland", "2026-09-30T11:00:00.000000Z")
    assert (found["opening"]["available"], found["entries"]) == (0, 3)


def test_a_statement_of_a_month_without_entries_is_as_documented(acme: Account) -> None:
    for month in ("2020-02", "2050-01"):
        response = acme.api.get(f"/statements/{month}")
        check(response)
        assert (response.json()["entries"], response.json()["first_seq"]) == (0, None)


CSV_HEAD = "wallet_id,section,at,kind,seq,hash,reference,request_id,count,credits,funded,available,reserved,settled"


def test_a_statement_as_csv(acme: Account) -> None:
    response = acme.api.get("/statements/2026-10.csv")
    wallet = acme.wallets[Mode.LIVE]
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"] == f'attachment; filename="statement-{wallet.pk}-2026-10.csv"'
    head, *lines = response.content.decode().split("\r\n")
    assert head == CSV_HEAD
    last = Entry.objects.get(wallet=wallet, seq=3)
    assert lines == [
        f"{wallet.pk},opening,2026-10-01T00:00:00.000000Z,,1,,,,,,1000,1000,0,0",
        f"{wallet.pk},movement,,grant,,,,,0,0,0,0,0,0",
        f"{wallet.pk},movement,,reserve,,,,,1,100,0,-100,100,0",
        f"{wallet.pk},movement,,settle,,,,,1,60,0,0,-60,60",
        f"{wallet.pk},movement,,refund,,,,,0,0,0,0,0,0",
        f"{wallet.pk},movement,,adjustment_in,,,,,0,0,0,0,0,0",
        f"{wallet.pk},movement,,adjustment_out,,,,,0,0,0,0,0,0",
        f"{wallet.pk},closing,2026-11-01T00:00:00.000000Z,,3,{last.hash},,,2,,1000,900,40,60",
        f"{wallet.pk},open_reserve,2026-10-05T12:00:00.000000Z,,,,bat_1,order bat_1,,40,,,,",
        "",
    ]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'quoted", 'a "b", c\r\nd'])
def test_no_spreadsheet_runs_what_a_customer_chose(acme: Account, text: str) -> None:
    movement = Movement(wallet_id=acme.wallets[Mode.LIVE].pk, reference=f"{text}1", request_id=text, actor="system")
    reserve(movement=movement, amount=1)
    body = acme.api.get("/statements/2026-10.csv").content.decode()
    rows = list(csv.DictReader(io.StringIO(body, newline="")))
    assert rows[-1]["request_id"][0] not in "=+-@\t\r"
    assert rows[-1]["request_id"].removeprefix("'") == text.removeprefix("'" if not text.startswith("'") else "")
    assert rows[-1]["reference"].removeprefix("'") == f"{text}1"


@pytest.mark.parametrize("ending", ["", ".csv", ".pdf"])
def test_a_path_that_names_no_month_leads_nowhere(acme: Account, ending: str) -> None:
    for month in ("2026-13", "2026-1", "october", "2026-10.xml"):
        assert code_of(acme.api.get(f"/statements/{month}{ending}")) == (404, "not_found")
    assert "write it like 2026-10" in acme.api.get("/statements/2026-13").json()["detail"]


@pytest.mark.parametrize("ending", ["", ".csv"])
@pytest.mark.parametrize("zone", ["Mars/Base", "../UTC", "\0"])
def test_a_zone_that_is_none_is_refused(acme: Account, ending: str, zone: str) -> None:
    response = acme.api.get(f"/statements/2026-10{ending}", tz=zone)
    assert code_of(response) == (422, "validation_error")
    assert response.json()["errors"][0]["pointer"] == "?tz"


@pytest.mark.parametrize("ending", ["", ".csv"])
def test_a_key_sees_its_own_wallet_only_and_needs_the_scope(acme: Account, ending: str) -> None:
    address = f"/statements/2026-10{ending}"
    other = make_account(0, name="Other")
    for api, wallet in ((acme.test_api, acme.wallets[Mode.TEST]), (other.api, other.wallets[Mode.LIVE])):
        assert wallet.pk in api.get(address).content.decode()
        assert acme.wallets[Mode.LIVE].pk not in api.get(address).content.decode()
    bare = api_with_scopes(acme.organization, set(Permission) - {Permission.LEDGER_READ})
    assert code_of(bare.get(address)) == (403, "insufficient_scope")


def test_a_statement_takes_as_many_queries_whatever_there_is(books: Wallet, django_assert_num_queries: Any) -> None:
    for _ in range(2):
        with django_assert_num_queries(3):
            assert october(books).balanced
        turn_to("2026-11-02T00:00Z")
        for number in range(30):
            reserve(movement=about(books, f"more {number} {books.last_seq}"), amount=1)
        books.refresh_from_db()
