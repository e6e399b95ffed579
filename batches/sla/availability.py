"""What the probes say of a stretch of time: how many minutes the system was up, and when it was down, and why.

A minute is up if its readiness probe succeeded and no test batch that failed held for it. One without a probe is down:
whoever measures must be up too. Minutes before the first probe of all are not counted, nor those of the last moments.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from django.db import connection
from django.db.models import Min

from batches.sla.models import MINUTE, Probe, minute_of

# In thousandths of a percent.
TARGET = 99_900
# The current minute and the two before it may still get their probe.
JUDGED_AFTER = 3 * MINUTE
MISSING = "no probe: nobody measured"

# The stretches for which a test batch that failed held: until the next one was known, or it was too old. Served by
# batches_slaprobe_of_batches; nothing of readiness is read.
FAILING = """
    failing AS (
        SELECT b.holds_from AS starts_at, LEAST(b.holds_until, b.next_from) AS ends_at, b.detail
        FROM (SELECT ok, detail, holds_from, holds_until,
                     lead(holds_from) OVER (ORDER BY holds_from, minute) AS next_from
              FROM batches_slaprobe
              WHERE kind = 'batch' AND holds_from < %(last)s AND holds_until > %(first)s) b
        WHERE NOT b.ok
    )
"""
# Of each window: minutes with a readiness probe, those of them that failed, and those that only a batch holds down.
# Served by batches_slaprobe_once alone.
COUNTS = f"""
    WITH {FAILING}
    SELECT coalesce(probed.count, 0), coalesce(probed.refused, 0), coalesce(held.count, 0)
    FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) WITH ORDINALITY w (starts_at, ends_at, number)
    LEFT JOIN LATERAL (
        SELECT count(*) AS count, count(*) FILTER (WHERE NOT p.ok) AS refused
        FROM batches_slaprobe p
        WHERE p.kind = 'readiness' AND p.minute >= w.starts_at AND p.minute < w.ends_at
    ) probed ON true
    LEFT JOIN LATERAL (
        SELECT count(*) AS count FROM failing f
        JOIN batches_slaprobe p ON p.kind = 'readiness' AND p.ok
             AND p.minute >= greatest(f.starts_at, w.starts_at) AND p.minute < least(f.ends_at, w.ends_at)
    ) held ON true
    ORDER BY w.number
"""  # noqa: S608 - constants of ours.
# Each minute of a window that has a probe, with why it was down; nothing where it was up.
MINUTES = f"""
    WITH {FAILING}
    SELECT p.minute, CASE WHEN NOT p.ok THEN p.detail ELSE coalesce(f.detail, '') END
    FROM batches_slaprobe p LEFT JOIN failing f ON p.minute >= f.starts_at AND p.minute < f.ends_at
    WHERE p.kind = 'readiness' AND p.minute >= %(first)s AND p.minute < %(last)s
"""  # noqa: S608 - the same.


@dataclass(frozen=True)
class Window:
    """Minutes from `starts_at` until before `ends_at`; none where that is not later."""

    starts_at: datetime
    ends_at: datetime

    @property
    def minutes(self) -> int:
        """Return how many there are."""
        return max((self.ends_at - self.starts_at) // MINUTE, 0)


@dataclass(frozen=True)
class Availability:
    """The minutes of a window: those that count, those that were up, and those that nobody measured."""

    window: Window
    minutes: int
    up: int
    missing: int

    @property
    def down(self) -> int:
        """Return the minutes that were not up; the missing ones are among them."""
        return self.minutes - self.up

    @property
    def percent(self) -> str:
        """Return the availability with three digits, rounded down: 100.000 % says that no minute was down."""
        return percent_of(self.up, self.minutes)

    @property
    def is_met(self) -> bool:
        """Say whether it is at least what was promised."""
        return self.up * 100_000 >= self.minutes * TARGET


@dataclass(frozen=True)
class Downtime:
    """A stretch of minutes that were down for one reason, from `starts_at` until before `ends_at`."""

    starts_at: datetime
    ends_at: datetime
    why: str

    @property
    def minutes(self) -> int:
        """Return how many."""
        return (self.ends_at - self.starts_at) // MINUTE


def percent_of(part: int, whole: int) -> str:
    """Return `part` of `whole` in percent with three digits, rounded down; a dash where there is nothing."""
    if not whole:
        return "–"
    percent, rest = divmod(100_000 * part // whole, 1000)
    return f"{percent}.{rest:03} %"


def allowed_down(minutes: int) -> int:
    """Return how many of so many minutes may be down."""
    return minutes * (100_000 - TARGET) // 100_000


def measured_since() -> datetime | None:
    """Return the minute of the first probe of all."""
    since: datetime | None = Probe.objects.of_readiness().aggregate(since=Min("minute"))["since"]
    return since


def judged_until(now: datetime) -> datetime:
    """Return until before which minutes are judged."""
    return minute_of(now) + MINUTE - JUDGED_AFTER


def availability_of(windows: Sequence[Window]) -> list[Availability]:
    """Return what was measured of each window, with one query."""
    if not windows:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            COUNTS,
            {
                "starts": [window.starts_at for window in windows],
                "ends": [window.ends_at for window in windows],
                "first": min(window.starts_at for window in windows),
                "last": max(window.ends_at for window in windows),
            },
        )
        rows = cursor.fetchall()
    return [
        Availability(window, window.minutes, up=probed - refused - held, missing=window.minutes - probed)
        for window, (probed, refused, held) in zip(windows, rows, strict=True)
    ]


def downtimes_of(measured: Availability) -> list[Downtime]:
    """Return when a window's minutes were down, in order. One that was up all the time is not looked at."""
    if not measured.down:
        return []
    window = measured.window
    with connection.cursor() as cursor:
        cursor.execute(MINUTES, {"first": window.starts_at, "last": window.ends_at})
        probed: Mapping[datetime, str] = dict(cursor.fetchall())
    return [
        Downtime(first, last + MINUTE, why)
        for why, first, last in _stretches((minute, probed.get(minute, MISSING)) for minute in _minutes(window))
        if why
    ]


def _minutes(window: Window) -> Iterator[datetime]:
    return (window.starts_at + number * MINUTE for number in range(window.minutes))


def _stretches(minutes: Iterator[tuple[datetime, str]]) -> Iterator[tuple[str, datetime, datetime]]:
    """Yield each reason with the first and the last of the minutes that follow each other with it."""
    for why, group in groupby(minutes, key=lambda minute: minute[1]):
        same = [minute for minute, _ in group]
        yield why, same[0], same[-1]


def days_of(window: Window, downtimes: Sequence[Downtime]) -> list[tuple[datetime, int, int]]:
    """Return each day (UTC) of a window with its minutes that count, and those of them that were down."""
    found, day = [], window.starts_at.replace(hour=0, minute=0)
    while day < window.ends_at:
        after = day + timedelta(days=1)
        inside = Window(max(day, window.starts_at), min(after, window.ends_at))
        down = sum(
            Window(max(each.starts_at, inside.starts_at), min(each.ends_at, inside.ends_at)).minutes
            for each in downtimes
        )
        found.append((day, inside.minutes, down))
        day = after
    return found
