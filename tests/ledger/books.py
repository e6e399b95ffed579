"""Books made by hand, as an export writes them, and the verifier as an auditor runs it: nothing here is its code."""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from sora2.canonical import sha256_hex

PROGRAM = Path(__file__).resolve().parents[2] / "ledger/verify_ledger.py"
ZEROS = "0" * 64
WALLET = "wal_01kadf7q2m3n4p5r6s7t8v9w0x"
FIELDS = [
    *("wallet_id", "seq", "entry_id", "created_at", "kind", "amount"),
    *("available_after", "reserved_after", "settled_after", "reference", "request_id", "actor", "reason"),
]
COLUMNS = [*FIELDS, "prev_hash", "hash"]

Row = dict[str, str]

# Kind, amount, and the figures after it; texts that CSV, spreadsheets and UTF-8 make difficult.
STORY: list[tuple[str, int, tuple[int, int, int], str, str, str]] = [
    ("grant", 1000, (1000, 0, 0), "invoice, 7", "", 'paid "in full"'),
    ("reserve", 100, (900, 100, 0), "bat_1", "=order+1", ""),
    ("settle", 90, (900, 10, 90), "bat_1", "=order+1", "zwölf Clips\r\nfür 株式会社"),
    ("refund", 10, (910, 0, 90), "bat_1", "=order+1", "-1"),
    ("adjustment_in", 5, (915, 0, 90), "crq_1", "", "'quoted' 😀"),
    ("adjustment_out", 15, (900, 0, 90), "crq_2", "", "a\nb,c"),
]


def sealed(row: Row) -> str:
    return sha256_hex(row["prev_hash"] + "".join(sha256_hex(row[name]) for name in FIELDS))


def chained(rows: Iterable[Row], prev_hash: str = ZEROS) -> list[Row]:
    """Return the rows with hashes that fit them and each other."""
    made = []
    for row in rows:
        made.append({**row, "prev_hash": prev_hash})
        prev_hash = made[-1]["hash"] = sealed(made[-1])
    return made


def books(repeat: int = 1) -> list[Row]:
    """Return the rows of the story, told so many times over."""
    rows: list[Row] = []
    sums = [0, 0, 0]
    for turn in range(repeat):
        for number, (kind, amount, after, reference, request_id, reason) in enumerate(STORY, start=1):
            seq = turn * len(STORY) + number
            figures = [base + figure for base, figure in zip(sums, after, strict=True)]
            texts = [WALLET, str(seq), f"led_{seq:026}", moment(seq), kind]
            texts += [str(amount), *map(str, figures), reference, request_id, "usr_7", reason]
            rows.append(dict(zip(FIELDS, texts, strict=True)))
        sums = figures
    return chained(rows)


def moment(seq: int) -> str:
    return (datetime(2026, 1, 24) + timedelta(seconds=seq, microseconds=1)).isoformat() + "Z"  # noqa: DTZ001 - as text.


def field(name: str, text: str) -> str:
    if name in ("reference", "request_id", "actor", "reason") and text and text[0] in "=+-@\t\r'":
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if text == "" or re.search(r'[,"\r\n]', text) else text


def lines(rows: Iterable[Row]) -> list[bytes]:
    return [(",".join(field(name, row[name]) for name in COLUMNS) + "\r\n").encode() for row in rows]


def export(rows: Iterable[Row]) -> bytes:
    return b"".join([(",".join(COLUMNS) + "\r\n").encode(), *lines(rows)])


def mutations(raw: bytes, at: int) -> Iterator[bytes]:
    """Yield the file with the byte there changed, dropped, or something put in before it."""
    for other in {raw[at] ^ 1, raw[at] ^ 0x20, raw[at] ^ 0x80, *b"\"'\n,"} - {raw[at]}:
        yield raw[:at] + bytes([other]) + raw[at + 1 :]
    yield raw[:at] + raw[at + 1 :]
    for more in {*b"\"'\r\n, 0", raw[at]}:
        yield raw[:at] + bytes([more]) + raw[at:]


def run(*arguments: object) -> tuple[int, str]:
    """Run the program as an auditor does, without anything of ours around it."""
    done = subprocess.run(
        [sys.executable, "-I", PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == "" or done.returncode == 2, done.stderr
    return done.returncode, done.stdout
