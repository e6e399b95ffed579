"""Seals in OpenAPI."""

from ledger import examples
from sora2.operations import (
    INSTANT,
    NUMBER,
    PAGING,
    SHA256,
    TEXT,
    Answer,
    Operation,
    Schema,
    identifier,
    list_of,
    page,
    record,
    ref,
    said,
)

KEY_ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{16}$", "description": "Which of the published keys signed."}

COMPONENTS = {
    "Seal": record(
        "A signed Merkle root over the heads of all wallets, chained to the seal before.",
        number=said({**NUMBER, "minimum": 1}, "1, 2, 3 … without gaps."),
        sealed_at=INSTANT,
        wallets=said({**NUMBER, "minimum": 0}, "The size of the tree."),
        root=SHA256,
        previous=said(SHA256, "The hash of the seal before; 64 zeros for the first."),
        key_id=KEY_ID,
    ),
    "SealPage": page("Seal"),
    "SealWithPath": record(
        "A seal, and the path that proves it was made over your wallet. Keep it: with it the verifier finds entries "
        "that were cut off, and a history that was rewritten.",
        key_id=KEY_ID,
        seal=record(
            "What is signed, as canonical JSON.",
            format={"const": "sora2-ledger-seal-1"},
            number={**NUMBER, "minimum": 1},
            previous=SHA256,
            root=SHA256,
            sealed_at=INSTANT,
            wallets=NUMBER,
        ),
        signature=said(TEXT, "Ed25519 over the canonical JSON of `seal`, as base64."),
        wallet=record(
            "Your wallet when it was sealed: how many entries it had, and the hash of the last.",
            wallet_id=identifier("wal"),
            seq={**NUMBER, "minimum": 1},
            hash=SHA256,
        ),
        index=said({**NUMBER, "minimum": 0}, "The wallet's place among the leaves of the tree."),
        path=said(list_of(SHA256), "The hashes beside the way from the leaf up to the root (RFC 9162, 2.1.3)."),
    ),
}

LIST_SEALS = Operation(
    name="listSeals",
    tag="Ledger",
    summary="List the seals over the ledger, newest first",
    scope="ledger:read",
    parameters=PAGING,
    answers={200: Answer("A page of seals.", ref("SealPage"), example=examples.SEAL_PAGE)},
    errors=["validation_error"],
)
SHOW_SEAL = Operation(
    name="showSeal",
    tag="Ledger",
    summary="Get a seal with the path of the wallet",
    scope="ledger:read",
    parameters=[
        {
            "name": "number",
            "in": "path",
            "required": True,
            "description": "The number of the seal.",
            "schema": {**NUMBER, "minimum": 1},
        }
    ],
    answers={
        200: Answer(
            "The file that the verifier takes: canonical JSON and a line feed.",
            ref("SealWithPath"),
            example=examples.SEAL,
        )
    },
    errors=["not_found"],
)
