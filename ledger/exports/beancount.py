"""`ledger.beancount`: the entries as plain-text double entry, with balances that `bean-check` compares.

The format is that of Beancount 2 and 3 (PyPI `beancount`). What is asserted is never the sum of what is printed: it is
what the entries themselves say, or, where filters leave gaps between them, what the database adds up.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta

from django.db import connection

from ledger.exports.selection import Selected
from ledger.models import Entry
from sora2.times import timestamp

BLOCK_CHARACTERS = 64 * 1024
AVAILABLE, RESERVED = "Assets:Credits:Available", "Assets:Credits:Reserved"
SETTLED, FUNDED = "Expenses:Credits:Settled", "Equity:Credits:Funded"
ACCOUNTS = (AVAILABLE, RESERVED, SETTLED, FUNDED)

# Where each kind takes credits from, and where it brings them.
MOVES = {
    Entry.Kind.GRANT: (FUNDED, AVAILABLE),
    Entry.Kind.RESERVE: (AVAILABLE, RESERVED),
    Entry.Kind.SETTLE: (RESERVED, SETTLED),
    Entry.Kind.REFUND: (RESERVED, AVAILABLE),
    Entry.Kind.ADJUSTMENT_IN: (FUNDED, AVAILABLE),
    Entry.Kind.ADJUSTMENT_OUT: (AVAILABLE, FUNDED),
}
ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
LINK = re.compile(r"[A-Za-z0-9\-_/.]+")

# What the entries moved, by the rule that posts them.
SUMS = """
    SELECT coalesce(sum(m.available * e.amount), 0), coalesce(sum(m.reserved * e.amount), 0),
           coalesce(sum(m.settled * e.amount), 0)
    FROM ({entries}) e CROSS JOIN LATERAL ledger_movement(e.kind) m
"""


def blocks(selected: Selected) -> Iterator[bytes]:
    """Yield the file, in UTF-8."""
    gathered, size = [], 0
    for directive in _directives(selected):
        gathered.append(directive)
        size += len(directive)
        if size >= BLOCK_CHARACTERS:
            yield "".join(gathered).encode()
            gathered, size = [], 0
    yield "".join(gathered).encode()


def _directives(selected: Selected) -> Iterator[str]:
    opening = selected.before() if selected.whole else None
    first = opening or selected.entries().order_by("seq").first()
    start = _day(first.created_at if first else selected.wallet.created_at)
    yield _head(selected, start)
    if opening:
        yield _opening(opening)
    last = opening
    for entry in selected.in_order():
        if selected.whole and last and _day(last.created_at) != _day(entry.created_at):
            yield _closing(_day(last.created_at), _balances(last))
        yield _transaction(entry)
        last = entry
    balances = _balances(last) if selected.whole else _sums(selected)
    yield _closing(_day(last.created_at) if last else start, balances)


def _head(selected: Selected, start: date) -> str:
    wallet = selected.wallet
    filters = [f"{name} {text}" for name, text in (("kind", selected.kind), ("reference", selected.reference)) if text]
    return "\n".join(
        [
            f'option "title" {quoted(", ".join([f"Credits of {wallet.pk} ({wallet.mode})", *filters]))}',
            'option "operating_currency" "CREDIT"',
            "",
            f"{start} commodity CREDIT",
            *(f"{start} open {account} CREDIT" for account in ACCOUNTS),
            "\n",
        ]
    )


def _opening(entry: Entry) -> str:
    """Bring in what all entries before these left."""
    head = f'{_day(entry.created_at)} * "opening balances, after entry {entry.seq}"'
    postings = (f"  {account}  {amount} CREDIT" for account, amount in _accounts(_balances(entry)))
    return "\n".join([head, *postings, "\n"])


def _transaction(entry: Entry) -> str:
    source, target = MOVES[Entry.Kind(entry.kind)]
    link = f" ^{entry.reference}" if LINK.fullmatch(entry.reference) else ""
    return (
        f'{_day(entry.created_at)} * "{entry.kind}"{link}\n'
        f"  seq: {entry.seq}\n"
        f'  entry_id: "{entry.pk}"\n'
        f'  created_at: "{timestamp(entry.created_at)}"\n'
        f"  reference: {quoted(entry.reference)}\n"
        f"  request_id: {quoted(entry.request_id)}\n"
        f"  actor: {quoted(entry.actor)}\n"
        f"  reason: {quoted(entry.reason)}\n"
        f'  hash: "{entry.hash}"\n'
        f"  {source}  -{entry.amount} CREDIT\n"
        f"  {target}  {entry.amount} CREDIT\n\n"
    )


def _closing(day: date, balances: tuple[int, int, int]) -> str:
    """Assert what a day ends with: Beancount looks at balances before the day that it is told."""
    after = day + timedelta(days=1)
    lines = (f"{after} balance {account}  {amount} CREDIT" for account, amount in _accounts(balances))
    return "\n".join([*lines, "\n"])


def _accounts(balances: tuple[int, int, int]) -> Iterable[tuple[str, int]]:
    return zip(ACCOUNTS, (*balances, -sum(balances)), strict=True)


def _balances(entry: Entry | None) -> tuple[int, int, int]:
    """Return what was available, reserved and settled after an entry, as it says itself."""
    return (entry.available_after, entry.reserved_after, entry.settled_after) if entry else (0, 0, 0)


def _sums(selected: Selected) -> tuple[int, int, int]:
    entries, values = selected.entries().query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(SUMS.format(entries=entries), values)
        available, reserved, settled = cursor.fetchone()
    return int(available), int(reserved), int(settled)


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()


def quoted(value: str) -> str:
    return f'"{value.translate(ESCAPES)}"'
