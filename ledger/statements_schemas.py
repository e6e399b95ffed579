"""Statements in OpenAPI."""

from ledger import examples
from ledger.exports.formats import CSV
from ledger.models import Entry
from ledger.papers.setting import CONTENT_TYPE
from ledger.papers.statement import ENTRIES_MAX
from sora2.operations import (
    CREDITS,
    FLAG,
    INSTANT,
    NUMBER,
    SHA256,
    TEXT,
    Answer,
    Operation,
    Schema,
    choice,
    identifier,
    list_of,
    nullable,
    query,
    record,
    ref,
    said,
)

CSV_COLUMNS = (
    *("wallet_id", "section", "at", "kind", "seq", "hash", "reference", "request_id", "count", "credits"),
    *("funded", "available", "reserved", "settled"),
)

CHANGE: Schema = {"type": "integer", "format": "int64"}
MONTH: Schema = {
    "name": "month",
    "in": "path",
    "required": True,
    "description": "A month such as 2026-10. One that is not over gives its statement so far.",
    "schema": {"type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])$"},
}
ZONE = query("tz", {**TEXT, "default": "UTC"}, "The time zone whose midnights bound the month, such as Europe/Berlin.")

COMPONENTS = {
    "Balances": record(
        "What a wallet holds: funded = available + reserved + settled.",
        funded=CREDITS,
        available=CREDITS,
        reserved=CREDITS,
        settled=CREDITS,
    ),
    "StatementMovement": record(
        "The entries of one kind, and by how much they changed the balances.",
        kind=choice(Entry.Kind.values),
        count={**NUMBER, "minimum": 0},
        credits=CREDITS,
        effect=record(funded=CHANGE, available=CHANGE, reserved=CHANGE, settled=CHANGE),
    ),
    "OpenReserve": record(
        "Credits that were held for a batch at the end.",
        reference=said(TEXT, "The batch."),
        request_id=said(TEXT, "Your own id of the batch."),
        since=INSTANT,
        credits=said({**CREDITS, "minimum": 1}, "What was still held of its reserve."),
    ),
    "Statement": record(
        "A wallet over a month: what it held, what moved, what it holds. "
        "`balanced` says that opening + movements = closing, that no entry is missing between, "
        "and that the open reserves are all that is reserved.",
        {
            "ok": {"const": True},
            "month": MONTH["schema"],
            "tz": TEXT,
            "from": said(INSTANT, "The month's first instant."),
            "until": said(INSTANT, "That of the next month."),
        },
        wallet_id=identifier("wal"),
        livemode=FLAG,
        closed=said(FLAG, "No entry can be dated into the month any more: this statement stays as it is."),
        opening=ref("Balances"),
        movements=said(list_of(ref("StatementMovement")), "Every kind, in the same order each time."),
        closing=ref("Balances"),
        balanced=FLAG,
        entries={**NUMBER, "minimum": 0},
        first_seq=said(nullable(NUMBER), "Number of the month's first entry; null when there is none."),
        last_seq=said(nullable(NUMBER), "Number of its last entry."),
        head_hash=said(SHA256, "The hash of the last entry before the end, 64 zeros when there is none."),
        open_reserves=list_of(ref("OpenReserve")),
    ),
}

SHOW_STATEMENT = Operation(
    name="showStatement",
    tag="Ledger",
    summary="Show the statement of a month",
    scope="ledger:read",
    parameters=[MONTH, ZONE],
    answers={
        200: Answer("The statement of the wallet of the key's mode.", ref("Statement"), example=examples.STATEMENT)
    },
    errors=["not_found", "validation_error"],
)
SHOW_STATEMENT_CSV = Operation(
    name="showStatementCsv",
    tag="Ledger",
    summary="Download the statement of a month as CSV",
    scope="ledger:read",
    parameters=[MONTH, ZONE],
    answers={
        200: Answer(
            f"The columns `{'`, `'.join(CSV_COLUMNS)}`, by RFC 4180. `section` is `opening`, `movement` (a line for "
            "each kind, with its changes), `closing` or `open_reserve`. A text that starts with `=`, `+`, `-`, `@`, "
            "tab, carriage return or `'` has a `'` in front: strip one.",
            TEXT,
            content_type=CSV.content_type,
            headers={"Content-Disposition": "`attachment`, with the name of the file."},
            example=examples.STATEMENT_CSV,
        )
    },
    errors=["not_found", "validation_error"],
)
SHOW_STATEMENT_PDF = Operation(
    name="showStatementPdf",
    tag="Ledger",
    summary="Download the statement of a month as PDF",
    scope="ledger:read",
    parameters=[MONTH, ZONE],
    answers={
        200: Answer(
            "The figures of the JSON as a paper (PDF/A-2a, PDF/UA-1), with the entries as an appendix where they are "
            f"{ENTRIES_MAX:,} at most. Of a month that is `closed`, the same bytes each time.",
            {"type": "string", "contentMediaType": CONTENT_TYPE},
            content_type=CONTENT_TYPE,
            headers={"Content-Disposition": "`attachment`, with the name of the file."},
        )
    },
    errors=["not_found", "validation_error"],
)
