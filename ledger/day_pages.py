"""Credits per day as pages show them: home's chart with its table, and the customers behind one day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.http import Http404

from customers.access import Access
from ledger.days import Day, Share, days_until, shares_of
from ledger.models import Entry
from sora2.pages import with_query
from sora2.zones import UTC_NAME

DAYS_SHOWN, CUSTOMERS_SHOWN = 30, 200
# The drawing's units: each day is so wide, with bars in its middle, and the scale so high.
DAY_WIDTH, BAR_WIDTH, HEIGHT = 20, 12, 100
# The scale ends at one of these, times a power of ten.
SCALE_STEPS = (1, 2, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True)
class Figure:
    """One figure, and the page of what it sums; no page for nothing."""

    credits: int
    address: str


@dataclass(frozen=True)
class Row:
    """The figures of a day, or of a customer on it: reserved, settled, refunded."""

    label: str
    address: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Column:
    """How a day is drawn: where it begins, its two bars from the top down, in words, and the page of what it sums."""

    left: int
    bar_left: int
    refunded_top: float
    refunded_height: float
    settled_top: float
    settled_height: float
    words: str
    address: str


@dataclass(frozen=True)
class Chart:
    """Credits per day: drawn, in a table (newest first), and together. `top` is where the scale ends."""

    columns: list[Column]
    line: str
    top: int
    width: int
    rows: list[Row]
    reserved: int
    settled: int
    refunded: int
    first: date
    middle: date
    last: date

    @property
    def is_empty(self) -> bool:
        """Say that nothing moved on any day."""
        return not (self.reserved or self.settled or self.refunded)


@dataclass(frozen=True)
class DayPage:
    """One day: what each customer moved, the largest first, all of `count` together, and the `rest` that is not listed.

    `after` is the day that follows, once it has begun.
    """

    day: date
    rows: list[Row]
    count: int
    total: Day
    rest: Day
    before: date
    after: date | None


def chart(access: Access, *, mode: str, now: datetime) -> Chart:
    """Return the last 30 days of a mode, today among them, as far as somebody reaches them. Days are UTC's."""
    days = days_until(access, mode=mode, last=now.astimezone(UTC).date(), count=DAYS_SHOWN)
    top = _scale_of(max(max(day.reserved, day.settled + day.refunded) for day in days))
    rows = [_row_of_day(access, mode, day) for day in days]
    columns = [_column(number, day, top, row.address) for number, (day, row) in enumerate(zip(days, rows, strict=True))]
    points = (
        f"{column.left + DAY_WIDTH / 2:g},{_y(day.reserved, top):g}" for column, day in zip(columns, days, strict=True)
    )
    return Chart(
        columns=columns,
        line=" ".join(points),
        top=top,
        width=DAY_WIDTH * len(days),
        rows=rows[::-1],
        reserved=sum(day.reserved for day in days),
        settled=sum(day.settled for day in days),
        refunded=sum(day.refunded for day in days),
        first=days[0].day,
        middle=days[len(days) // 2].day,
        last=days[-1].day,
    )


def day_page(access: Access, *, mode: str, text: str, now: datetime) -> DayPage:
    """Return one day that is written like 2026-10-31. Raises Http404 for what is none, or has not begun."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Http404 from None
    today = now.astimezone(UTC).date()
    if day > today or day.isoformat() != text or day == date.min:
        raise Http404
    shares = shares_of(access, mode=mode, day=day)
    return DayPage(
        day=day,
        rows=[_row_of_share(mode, day, share) for share in shares[:CUSTOMERS_SHOWN]],
        count=len(shares),
        total=_together(day, shares),
        rest=_together(day, shares[CUSTOMERS_SHOWN:]),
        before=day - timedelta(days=1),
        after=day + timedelta(days=1) if day < today else None,
    )


def _together(day: date, shares: Sequence[Share]) -> Day:
    return Day(
        day,
        reserved=sum(share.reserved for share in shares),
        settled=sum(share.settled for share in shares),
        refunded=sum(share.refunded for share in shares),
    )


def _row_of_day(access: Access, mode: str, day: Day) -> Row:
    """Who belongs to one customer goes to their statement at once, others to the customers behind the day."""
    figures = (day.reserved, day.settled, day.refunded)
    if access.organization_ids is not None and len(access.organization_ids) == 1:
        return _row(day.day.isoformat(), mode, day.day, figures, owner=next(iter(access.organization_ids)))
    page = with_query("admin:ledger_day", day.day.isoformat(), mode=mode)
    linked = tuple(Figure(credits, page if credits else "") for credits in figures)
    return Row(day.day.isoformat(), page if any(figures) else "", linked)


def _row_of_share(mode: str, day: date, share: Share) -> Row:
    figures = (share.reserved, share.settled, share.refunded)
    return _row(share.name, mode, day, figures, owner=share.organization_id)


def _row(label: str, mode: str, day: date, figures: Sequence[int], *, owner: str) -> Row:
    """Return a row whose figures lead to a customer's entries of that day and kind."""
    kinds = (Entry.Kind.RESERVE, Entry.Kind.SETTLE, Entry.Kind.REFUND)
    linked = tuple(
        Figure(credits, _statement(mode, day, owner, kind=kind.value) if credits else "")
        for kind, credits in zip(kinds, figures, strict=True)
    )
    return Row(label, _statement(mode, day, owner) if any(figures) else "", linked)


def _statement(mode: str, day: date, owner: str, **more: str) -> str:
    interval = {"from": day.isoformat(), "until": (day + timedelta(days=1)).isoformat(), "tz": UTC_NAME}
    return with_query("admin:statement", owner, mode=mode, **interval, **more)


def _column(number: int, day: Day, top: int, address: str) -> Column:
    settled, both = _y(day.settled, top), _y(day.settled + day.refunded, top)
    return Column(
        left=number * DAY_WIDTH,
        bar_left=number * DAY_WIDTH + (DAY_WIDTH - BAR_WIDTH) // 2,
        refunded_top=both,
        refunded_height=round(settled - both, 2),
        settled_top=settled,
        settled_height=round(HEIGHT - settled, 2),
        words=f"{day.day}: {day.reserved:,} reserved, {day.settled:,} settled, {day.refunded:,} refunded",
        address=address,
    )


def _y(credits: int, top: int) -> float:
    """Return how far from the drawing's upper edge so many credits reach."""
    return round(HEIGHT - HEIGHT * credits / top, 2)


def _scale_of(most: int) -> int:
    """Return the least round figure that is no less."""
    power = 10 ** (len(str(most)) - 1)
    return next(step * power for step in SCALE_STEPS if step * power >= most) or 1
