"""`ledger.csv`: RFC 4180, made by PostgreSQL's COPY and streamed as it comes."""

from collections.abc import Iterator

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
# By the number of its first character, which PostgreSQL compares at half the cost of a text; that of no text is 0.
GUARDED = ("reference", "request_id", "actor", "reason")
GUARDED_STARTS = "=+-@\t\r'"
STARTS = ", ".join(str(ord(character)) for character in GUARDED_STARTS)
GUARD = f"CASE WHEN ascii({{0}}) IN ({STARTS}) THEN '''' || {{0}} ELSE {{0}} END AS {{0}}"
EXPRESSIONS = {
    "created_at": """to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at""",
    **{column: GUARD.format(column) for column in GUARDED},
}
COPY = f"""
    COPY (SELECT {", ".join(EXPRESSIONS.get(column, column) for column in COLUMNS)}
          FROM ({{entries}}) e ORDER BY seq) TO STDOUT (FORMAT csv, HEADER)
"""  # noqa: S608 - our own names.


def blocks(selected: Selected) -> Iterator[bytes]:
    """Yield the file. Closed before its end it cancels the COPY, and the connection can be used again."""
    entries, values = selected.entries().query.sql_with_params()
    block = bytearray()
    with connection.cursor() as cursor, cursor.copy(cursor.mogrify(COPY.format(entries=entries), values)) as copy:
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
