"""The statement as a paper: the figures of the JSON, in the form in which a CFO files them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from customers.models import Mode
from ledger.exports.selection import Selected
from ledger.models import Entry
from ledger.papers.setting import Paper, set_paper
from ledger.papers.texts import shown
from ledger.statements import Balances, Moved, Statement, faults_of
from sora2.api import BASE_PATH
from sora2.ids import is_id
from sora2.templatetags.figures import credits
from sora2.times import timestamp

TEMPLATE = "statement.typ"
# More rows than these belong into a file for machines; the paper says how many there are, and where.
ENTRIES_MAX, RESERVES_MAX = 500, 200
NAME_MAX, TEXT_MAX = 200, 80

KINDS: Mapping[Entry.Kind, str] = {
    Entry.Kind.GRANT: "Granted",
    Entry.Kind.RESERVE: "Reserved for batches",
    Entry.Kind.SETTLE: "Settled: items that succeeded",
    Entry.Kind.REFUND: "Refunded: items that failed",
    Entry.Kind.ADJUSTMENT_IN: "Adjusted, in",
    Entry.Kind.ADJUSTMENT_OUT: "Adjusted, out",
}


def statement_paper(statement: Statement, *, now: datetime) -> Paper:
    """Return a statement as PDF: of a closed interval the same bytes each time. Its organization must be loaded."""
    made_at = statement.interval.ends_at if statement.closed and statement.interval.ends_at else now
    entries = _entries(statement)
    body = set_paper(TEMPLATE, _data(statement, entries, now), made_at=made_at)
    return Paper(body, f"statement-{statement.wallet.pk}-{_stem(statement)}.pdf")


def _data(statement: Statement, entries: list[Entry], now: datetime) -> dict[str, Any]:
    wallet, faults = statement.wallet, faults_of(statement)
    return {
        "name": statement.interval.name,
        "customer": shown(wallet.organization.name, longest=NAME_MAX),
        "organization": wallet.organization_id,
        "wallet": wallet.pk,
        "test": wallet.mode == Mode.TEST,
        "zone": statement.interval.zone,
        "interval": _bounds(statement),
        "state": _state(statement, now),
        "opening": _figures(statement.opening),
        "movements": [_movement(moved) for moved in statement.moved],
        "closing": _figures(statement.closing),
        "checks": _checks(statement),
        "faults": faults,
        "range": _range(statement),
        "head": statement.head_hash,
        "reserved": credits(statement.closing.reserved),
        "reserves": [
            {
                "batch": _reference(reserve.reference),
                "request": shown(reserve.request_id, longest=TEXT_MAX),
                "since": _utc(reserve.since),
                "credits": credits(reserve.credits),
            }
            for reserve in statement.open_reserves[:RESERVES_MAX]
        ],
        "more_reserves": _more_reserves(statement),
        "entries": [_entry(entry) for entry in entries],
        "left_out": _left_out(statement),
    }


# --- the figures ---------------------------------------------------------------------------------------------------


def _figures(balances: Balances) -> list[str]:
    """Return the columns: available, reserved, settled, funded."""
    return [credits(each) for each in (balances.available, balances.reserved, balances.settled, balances.funded)]


def _movement(moved: Moved) -> dict[str, Any]:
    effect = (moved.effect.available, moved.effect.reserved, moved.effect.settled, moved.effect.funded)
    return {
        "kind": KINDS[moved.kind],
        "count": credits(moved.count),
        "credits": credits(moved.credits),
        "effect": [_signed(each) if each else "–" for each in effect],
    }


def _signed(figure: int) -> str:
    return f"+{credits(figure)}" if figure > 0 else credits(figure)


def _checks(statement: Statement) -> list[dict[str, Any]]:
    """Return opening + movements = closing of each balance, as sums to be followed with a pencil."""
    opening, effect, closing = statement.opening, statement.effect, statement.closing
    return [
        _check("Available", opening.available, effect.available, closing.available),
        _check("Reserved", opening.reserved, effect.reserved, closing.reserved),
        _check("Settled", opening.settled, effect.settled, closing.settled),
        _check("Funded", opening.funded, effect.funded, closing.funded),
    ]


def _check(balance: str, opening: int, change: int, closing: int) -> dict[str, Any]:
    sign = "−" if change < 0 else "+"
    return {
        "balance": balance,
        "sum": f"{credits(opening)} {sign} {credits(abs(change))} = {credits(opening + change)}",
        "closing": credits(closing),
        "holds": opening + change == closing,
    }


# --- the words -----------------------------------------------------------------------------------------------------


def _bounds(statement: Statement) -> list[str]:
    """Say from when until when, by the zone's clock and in UTC."""
    interval = statement.interval
    local = [
        f"{at.astimezone(interval.tz):%d %B %Y, %H:%M:%S}" if at else ""
        for at in (interval.starts_at, interval.ends_at)
    ]
    utc = [timestamp(interval.starts_at) or "the first entry", timestamp(interval.ends_at) or "the last entry"]
    return [f"From {local[0] or 'the first entry'} until before {local[1] or 'now'}", f"{utc[0]} – {utc[1]}"]


def _state(statement: Statement, now: datetime) -> str:
    if statement.closed:
        return "Closed. No entry can be dated into this interval any more; this paper stays as it is."
    return f"Interim. The interval is still open; the figures are those of {_utc(now)} UTC."


def _range(statement: Statement) -> str:
    first, last = statement.first_seq, statement.last_seq
    if first is None or last is None:
        return "No entry is dated into this interval."
    numbers = f"number {first:,}" if first == last else f"numbers {first:,} to {last:,}"
    gap = "without a gap" if not statement.missing else f"with {statement.missing:,} missing"
    return f"{statement.count:,} {'entry' if statement.count == 1 else 'entries'}, {numbers}, {gap}."


def _more_reserves(statement: Statement) -> str:
    more = statement.open_reserves[RESERVES_MAX:]
    held = sum(reserve.credits for reserve in more)
    return f"… and {len(more):,} more, which hold {credits(held)} credits: the CSV lists them all." if more else ""


def _left_out(statement: Statement) -> str:
    if statement.count <= ENTRIES_MAX:
        return ""
    given = {"created_after": statement.interval.starts_at, "created_before": statement.interval.ends_at}
    query = "&".join(f"{name}={timestamp(at)}" for name, at in given.items() if at)
    return (
        f"The {statement.count:,} entries are not printed here; a paper shows {ENTRIES_MAX:,} at most. They are in the "
        f"CSV of the same interval: GET {BASE_PATH}/ledger.csv{f'?{query}' if query else ''}"
    )


# --- the entries ---------------------------------------------------------------------------------------------------


def _entries(statement: Statement) -> list[Entry]:
    if statement.count > ENTRIES_MAX:
        return []
    return list(Selected(statement.wallet, after=statement.before, through=statement.through).in_order())


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "seq": credits(entry.seq),
        "at": _utc(entry.created_at),
        "kind": entry.kind.replace("_", " "),
        "amount": credits(entry.amount),
        "after": [credits(each) for each in (entry.available_after, entry.reserved_after, entry.settled_after)],
        "reference": _reference(entry.reference),
        "request": shown(entry.request_id, longest=TEXT_MAX),
        "reason": shown(entry.reason, longest=2 * TEXT_MAX),
        "hash": entry.hash[:12],
    }


def _reference(text: str) -> str:
    """Return an id whole, so that it can be copied and looked up; another text as it can be shown."""
    return text if is_id(text, text[:3]) else shown(text, longest=TEXT_MAX)


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _stem(statement: Statement) -> str:
    """Return the part of the file's name that says which interval: `2026-10`, or days."""
    month = getattr(statement.interval, "month", "")
    days = [each[:10] for each in (statement.interval.start, statement.interval.end) if each]
    return month or "_".join(days) or "everything"
