"""The wallet and the ledger in OpenAPI."""

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

SHOW_WALLET = Operation(
    name="showWallet",
    tag="Ledger",
    summary="Show the wallet",
    scope="ledger:read",
    answers={200: Answer("The wallet of the key's mode.", ref("Wallet"))},
    errors=["not_found"],
)
LIST_ENTRIES = Operation(
    name="listLedgerEntries",
    tag="Ledger",
    summary="List the wallet's entries, newest first",
    scope="ledger:read",
    parameters=[
        *PERIOD,
        query("kind", choice(Entry.Kind.values), "Only entries of this kind."),
        query("batch_id", TEXT, "Only entries of this batch."),
        *PAGING,
    ],
    answers={200: Answer("A page of entries.", ref("LedgerPage"))},
    errors=["not_found", "validation_error"],
)
