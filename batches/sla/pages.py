"""What the page of a report shows besides its figures: its days as a drawing, and its lines as a file."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from batches.sla.availability import TARGET, Downtime, days_of
from batches.sla.report import Report
from sora2.times import timestamp

# The drawing's units, as in ledger.day_pages. A minute of a day shows, though it is less than a thousandth of it.
DAY_WIDTH, BAR_WIDTH, HEIGHT, LEAST = 20, 12, 100, 8
# A page and a paper list so many stretches; the file has them all.
DOWNTIMES_SHOWN = 100
TARGET_WORDS = f"{TARGET // 1000}.{TARGET % 1000 // 100} %"


@dataclass(frozen=True)
class Column:
    """A day as it is drawn: where it begins, how much of it is down and how much up, from the top, and in words."""

    day: date
    left: int
    bar_left: int
    down_height: int
    up_height: int
    words: str


@dataclass(frozen=True)
class Chart:
    """The days of a month that count, as a drawing."""

    columns: list[Column]
    width: int


def chart_of(found: Report) -> Chart:
    """Return the days of a report as a drawing."""
    days = days_of(found.measured.window, found.downtimes)
    columns = [_column(number, *day) for number, day in enumerate(days)]
    return Chart(columns, max(len(columns), 1) * DAY_WIDTH)


def shown(downtimes: list[Downtime]) -> list[Downtime]:
    """Return the stretches that are listed, the first ones."""
    return downtimes[:DOWNTIMES_SHOWN]


def file_of(found: Report, *, money: bool) -> str:
    """Return a report as CSV; credits are for those who may see them. No text in it is anybody's own."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(("what", "from", "until", "figure", "unit", "note"))
    window = found.measured.window
    whole = (timestamp(window.starts_at) or "", timestamp(window.ends_at) or "")
    writer.writerows((what, *whole, *rest) for what, *rest in _figures(found, money=money))
    for each in found.downtimes:
        bounds = (timestamp(each.starts_at), timestamp(each.ends_at))
        writer.writerow(("downtime", *bounds, each.minutes, "minutes", each.why))
    return out.getvalue()


def _figures(found: Report, *, money: bool) -> Iterator[tuple[str, object, str, str]]:
    measured, served = found.measured, found.served
    yield "minutes counted", measured.minutes, "minutes", "" if found.is_over else "so far"
    yield "up", measured.up, "minutes", ""
    yield "down", measured.down, "minutes", f"at most {found.allowed} in the whole month"
    yield "not measured", measured.missing, "minutes", "counted as down"
    yield "availability", measured.percent, "", f"rounded down; target {TARGET_WORDS}"
    yield "batches", served.batches, "batches", "live ones that ended in the month"
    yield "items", served.items, "items", ""
    yield "succeeded", served.succeeded, "items", ""
    yield "failed", served.failed, "items", ""
    yield "refunded", served.refunded, "items", ""
    yield "refund coverage", served.coverage, "", "target 100 %"
    if money:
        yield "refunded", served.credits, "credits", ""


def _column(number: int, day: datetime, minutes: int, down: int) -> Column:
    height = min(HEIGHT, max(LEAST, HEIGHT * down // minutes)) if down else 0
    left = number * DAY_WIDTH
    words = f"{day:%Y-%m-%d}: {down:,} of {minutes:,} minutes down" if down else f"{day:%Y-%m-%d}: up"
    return Column(day.date(), left, left + (DAY_WIDTH - BAR_WIDTH) // 2, height, HEIGHT - height, words)
