"""What a customer's ledger page shows: a statement whose figures lead to their entries, and these."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Sum
from django.utils.http import urlencode

from customers.access import Access
from customers.models import Mode, Organization
from ledger.exports.selection import Selected
from ledger.intervals import Interval, Month, interval_of, month_after, month_at, month_before, month_of
from ledger.models import OUTSIDE_KINDS, CreditRequest, Entry, EntryQuerySet, Wallet
from ledger.pages import Equation, Line, lines, makers_of, reached_wallet, wallet_equation
from ledger.statements import Balances, Moved, Statement, faults_of, months_with_entries, statement_of
from sora2.pages import Rows, rows_after
from sora2.times import timestamp

ENTRIES_SHOWN = 100
# Asked for as a month: the whole life of a wallet.
EVERYTHING = "all"


@dataclass(frozen=True)
class Row:
    """A line of a statement, and the query that shows what it sums. Figures: entries, credits, and the balances."""

    label: str
    query: str
    figures: tuple[int | None, ...]
    signed: bool


@dataclass(frozen=True)
class Asked:
    """What somebody wants to see of a wallet, as texts; empty is not given.

    Without a zone it is the organization's own.
    """

    mode: str = Mode.LIVE
    month: str = ""
    start: str = ""
    end: str = ""
    zone: str = ""
    kind: str = ""
    reference: str = ""
    cursor: str = ""


@dataclass(frozen=True)
class Books:
    """A wallet's statement over an interval, and some of its entries there, newest first.

    `opening`, `moved` and `closing` are the statement's lines, `faults` say what does not add up. `earlier` and `later`
    are the months around, `count` and `amount` those of all entries that fit the filters. `kept` are the parameters
    that ask for the same interval again, `printed` is the query for its statement as a paper, `exported` the one for
    the same entries as files.
    """

    organization: Organization
    wallet: Wallet
    equation: Equation
    statement: Statement
    opening: Row
    moved: list[Row]
    closing: Row
    faults: list[str]
    months: list[Month]
    earlier: Month | None
    later: Month | None
    lines: list[Line]
    page: Rows[Entry]
    count: int
    amount: int
    kept: dict[str, str]
    printed: str
    exported: str


def books(access: Access, *, organization_id: str, asked: Asked, now: datetime) -> Books:
    """Return what a customer's wallet did in an interval: the one that is asked for, else the current month.

    Raises Http404 for what somebody does not reach, NotAnInterval for what names no interval.
    """
    statement = asked_statement(access, organization_id=organization_id, asked=asked, now=now, by_days=True)
    wallet, interval = statement.wallet, statement.interval
    entries = Selected(
        wallet, after=statement.before, through=statement.through, kind=asked.kind, reference=asked.reference
    ).entries()
    page = rows_after(entries, key="-seq", cursor=asked.cursor, size=ENTRIES_SHOWN)
    count, amount = _filtered(asked, statement, entries)
    return Books(
        organization=wallet.organization,
        wallet=wallet,
        equation=wallet_equation(wallet),
        statement=statement,
        opening=_opening(asked, statement),
        moved=[_moved(asked, interval, moved) for moved in statement.moved],
        closing=_closing(asked, statement),
        faults=faults_of(statement),
        months=_months(wallet, interval, now),
        earlier=month_before(interval) if isinstance(interval, Month) and statement.before else None,
        later=_later(interval, now),
        lines=lines(page.rows, requests=_requests(access, page.rows), names=makers_of(access, page.rows)),
        page=page,
        count=count,
        amount=amount,
        kept=asked_again(interval),
        printed=printed(asked, interval),
        exported=exported(asked, interval),
    )


def asked_statement(
    access: Access, *, organization_id: str, asked: Asked, now: datetime, by_days: bool = False
) -> Statement:
    """Return the statement that is asked for of a customer's wallet, its organization loaded. Raises as books()."""
    wallet = reached_wallet(access, organization_id=organization_id, mode=asked.mode)
    return statement_of(wallet=wallet, interval=_interval(wallet, asked, now), by_days=by_days)


def asked_again(interval: Interval) -> dict[str, str]:
    """Return the parameters that ask for an interval, whatever the current month is then."""
    if isinstance(interval, Month):
        return {"month": interval.month, "tz": interval.zone}
    given = {"from": interval.start, "until": interval.end}
    return {**(given if any(given.values()) else {"month": EVERYTHING}), "tz": interval.zone}


def printed(asked: Asked, interval: Interval) -> str:
    """Return the query for the statement over an interval, as a page and as a paper."""
    return _query(mode=asked.mode, **asked_again(interval))


def exported(asked: Asked, interval: Interval) -> str:
    """Return the query for the entries of an interval as files."""
    return _query(
        mode=asked.mode,
        kind=asked.kind,
        reference=asked.reference,
        created_after=timestamp(interval.starts_at) or "",
        created_before=timestamp(interval.ends_at) or "",
    )


def _filtered(asked: Asked, statement: Statement, entries: EntryQuerySet) -> tuple[int, int]:
    """Return how many entries fit the filters, and their credits: the statement knows, but of one reference."""
    if asked.reference:
        found = entries.aggregate(count=Count("pk"), amount=Sum("amount", default=0))
        return found["count"], found["amount"]
    moved = [each for each in statement.moved if asked.kind in ("", each.kind)]
    return sum(each.count for each in moved), sum(each.credits for each in moved)


def _requests(access: Access, entries: Iterable[Entry]) -> dict[str, str]:
    """Return the requests behind what came in and went out, to our staff: they are no customer's business."""
    references = [entry.reference for entry in entries if entry.kind in OUTSIDE_KINDS]
    if access.organization_ids is not None or not references:
        return {}
    approved = CreditRequest.objects.filter(reference__in=references, state=CreditRequest.State.APPROVED)
    return dict(approved.values_list("reference", "pk"))


def _interval(wallet: Wallet, asked: Asked, now: datetime) -> Interval:
    """Return the interval that is asked for.

    Without one it is the month of the entry that the cursor leads to, so that a link to an entry needs no month.
    """
    zone = asked.zone or wallet.organization.time_zone
    if asked.start or asked.end:
        return interval_of(asked.start, asked.end, zone)
    if asked.month == EVERYTHING:
        return interval_of("", "", zone)
    if asked.month:
        return month_of(asked.month, zone)
    if not asked.cursor:
        return month_at(now, zone)
    led = rows_after(Entry.objects.filter(wallet=wallet), key="-seq", cursor=asked.cursor, size=1).rows
    return month_at(led[0].created_at if led else now, zone)


def _later(interval: Interval, now: datetime) -> Month | None:
    """Return the month after the one shown, once it has begun."""
    later = month_after(interval) if isinstance(interval, Month) else None
    return later if later and later.starts_at <= now else None


def _months(wallet: Wallet, interval: Interval, now: datetime) -> list[Month]:
    """Return the months to choose from, newest first: those with entries, the current one, and the one shown."""
    offered = [*months_with_entries(wallet=wallet, zone=interval.zone), month_at(now, interval.zone)]
    if isinstance(interval, Month):
        offered.append(interval)
    by_month = {month.month: month for month in offered}
    return [by_month[month] for month in sorted(by_month, reverse=True)]


def _opening(asked: Asked, statement: Statement) -> Row:
    """Return the opening line; it leads to all that comes before the interval."""
    start = statement.interval.start
    query = _query(mode=asked.mode, tz=statement.interval.zone, until=start) if statement.before else ""
    return Row("Opening", query, (None, None, *_figures(statement.opening)), signed=False)


def _closing(asked: Asked, statement: Statement) -> Row:
    """Return the closing line; it leads to all that comes before the interval's end."""
    end = statement.interval.end
    query = _query(mode=asked.mode, tz=statement.interval.zone, until=end, month="" if end else EVERYTHING)
    return Row("Closing", query if statement.through else "", (None, None, *_figures(statement.closing)), signed=False)


def _moved(asked: Asked, interval: Interval, moved: Moved) -> Row:
    """Return the line of a kind; it leads to its entries."""
    query = _query(mode=asked.mode, kind=moved.kind, **asked_again(interval)) if moved.count else ""
    figures = (moved.count, moved.credits, *(figure or None for figure in _figures(moved.effect)))
    return Row(moved.kind.value, query, figures, signed=True)


def _figures(balances: Balances) -> tuple[int, ...]:
    return balances.available, balances.reserved, balances.settled, balances.funded


def _query(**given: str) -> str:
    return "?" + urlencode({name: value for name, value in given.items() if value})
