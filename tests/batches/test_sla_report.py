"""What a customer under contract is told of a month: availability to the minute, and refunds. A pilot: nothing."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.http import Http404
from django.test.utils import CaptureQueriesContext

from batches.failures import FailureType
from batches.models import Item, Probe
from batches.sla.availability import Window, availability_of, days_of, downtimes_of, percent_of
from batches.sla.models import MINUTE
from batches.sla.report import overview, report
from customers.access import READ, Access
from customers.models import PlanChange
from customers.plans import change_plan
from ledger.intervals import NotAnInterval
from tests.factories import Account, end_batch, make_account, make_batch
from tests.pilots.scenes import agreed

pytestmark = pytest.mark.django_db

OURS = Access(actor="usr_1", organization_ids=None, mode=None, permissions=READ)
OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def ready(first: datetime, minutes: int, *, without: Iterable[int] = (), down: Iterable[int] = ()) -> None:
    """Let so many minutes from `first` on have their probe, without some, and others with a failed one."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO batches_slaprobe (minute, kind, ok, detail, holds_from, holds_until)
            SELECT at, 'readiness', NOT down, CASE WHEN down THEN 'GET /readyz was answered with 503' ELSE '' END,
                   at, at + interval '1 minute'
            FROM (SELECT %(first)s + number * interval '1 minute' AS at, number = ANY(%(down)s::int[]) AS down
                  FROM generate_series(0, %(minutes)s - 1) number
                  WHERE number <> ALL(%(without)s::int[])) minutes
            """,
            {"first": first, "minutes": minutes, "without": [*without], "down": [*down]},
        )


def trial(minute: datetime, *, ok: bool, seen: datetime, until: datetime) -> None:
    detail = "" if ok else "ended as failed"
    Probe.objects.create(minute=minute, kind="batch", ok=ok, detail=detail, holds_from=seen, holds_until=until)


def under_contract(account: Account, *, since: datetime) -> Account:
    change_plan(**{**agreed(account.organization), "now": since})
    return account


# --- minutes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("up", "minutes", "said"),
    [
        (44_640, 44_640, "100.000 %"),
        (44_639, 44_640, "99.997 %"),
        (999_999, 1_000_000, "99.999 %"),
        (9_999_999, 10_000_000, "99.999 %"),
        (44_596, 44_640, "99.901 %"),
        (0, 3, "0.000 %"),
        (0, 0, "–"),
    ],
)
def test_a_percentage_is_rounded_down_so_that_a_hundred_means_all(up: int, minutes: int, said: str) -> None:
    assert percent_of(up, minutes) == said


def test_a_minute_without_a_probe_is_down_and_each_stretch_says_why() -> None:
    ready(OCTOBER, 100, without=[10, 11, 12, 40], down=[13, 14])
    window = Window(OCTOBER, OCTOBER + 102 * MINUTE)
    [measured] = availability_of([window])
    assert (measured.minutes, measured.up, measured.down, measured.missing) == (102, 94, 8, 6)
    assert (measured.percent, measured.is_met) == ("92.156 %", False)
    at = [((each.starts_at - OCTOBER) // MINUTE, each.minutes, each.why) for each in downtimes_of(measured)]
    assert at == [
        (10, 3, "no probe: nobody measured"),
        (13, 2, "GET /readyz was answered with 503"),
        (40, 1, "no probe: nobody measured"),
        (100, 2, "no probe: nobody measured"),
    ]


def test_a_failed_test_batch_holds_from_when_it_was_seen_until_the_next_is_known_or_it_is_too_old() -> None:
    ready(OCTOBER, 120, down=[21], without=[22])
    at = [OCTOBER + number * MINUTE for number in range(200)]
    trial(at[15], ok=False, seen=at[20], until=at[50])
    trial(at[22], ok=True, seen=at[25], until=at[57])
    trial(at[60], ok=False, seen=at[61], until=at[65])
    trial(at[70], ok=False, seen=at[90], until=at[80])  # Seen when it was too old: it says nothing.
    trial(at[99], ok=False, seen=at[100], until=at[130])
    trial(at[100], ok=True, seen=at[100], until=at[131])  # Known in the same minute.
    [measured, part] = availability_of([Window(at[0], at[120]), Window(at[23], at[62])])
    assert (measured.down, measured.missing) == (5 + 4, 1)
    assert (part.down, part.missing) == (2 + 1, 0)
    assert [(each.starts_at, each.minutes, each.why) for each in downtimes_of(part)] == [
        (at[23], 2, "ended as failed"),
        (at[61], 1, "ended as failed"),
    ]
    assert sum(each.minutes for each in downtimes_of(measured)) == measured.down


def test_a_month_that_was_up_takes_one_query_and_any_month_two() -> None:
    ready(OCTOBER, 31 * 1440, down=[5])
    with CaptureQueriesContext(
        connection,
    ) as captured:
        [up, down] = availability_of([Window(OCTOBER + HOUR, NOVEMBER), Window(OCTOBER, NOVEMBER)])
        assert downtimes_of(up) == []
        [downtime] = downtimes_of(down)
    assert len(captured) == 2
    assert (up.percent, down.percent, down.is_met) == ("100.000 %", "99.997 %", True)
    days = days_of(down.window, [downtime])
    assert (len(days), days[0], days[30]) == (31, (OCTOBER, 1440, 1), (NOVEMBER - DAY, 1440, 0))


# --- a customer's month --------------------------------------------------------------------------------------------


def test_a_month_counts_from_the_first_probe_and_not_what_is_not_judged_yet() -> None:
    account = under_contract(make_account(name="Globex"), since=OCTOBER - 90 * DAY)
    first, now = OCTOBER + 5 * DAY + HOUR, OCTOBER + 5 * DAY + 3 * HOUR + timedelta(seconds=40)
    given: dict[str, Any] = {"organization_id": account.organization.pk, "now": now}
    none = report(OURS, month="", **given)
    assert (none.measured.minutes, none.measured.percent, none.allowed, none.downtimes) == (0, "–", 0, [])
    ready(first, 118, down=[60])
    found = report(OURS, month="", **given)
    assert (found.measured.minutes, found.measured.down, found.measured.missing) == (118, 1, 0)
    assert (found.measured.percent, found.measured.is_met) == ("99.152 %", False)
    assert (found.counted_from, found.is_over) == (first, False)
    # Of the whole month so many may be down, 0.1 % of the minutes that count in it.
    assert found.allowed == (26 * 1440 - 60 - 1440 + 1440) * 1 // 1000
    later = report(OURS, month="", organization_id=account.organization.pk, now=now + 5 * MINUTE)
    assert (later.measured.minutes, later.measured.missing) == (123, 5)
    assert [month.month.month for month in overview(OURS, cursor="", now=now).months] == ["2026-10"]


def test_the_month_of_an_upgrade_counts_from_the_first_whole_minute_under_contract() -> None:
    signed = datetime(2026, 10, 20, 9, 30, 15, tzinfo=UTC)
    account = under_contract(make_account(name="Globex"), since=signed)
    change_plan(**{**agreed(account.organization), "contract_reference": "MSA-8", "now": signed + 3 * DAY})
    ready(OCTOBER, 31 * 1440, down=[0, 1, 2, *range(30 * 1440, 30 * 1440 + 44)])
    given: dict[str, Any] = {"organization_id": account.organization.pk, "now": NOVEMBER + 3 * MINUTE}
    found = report(OURS, month="2026-10", **given)
    minutes = (NOVEMBER - signed) // MINUTE
    assert (found.measured.minutes, found.measured.down, found.allowed) == (minutes, 44, minutes // 1000)
    assert (found.is_over, found.measured.is_met) == (True, False)
    assert (found.earlier, found.later and found.later.month) == (None, "2026-11")
    assert not report(OURS, month="2026-10", **{**given, "now": NOVEMBER + MINUTE}).is_over
    for month in ("2026-09", "2026-12"):
        with pytest.raises(Http404):
            report(OURS, month=month, **given)
    with pytest.raises(NotAnInterval):
        report(OURS, month="soon", **given)
    # The whole service, and the customers with their own part of the month, in as many queries as without them.
    before = overview(OURS, cursor="", now=NOVEMBER - HOUR)
    with CaptureQueriesContext(connection) as few:
        overview(OURS, cursor="", now=NOVEMBER - HOUR)
    for number in range(3):
        under_contract(make_account(name=f"Initech {number}"), since=signed + number * HOUR)
    with CaptureQueriesContext(connection) as many:
        listed = overview(OURS, cursor="", now=NOVEMBER - HOUR)
    assert len(many) == len(few) <= 5
    assert (len(before.customers), len(listed.customers)) == (1, 4)
    assert [each.measured.down for each in listed.months] == [47]
    assert [each.measured.minutes for each in listed.customers] == [
        (NOVEMBER - HOUR - signed - hours * HOUR) // MINUTE - 2 for hours in (2, 1, 0, 0)
    ]


def test_refunds_are_those_of_live_batches_that_ended_in_the_month() -> None:
    account = under_contract(make_account(name="Globex"), since=OCTOBER - DAY)
    ended = end_batch(make_batch(account.api, 5), failed={1: FailureType.TIMEOUT, 3: FailureType.CAPACITY})
    end_batch(make_batch(account.test_api, 2), failed={0: FailureType.TIMEOUT})
    make_batch(account.api, 3, request_id="still-open")
    other = make_account(name="Other")
    end_batch(make_batch(other.api, 1), failed={0: FailureType.TIMEOUT})
    assert ended.finished_at is not None
    given: dict[str, Any] = {"organization_id": account.organization.pk, "now": ended.finished_at + MINUTE}
    served = report(OURS, month="", **given).served
    assert (served.batches, served.items, served.succeeded, served.failed) == (1, 5, 3, 2)
    assert (served.refunded, served.credits, served.coverage, served.is_met) == (2, ended.refunded, "100.000 %", True)
    assert ended.refunded > 0
    assert overview(OURS, cursor="", now=given["now"]).customers[0].served == served
    before = report(OURS, month=f"{(ended.finished_at.replace(day=1) - DAY):%Y-%m}", **given).served
    assert (before.batches, before.coverage) == (0, "–")


@pytest.mark.unbooked
def test_what_failed_and_was_not_refunded_is_said() -> None:
    account = under_contract(make_account(name="Globex"), since=OCTOBER - DAY)
    ended = end_batch(make_batch(account.api, 3), failed={0: FailureType.TIMEOUT, 1: FailureType.TIMEOUT})
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE batches_item DISABLE TRIGGER ALL")
        Item.objects.filter(batch=ended, index=0).update(status="failed", refunded_at=None)
    assert ended.finished_at is not None
    given: dict[str, Any] = {"organization_id": account.organization.pk, "now": ended.finished_at + MINUTE}
    served = report(OURS, month="", **given).served
    assert (served.failed, served.refunded, served.coverage, served.is_met) == (2, 1, "50.000 %", False)


def test_a_pilot_has_no_report_and_nobody_has_anothers() -> None:
    pilot, globex = make_account(name="Pilot"), under_contract(make_account(name="Globex"), since=OCTOBER)
    ready(OCTOBER, 10)
    theirs = Access(actor="usr_2", organization_ids=frozenset([pilot.organization.pk]), mode=None, permissions=READ)
    now = OCTOBER + HOUR
    for access, account in ((OURS, pilot), (theirs, pilot), (theirs, globex)):
        with pytest.raises(Http404):
            report(access, organization_id=account.organization.pk, month="", now=now)
    assert [each.organization for each in overview(OURS, cursor="", now=now).customers] == [globex.organization]
    assert overview(theirs, cursor="", now=now).customers == []
    assert PlanChange.objects.filter(organization=pilot.organization).count() == 0
