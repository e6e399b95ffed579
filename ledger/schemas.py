"""The wallet and the ledger in OpenAPI."""

from ledger import examples
from ledger.exports.formats import BEANCOUNT, CSV, XLSX
from ledger.models import Entry
from sora2.operations import (
    CREDITS,
    FLAG,
    INSTANT,
    NUMBER,
    PAGING,
    PERIOD,
    SHA256,
    TEXT,
    Answer,
    Operation,
    Schema,
    choice,
    identifier,
    page,
    query,
    record,
    ref,
    said,
)

COMPONENTS = {
    "Wallet": record(
        "The credits of the organization in the key's mode: funded = available + reserved + settled.",
        funded=CREDITS,
        available=CREDITS,
        reserved=CREDITS,
        settled=CREDITS,
        livemode=FLAG,
    ),
    "LedgerEntry": record(
        "One movement of credits. Entries are numbered without gaps and chained by their hashes.",
        wallet_id=identifier("wal"),
        seq=said(NUMBER, "Number of the entry in its wallet: 1, 2, 3 …"),
        entry_id=identifier("led"),
        created_at=INSTANT,
        kind=choice(Entry.Kind.values),
        amount=said({**CREDITS, "minimum": 1}, "Always positive; `kind` says where the credits move."),
        available_after=CREDITS,
        reserved_after=CREDITS,
        settled_after=CREDITS,
        reference=said(TEXT, "The batch, or what else it is for."),
        request_id=said(TEXT, "Your own id of the batch, or empty."),
        actor=TEXT,
        reason=TEXT,
        prev_hash=SHA256,
        hash=SHA256,
    ),
    "LedgerPage": page("LedgerEntry"),
}

FILTERS = (
    *PERIOD,
    query("kind", choice(Entry.Kind.values), "Only entries of this kind."),
    query("batch_id", TEXT, "Only entries of this batch."),
)


def export(
    name: str, summary: str, description: str, file: Schema, content_type: str, example: str | None = None
) -> Operation:
    """Return the operation that answers with the entries as a file."""
    headers = {"Content-Disposition": "`attachment`, with the name of the file."}
    return Operation(
        name=name,
        tag="Ledger",
        summary=summary,
        scope="ledger:read",
        parameters=FILTERS,
        answers={200: Answer(description, file, content_type=content_type, headers=headers, example=example)},
        errors=["not_found", "validation_error"],
    )


SHOW_WALLET = Operation(
    name="showWallet",
    tag="Ledger",
    summary="Show the wallet",
    scope="ledger:read",
    answers={200: Answer("The wallet of the key's mode.", ref("Wallet"), example=examples.WALLET)},
    errors=["not_found"],
)
LIST_ENTRIES = Operation(
    name="listLedgerEntries",
    tag="Ledger",
    summary="List the wallet's entries, newest first",
    scope="ledger:read",
    parameters=[*FILTERS, *PAGING],
    answers={200: Answer("A page of entries.", ref("LedgerPage"), example=examples.LEDGER_PAGE)},
    errors=["not_found", "validation_error"],
)
EXPORT_CSV = export(
    "exportLedgerCsv",
    "Download the wallet's entries as CSV, oldest first",
    "One line for each entry, with the columns of `LedgerEntry` in their order, by RFC 4180. A text that starts with "
    "`=`, `+`, `-`, `@`, tab, carriage return or `'` has a `'` in front: strip one. An interval that has passed gives "
    "the same bytes each time.",
    TEXT,
    CSV.content_type,
    examples.LEDGER_CSV,
)
EXPORT_XLSX = export(
    "exportLedgerXlsx",
    "Download the wallet's entries as a workbook, oldest first",
    "The same columns; figures are numbers, everything else is text.",
    {"type": "string", "contentMediaType": XLSX.content_type},
    XLSX.content_type,
)
EXPORT_BEANCOUNT = export(
    "exportLedgerBeancount",
    "Download the wallet's entries as plain-text double entry",
    "A file for Beancount, with the balances that the entries say: `bean-check` fails if one is missing.",
    TEXT,
    BEANCOUNT.content_type,
    examples.LEDGER_BEANCOUNT,
)
