"""Intervals of time that statements are made over: a month or any other, by the calendar of a time zone.

All are half-open: what happens at the start belongs to the interval, what happens at the end to the next one. What lies
in the future is allowed: then a statement is one so far.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo

from sora2.zones import UTC_NAME, zone_names

MONTH, DAY = re.compile(r"\d{4}-\d{2}", re.ASCII), re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# How much of a text that is not understood is said back.
SHOWN = 60


class NotAnInterval(Exception):
    """What was asked for names no interval of time; `name` is the part of it that is at fault."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(sentence)
        self.name = name


@dataclass(frozen=True)
class Interval:
    """From `starts_at` (inclusive; None: from the first entry on) to `ends_at` (exclusive; None: to the last one)."""

    starts_at: datetime | None
    ends_at: datetime | None
    zone: str
    name: str

    @property
    def label(self) -> str:
        """Return the name with the zone."""
        return f"{self.name} ({self.zone})"

    @property
    def tz(self) -> tzinfo:
        """Return the zone, to show times in."""
        return _zone(self.zone)

    @property
    def start(self) -> str:
        """Return the start in a form that interval_of() understands; empty when there is none."""
        return _written(self.starts_at, self.zone)

    @property
    def end(self) -> str:
        """Return the end in that form."""
        return _written(self.ends_at, self.zone)


@dataclass(frozen=True)
class Month(Interval):
    """A month, such as 2026-10."""

    starts_at: datetime
    ends_at: datetime
    month: str


def month_of(text: str, zone: str = UTC_NAME) -> Month:
    """Return a month that is written like 2026-10, from midnight to midnight in the zone. Raises NotAnInterval."""
    try:
        if not MONTH.fullmatch(text):
            raise ValueError
        first = date.fromisoformat(f"{text}-01")
        return _month(first.year * 12 + first.month - 1, zone)
    except (ValueError, OverflowError):
        raise NotAnInterval("month", f"{text[:SHOWN]!r} is no month: write it like 2026-10.") from None


def month_at(at: datetime, zone: str = UTC_NAME) -> Month:
    """Return the month that an instant lies in. Raises NotAnInterval."""
    return _month(_number(at, zone), zone)


def months_between(first: datetime, last: datetime, zone: str = UTC_NAME) -> list[Month]:
    """Return every month from that of the first instant to that of the last. Raises NotAnInterval."""
    return [_month(number, zone) for number in range(_number(first, zone), _number(last, zone) + 1)]


def month_before(month: Month) -> Month | None:
    """Return the month before one; None before the first of the calendar."""
    return _neighbour(month, -1)


def month_after(month: Month) -> Month | None:
    """Return the month after one; None after the last of the calendar."""
    return _neighbour(month, 1)


def interval_of(start: str, end: str, zone: str = UTC_NAME) -> Interval:
    """Return the interval between two days or times, either of which may be empty. Raises NotAnInterval.

    A day stands for its beginning; a time without a zone is one of `zone`.
    """
    starts_at, ends_at = _instant("from", start, zone), _instant("until", end, zone)
    if starts_at and ends_at and ends_at <= starts_at:
        raise NotAnInterval("until", f"{end[:SHOWN]} does not come after {start[:SHOWN]}, where it starts.")
    return Interval(starts_at, ends_at, zone, _name(_written(starts_at, zone), _written(ends_at, zone)))


def _month(number: int, zone: str) -> Month:
    first, after = _first_day(number), _first_day(number + 1)
    name = f"{first:%B} {first.year}"
    return Month(_midnight(first, zone), _midnight(after, zone), zone, name, first.isoformat()[:7])


def _neighbour(month: Month, distance: int) -> Month | None:
    try:
        return _month(_number(month.starts_at, month.zone) + distance, month.zone)
    except (ValueError, OverflowError):
        return None


def _number(at: datetime, zone: str) -> int:
    local = at.astimezone(_zone(zone))
    return local.year * 12 + local.month - 1


def _first_day(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)


def _midnight(day: date, zone: str) -> datetime:
    """Return the first instant of a day.

    Where clocks skip midnight, that is the moment in which they do; where midnight comes twice, the first.
    """
    return datetime(day.year, day.month, day.day, tzinfo=_zone(zone)).astimezone(UTC)


def _instant(name: str, text: str, zone: str) -> datetime | None:
    tz = _zone(zone)
    if not text:
        return None
    try:
        if DAY.fullmatch(text):
            return _midnight(date.fromisoformat(text), zone)
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=tz)).astimezone(UTC)
    except (ValueError, OverflowError):
        sentence = f"{text[:SHOWN]!r} is no day or time: write it like 2026-10-01, or 2026-10-01T12:00:00Z."
        raise NotAnInterval(name, sentence) from None


def _written(at: datetime | None, zone: str) -> str:
    if at is None:
        return ""
    local = at.astimezone(_zone(zone))
    if _midnight(local.date(), zone) == at:
        return local.date().isoformat()
    return local.isoformat(timespec="auto" if local.second or local.microsecond else "minutes")


def _name(start: str, end: str) -> str:
    if not start:
        return f"Until before {end}" if end else "Everything"
    return f"From {start} until before {end}" if end else f"From {start} on"


def _zone(name: str) -> tzinfo:
    """Return a time zone by its name. Raises NotAnInterval."""
    if name == UTC_NAME:
        return UTC  # Also on a machine that has no time zones.
    # Asked for by name only when it is known: ZoneInfo would look for a file of any name.
    if name not in zone_names():
        raise NotAnInterval("tz", f"{name[:SHOWN]!r} is no time zone: write it like Europe/Berlin, or UTC.")
    return ZoneInfo(name)
