"""Examples of the ledger's answers for OpenAPI: the grant of 100 credits, and one batch that cost 90 of them."""

import hashlib
from typing import Any

ID = "01kadf7q2m3n4p5r6s7t8v9w0x"
WALLET_ID, BATCH_ID = f"wal_{ID}", f"bat_{ID}"
NO_HASH = "0" * 64


def sha256(name: str) -> str:
    """Return something that looks like the hash it stands for, the same each time."""
    return hashlib.sha256(name.encode()).hexdigest()


def _entry(seq: int, kind: str, amount: int, after: tuple[int, int, int], **own: str) -> dict[str, Any]:
    available, reserved, settled = after
    return {
        "wallet_id": WALLET_ID,
        "seq": seq,
        "entry_id": f"led_{ID[:-1]}{seq}",
        "created_at": f"2026-01-24T{6 + seq:02}:00:00.000000Z",
        "kind": kind,
        "amount": amount,
        "available_after": available,
        "reserved_after": reserved,
        "settled_after": settled,
        "reference": BATCH_ID,
        "request_id": "order-123",
        "actor": "system",
        **own,
        "prev_hash": sha256(f"entry {seq - 1}") if seq > 1 else NO_HASH,
        "hash": sha256(f"entry {seq}"),
    }


GRANT = _entry(
    1, "grant", 100, (100, 0, 0), reference="invoice 2026-017", request_id="", actor=f"usr_{ID}", reason="Invoice paid"
)
OF_BATCH = [
    _entry(2, "reserve", 100, (0, 100, 0), actor=f"key_{ID}", reason="10 items"),
    _entry(3, "settle", 90, (0, 10, 90), reason="9 of 10 items succeeded"),
    _entry(4, "refund", 10, (10, 0, 90), reason="1 of 10 items failed"),
]
WALLET = {"funded": 100, "available": 10, "reserved": 0, "settled": 90, "livemode": True}
LEDGER_PAGE = {"ok": True, "data": [*reversed(OF_BATCH), GRANT], "next_cursor": None}
_LINES = [list(GRANT), *(list(map(str, entry.values())) for entry in (GRANT, *OF_BATCH))]
LEDGER_CSV = "".join(",".join(line) + "\r\n" for line in _LINES)
LEDGER_BEANCOUNT = f"""option "title" "Credits of {WALLET_ID} (live)"
option "operating_currency" "CREDIT"

2026-01-24 commodity CREDIT
2026-01-24 open Assets:Credits:Available CREDIT
2026-01-24 open Equity:Credits:Funded CREDIT

2026-01-24 * "grant" ^invoice-2026-017
  seq: 1
  entry_id: "{GRANT["entry_id"]}"
  Equity:Credits:Funded  -100 CREDIT
  Assets:Credits:Available  100 CREDIT
"""

_NOTHING = {"funded": 0, "available": 0, "reserved": 0, "settled": 0}
STATEMENT: dict[str, Any] = {
    "ok": True,
    "month": "2026-01",
    "tz": "UTC",
    "from": "2026-01-01T00:00:00.000000Z",
    "until": "2026-02-01T00:00:00.000000Z",
    "wallet_id": WALLET_ID,
    "livemode": True,
    "closed": True,
    "opening": _NOTHING,
    "movements": [
        {"kind": "grant", "count": 1, "credits": 100, "effect": {**_NOTHING, "funded": 100, "available": 100}},
        {"kind": "reserve", "count": 1, "credits": 100, "effect": {**_NOTHING, "available": -100, "reserved": 100}},
        {"kind": "settle", "count": 1, "credits": 90, "effect": {**_NOTHING, "reserved": -90, "settled": 90}},
        {"kind": "refund", "count": 1, "credits": 10, "effect": {**_NOTHING, "reserved": -10, "available": 10}},
        {"kind": "adjustment_in", "count": 0, "credits": 0, "effect": _NOTHING},
        {"kind": "adjustment_out", "count": 0, "credits": 0, "effect": _NOTHING},
    ],
    "closing": {"funded": 100, "available": 10, "reserved": 0, "settled": 90},
    "balanced": True,
    "entries": 4,
    "first_seq": 1,
    "last_seq": 4,
    "head_hash": sha256("entry 4"),
    "open_reserves": [],
}
STATEMENT_CSV = "\r\n".join(
    [
        "wallet_id,section,at,kind,seq,hash,reference,request_id,count,credits,funded,available,reserved,settled",
        f"{WALLET_ID},opening,2026-01-01T00:00:00.000000Z,,,,,,,,0,0,0,0",
        f"{WALLET_ID},movement,,grant,,,,,1,100,100,100,0,0",
        f"{WALLET_ID},closing,2026-02-01T00:00:00.000000Z,,4,{sha256('entry 4')},,,4,,100,10,0,90",
        "",
    ]
)

_KEY_ID = sha256("key")[:16]
_SEALED = {"number": 1, "sealed_at": "2026-01-24T11:00:00.000000Z", "wallets": 2, "root": sha256("root")}
SEAL_PAGE = {"ok": True, "data": [{**_SEALED, "previous": NO_HASH, "key_id": _KEY_ID}], "next_cursor": None}
SEAL = {
    "key_id": _KEY_ID,
    "seal": {"format": "sora2-ledger-seal-1", **_SEALED, "previous": NO_HASH},
    "signature": f"{'A' * 86}==",
    "wallet": {"wallet_id": WALLET_ID, "seq": 4, "hash": sha256("entry 4")},
    "index": 0,
    "path": [sha256("leaf 1")],
}
