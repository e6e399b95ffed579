"""`ledger.csv`: RFC 4180, made by PostgreSQL's COPY and streamed as it comes."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connection

from ledger.exports.selection import Selected

BLOCK_BYTES = 64 * 1024
CARRIAGE_RETURN, LINE_FEED = b"\r\n"
# The sealed fields in their order, and the chain.
COLUMNS = (
    *("wallet_id", "seq", "entry_id", "created_at", "kind", "amount"),
    *("available_after", "reserved_after", "settled_after", "reference", "request_id", "actor", "reason"),
    *("prev_hash", "hash"),
)
# Texts that somebody chose. One that a spreadsheet would run, or that starts with the guard itself, gets the guard.
GUARDED = ("reference", "request_id", "actor", "reason")
GUARDED_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")
# By the number of its first character, which PostgreSQL compares at half the cost of a text; that of no text is 0.
STARTS = ", ".join(str(ord(character)) for character in GUARDED_STARTS)


def guarded(column: str, name: str = "") -> str:
    """Return the SQL of a text that no spreadsheet runs, under its own name or another."""
    return f"CASE WHEN ascii({column}) IN ({STARTS}) THEN '''' || {column} ELSE {column} END AS {name or column}"


def guarded_text(text: str) -> str:
    """Return a text as `guarded` gives it."""
    return f"'{text}" if text.startswith(GUARDED_STARTS) else text


def instant(column: str) -> str:
    """Return the SQL of a time as RFC 3339 in UTC, with microseconds and `Z`."""
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS {column}"""


EXPRESSIONS = {"created_at": instant("created_at"), **{column: guarded(column) for column in GUARDED}}
COPY = f"""
    COPY (SELECT {", ".join(EXPRESSIONS.get(column, column) for column in COLUMNS)}
          FROM ({{entries}}) e ORDER BY seq) TO STDOUT (FORMAT csv, HEADER)
"""  # noqa: S608 - our own names.


def blocks(selected: Selected) -> Iterator[bytes]:
    """Yield the file. Closed before its end it cancels the COPY, and the connection can be used again."""
    entries, values = selected.entries().query.sql_with_params()
    yield from rows_as_sent(COPY.format(entries=entries), values)


def rows_as_sent(copy_to: str, values: Sequence[Any]) -> Iterator[bytes]:
    """Yield what a `COPY … TO STDOUT (FORMAT csv)` sends, each row ended as RFC 4180 has it."""
    block = bytearray()
    with connection.cursor() as cursor, cursor.copy(cursor.mogrify(copy_to, values)) as copy:
        # The protocol brings exactly one row in each message, so the line feed at its end is the row's.
        for row in copy:
            block += row
            block[-1] = CARRIAGE_RETURN
            block.append(LINE_FEED)
            if len(block) >= BLOCK_BYTES:
                yield bytes(block)
                block.clear()
    if block:
        yield bytes(block)
