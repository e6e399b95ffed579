#!/usr/bin/env python3
"""Check the books of Sora2 Enterprise offline: a wallet's ledger, a batch's proof, and the seals over all wallets.

    python verify_ledger.py LEDGER.csv [--seal FILE ...] [--path FILE ...] [--key BASE64|FILE]
    python verify_ledger.py proof PROOF.json [ITEMS.jsonl]

One file that needs Python 3.11 or later and nothing else: no package, no network, no database. Read it before you
trust it; docs/howto/verify.md says what each check proves. Exit status 0: all that was asked for holds. 1: something
does not, and the first such thing is named. 2: it could not be checked (a wrong command line, a file not readable).
"""

import argparse
import base64
import csv
import hashlib
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

Say = Callable[[str], object]
ZEROS = "0" * 64


class Wrong(Exception):
    """Something does not hold. The text says where, and what."""


def sha256(text: str) -> str:
    """Return the SHA-256 of the text's UTF-8 bytes, as 64 lower-case hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def is_hash(text: str) -> bool:
    """Say whether this is a SHA-256 as it is written everywhere here."""
    return re.fullmatch("[0-9a-f]{64}", text) is not None


def is_instant(text: str) -> bool:
    """Say whether this is a time as it is written everywhere here: `2026-01-24T10:00:00.000000Z`."""
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%dT%H:%M:%S.%fZ") == text
    except ValueError:
        return False


# --- an entry ------------------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """One movement of credits: thirteen fields, which its hash covers, and two hashes; in the order of the columns."""

    wallet_id: str
    seq: int
    entry_id: str
    created_at: str
    kind: str
    amount: int
    available_after: int
    reserved_after: int
    settled_after: int
    reference: str
    request_id: str
    actor: str
    reason: str
    prev_hash: str
    hash: str

    @property
    def after(self) -> tuple[int, int, int]:
        """The wallet's figures after this entry: available, reserved, settled."""
        return self.available_after, self.reserved_after, self.settled_after

    @property
    def before(self) -> tuple[int, int, int]:
        """The wallet's figures before it, as they follow from its kind and amount."""
        available, reserved, settled = MOVES[self.kind]
        return (
            self.available_after - available * self.amount,
            self.reserved_after - reserved * self.amount,
            self.settled_after - settled * self.amount,
        )


# What one credit of each kind does to: available, reserved, settled.
MOVES = {
    "grant": (1, 0, 0),
    "reserve": (-1, 1, 0),
    "settle": (0, -1, 1),
    "refund": (1, -1, 0),
    "adjustment_in": (1, 0, 0),
    "adjustment_out": (-1, 0, 0),
}


def hash_of(entry: Entry) -> str:
    """Return the hash that the entry must have: over the one before it, and that of each field."""
    return sha256(entry.prev_hash + "".join(sha256(str(field)) for field in entry[:13]))


def check_entry(entry: Entry) -> None:
    """Raise Wrong unless the entry is right by itself."""
    if entry.kind not in MOVES:
        raise Wrong(f"there is no kind {entry.kind!a}")
    if entry.seq < 1 or entry.amount < 1:
        raise Wrong("its number and its amount must be positive")
    if not is_instant(entry.created_at):
        raise Wrong(f"created_at is no time: {entry.created_at!a}")
    if not is_hash(entry.prev_hash):
        raise Wrong(f"prev_hash is no hash: {entry.prev_hash!a}")
    if hash_of(entry) != entry.hash:
        raise Wrong("its content does not fit its hash")
    if min(*entry.after, *entry.before) < 0:
        raise Wrong("a balance is negative, before or after it")
    if entry.seq == 1 and (entry.prev_hash != ZEROS or entry.before != (0, 0, 0)):
        raise Wrong("the first entry of a wallet must start from zero")


def check_follows(entry: Entry, last: Entry) -> None:
    """Raise Wrong unless the entry is the next one after `last`."""
    if entry.wallet_id != last.wallet_id:
        raise Wrong(f"it belongs to another wallet, {entry.wallet_id!a}")
    if entry.seq <= last.seq:
        raise Wrong(f"it comes after entry {last.seq}")
    if entry.seq > last.seq + 1:
        raise Wrong(
            f"entries are missing before it: entry {last.seq + 1} was due. (What was filtered by kind or batch cannot "
            "be verified: export the whole ledger, or an interval of it.)"
        )
    if entry.prev_hash != last.hash:
        raise Wrong("it does not continue the entry before: its prev_hash is not that entry's hash")
    if entry.created_at <= last.created_at:
        raise Wrong("it is not dated after the entry before")
    if entry.before != last.after:
        raise Wrong("its balances do not follow from those of the entry before")


# --- the ledger as CSV ---------------------------------------------------------------------------------------------

HEADER = ",".join(Entry._fields).encode() + b"\r\n"
# In these a text that a spreadsheet would run, or that starts with ' itself, has a ' in front.
GUARDED = ("reference", "request_id", "actor", "reason")
GUARDED_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")
QUOTES_NEEDED = re.compile('[,"\r\n]|^$')
# Far more than the longest texts that an entry can have.
RECORD_MAX_BYTES = 65_536


@dataclass(frozen=True)
class Ledger:
    """What a file turned out to hold: so many entries in one unbroken chain, from the first to the last."""

    count: int
    first: Entry
    last: Entry


def read_ledger(file: BinaryIO, heads: Sequence["Head"] = ()) -> Ledger | None:
    """Check every row of an export, and that it holds what was sealed; return what it holds, None for nothing.

    The file is read row by row. Raises Wrong at the first row that is not right.
    """
    first = last = None
    count = 0
    rows = records(file)
    if next(rows, (1, b""))[1] != HEADER:
        raise Wrong(f"line 1: the header must be exactly {HEADER.decode().strip()}")
    for line, record in rows:
        entry = None
        try:
            entry = entry_of(record)
            check_entry(entry)
            if last:
                check_follows(entry, last)
            check_sealed(entry, heads, is_first=first is None)
        except Wrong as error:
            number = f"entry {entry.seq}" if entry else f"entry {last.seq + 1} was due" if last else "the first entry"
            raise Wrong(f"line {line} ({number}): {error}") from None
        first, last, count = first or entry, entry, count + 1
    check_applied(first, last, heads)
    return Ledger(count, first, last) if first and last else None


def records(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield each record with the number of its first line. A line break inside quotes is part of a text."""
    first, record = 1, b""
    for line, piece in enumerate(iter(lambda: file.readline(RECORD_MAX_BYTES), b""), start=1):
        record += piece
        if record.count(b'"') % 2 == 0 or len(record) > RECORD_MAX_BYTES:
            yield first, record
            first, record = line + 1, b""
    if record:
        yield first, record


def entry_of(record: bytes) -> Entry:
    """Return the entry that a record says, if the record is, byte for byte, how an export writes that entry."""
    try:
        [fields] = csv.reader([record.decode()], strict=True)
        entry = Entry(*(read(field) for read, field in zip(READ, fields, strict=True)))
    except (ValueError, csv.Error):
        raise Wrong(f"it is no row of {len(Entry._fields)} columns, in UTF-8, with whole numbers") from None
    due = record_of(entry)
    if record != due:
        at = next((n for n, pair in enumerate(zip(record, due, strict=False)) if pair[0] != pair[1]), len(due))
        raise Wrong(f"it is not written as an export writes it, from byte {at + 1} of the row on")
    return entry


def record_of(entry: Entry) -> bytes:
    """Return the entry as an export writes it."""
    fields = (guarded(str(v)) if name in GUARDED else str(v) for name, v in zip(entry._fields, entry, strict=True))
    return ",".join(map(quoted, fields)).encode() + b"\r\n"


def quoted(text: str) -> str:
    """Return a field as RFC 4180 has it, in quotes only where they are needed; the empty text is `""`."""
    return '"' + text.replace('"', '""') + '"' if QUOTES_NEEDED.search(text) else text


def guarded(text: str) -> str:
    """Return a text that no spreadsheet runs."""
    return "'" + text if text.startswith(GUARDED_STARTS) else text


def unguarded(text: str) -> str:
    """Return the text that was guarded."""
    return text.removeprefix("'")


READ: tuple[Callable[[str], Any], ...] = tuple(
    unguarded if name in GUARDED else kind for name, kind in Entry.__annotations__.items()
)


# --- seals ---------------------------------------------------------------------------------------------------------

SEAL_FORMAT = "sora2-ledger-seal-1"


@dataclass(frozen=True)
class Seal:
    """A signed statement over the heads of all wallets at one moment."""

    source: str
    number: int
    previous: str
    root: str
    sealed_at: str
    wallets: int
    body: bytes
    key_id: str
    signature: str


@dataclass(frozen=True)
class Head:
    """What a seal says of one wallet: it had so many entries, and the last one had this hash."""

    seal: Seal
    wallet_id: str
    seq: int
    hash: str
    index: int
    path: tuple[str, ...]


def read_seal(source: str) -> tuple[Seal, Head | None]:
    """Read a seal's file: the one that was shipped, or a customer's, which also has the path of their wallet."""
    file = canonical_json(source, Path(source).read_bytes(), end=b"\n")
    with_path = isinstance(file, dict) and "path" in file
    own: dict[str, type] = {"wallet": dict, "index": int, "path": list} if with_path else {}
    members(file, source, {"key_id": str, "seal": dict, "signature": str, **own})
    kinds = {"format": str, "number": int, "previous": str, "root": str, "sealed_at": str, "wallets": int}
    said = members(file["seal"], f"{source}: seal", kinds)
    if said.pop("format") != SEAL_FORMAT or said["number"] < 1 or not is_instant(said["sealed_at"]):
        raise Wrong(f"{source}: this is no seal of the format {SEAL_FORMAT}")
    if said["number"] == 1 and said["previous"] != ZEROS:
        raise Wrong(f"{source}: the first seal has none before it, so its `previous` must be 64 zeros")
    body = json_bytes({"format": SEAL_FORMAT, **said})
    seal = Seal(source=source, body=body, key_id=file["key_id"], signature=file["signature"], **said)
    return seal, head_of(seal, file) if with_path else None


def head_of(seal: Seal, file: Mapping[str, Any]) -> Head:
    """Return what a customer's file says of their wallet, if its path leads to the seal's root."""
    wallet = members(file["wallet"], f"{seal.source}: wallet", {"wallet_id": str, "seq": int, "hash": str})
    if not all(isinstance(node, str) and is_hash(node) for node in (wallet["hash"], *file["path"])):
        raise Wrong(f"{seal.source}: wallet.hash must be a hash, and path a list of them")
    head = Head(seal=seal, index=file["index"], path=tuple(file["path"]), **wallet)
    leaf = f"{head.wallet_id},{head.seq},{head.hash}".encode()
    nodes = [bytes.fromhex(node) for node in head.path]
    if merkle_root(leaf, head.index, seal.wallets, nodes) != seal.root:
        raise Wrong(f"{seal.source}: the path of the wallet does not lead to the root of seal {seal.number}")
    return head


def merkle_root(leaf: bytes, index: int, size: int, path: Iterable[bytes]) -> str | None:
    """Return the root of the tree in which the leaf has this index and path (RFC 9162, 2.1.3.2); None if none has."""
    if not 0 <= index < size:
        return None
    left, last = index, size - 1
    node = hashlib.sha256(b"\0" + leaf).digest()
    for sibling in path:
        if last == 0:
            return None
        if left % 2 or left == last:
            node = hashlib.sha256(b"\1" + sibling + node).digest()
            while left % 2 == 0 and left:
                left, last = left // 2, last // 2
        else:
            node = hashlib.sha256(b"\1" + node + sibling).digest()
        left, last = left // 2, last // 2
    return node.hex() if last == 0 else None


def linked(seals: Iterable[Seal]) -> list[Seal]:
    """Return the seals by number, each once. Raises Wrong where one does not continue the one before."""
    chain: list[Seal] = []
    for seal in sorted(seals, key=lambda each: each.number):
        last = chain[-1] if chain else None
        if last and seal.number == last.number:
            if seal.body != last.body:
                raise Wrong(f"{seal.source} and {last.source} are two different seals with the number {seal.number}")
            continue
        if last and seal.number == last.number + 1 and seal.previous != sha256(last.body.decode()):
            raise Wrong(f"{seal.source}: seal {seal.number} does not continue seal {last.number} ({last.source})")
        chain.append(seal)
    return chain


def check_reached(chain: Sequence[Seal], heads: Iterable[Head]) -> None:
    """Raise Wrong if a seal has no path for the wallet, nor is linked through neighbours to one that has."""
    reached = {head.seal.number for head in heads}
    for step in (1, -1):  # Upwards, then downwards.
        for seal in chain[::step]:
            if seal.number - step in reached:
                reached.add(seal.number)
    for seal in chain:
        if seal.number not in reached:
            raise Wrong(
                f"{seal.source}: seal {seal.number} says nothing about this ledger without the path of its wallet. "
                "Give that file with --path (from the page Seals, or GET /seals/{number})."
            )


def check_sealed(entry: Entry, heads: Iterable[Head], *, is_first: bool) -> None:
    """Raise Wrong if the entry, or for the first in the file the one before it, is not the one that was sealed."""
    for head in heads:
        if is_first and head.wallet_id != entry.wallet_id:
            raise Wrong(f"it is of wallet {entry.wallet_id!a}, {head.seal.source} of {head.wallet_id!a}")
        is_entry, is_before = head.seq == entry.seq, is_first and head.seq == entry.seq - 1
        if (is_entry and head.hash != entry.hash) or (is_before and head.hash != entry.prev_hash):
            raise Wrong(
                f"history was rewritten: when seal {head.seal.number} was made, at {head.seal.sealed_at}, entry "
                f"{head.seq} had the hash {head.hash}"
            )


def check_applied(first: Entry | None, last: Entry | None, heads: Iterable[Head]) -> None:
    """Raise Wrong if a sealed entry lies outside the file, so that nothing could be compared."""
    for head in heads:
        sealed = f"when seal {head.seal.number} was made, at {head.seal.sealed_at}, the wallet had {head.seq} entries"
        if not (first and last):
            raise Wrong(f"the file has no entries; {sealed}")
        if head.seq > last.seq:
            raise Wrong(
                f"after the last line (entry {last.seq}): {sealed}, so the file's tail was cut off. (An interval that "
                "ends before the seal cannot be compared with it: export up to the seal, or later.)"
            )
        if head.seq < first.seq - 1:
            raise Wrong(
                f"line 2 (entry {first.seq}): {sealed}; the file starts later, and cannot be compared with the seal"
            )


def read_keys(given: str) -> dict[str, bytes]:
    """Return public keys by their id: from base64, from a file with that, or from the file of keys as published."""
    try:
        text = Path(given).read_text("utf-8").strip() if Path(given).is_file() else given
        said = [key["public_key"] for key in json.loads(text)["keys"]] if text.startswith("{") else [text]
        keys = [base64.b64decode(key, validate=True) for key in said]
    except (ValueError, KeyError, TypeError, RecursionError):
        keys = []
    if not keys or any(len(key) != 32 for key in keys):
        raise Wrong(f"--key: {given!a} is neither the base64 of a public key nor a file with one")
    return {hashlib.sha256(key).hexdigest()[:16]: key for key in keys}


def check_signature(seal: Seal, keys: Mapping[str, bytes]) -> None:
    """Raise Wrong unless one of the keys has signed the seal."""
    if seal.key_id not in keys:
        raise Wrong(f"{seal.source}: seal {seal.number} is signed by the key {seal.key_id!a}, which was not given")
    try:
        signature = base64.b64decode(seal.signature, validate=True)
    except ValueError:
        signature = b""
    is_written_right = base64.b64encode(signature).decode() == seal.signature
    if not (is_written_right and is_signed(keys[seal.key_id], seal.body, signature)):
        raise Wrong(f"{seal.source}: the signature of seal {seal.number} is not that of the key {seal.key_id}")


# --- Ed25519 (RFC 8032, 5.1) ---------------------------------------------------------------------------------------

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE_D = -121665 * pow(121666, -1, PRIME) % PRIME
ROOT_OF_MINUS_ONE = pow(2, (PRIME - 1) // 4, PRIME)
# Extended coordinates: x = X/Z, y = Y/Z, x·y = T/Z.
Point = tuple[int, int, int, int]


def is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether this is the key's signature of the message: [s]B = R + [k]A."""
    s = int.from_bytes(signature[32:], "little")
    if len(public_key) != 32 or len(signature) != 64 or s >= ORDER:
        return False
    try:
        key, commitment = point_of(public_key), point_of(signature[:32])
    except ValueError:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % ORDER
    x1, y1, z1, _ = multiply(s, BASE)
    x2, y2, z2, _ = add(commitment, multiply(k, key))
    return (x1 * z2 - x2 * z1) % PRIME == 0 and (y1 * z2 - y2 * z1) % PRIME == 0


def add(p: Point, q: Point) -> Point:
    """Return p + q (RFC 8032, 5.1.4)."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % PRIME, (p[1] + p[0]) * (q[1] + q[0]) % PRIME
    c, d = 2 * p[3] * q[3] * CURVE_D % PRIME, 2 * p[2] * q[2] % PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME


def multiply(factor: int, point: Point) -> Point:
    """Return [factor]point, by doubling and adding."""
    product: Point = (0, 1, 1, 0)
    while factor:
        if factor % 2:
            product = add(product, point)
        point, factor = add(point, point), factor // 2
    return product


def point_of(encoded: bytes) -> Point:
    """Return the point that 32 bytes encode (RFC 8032, 5.1.3). Raises ValueError if there is none."""
    y, sign = int.from_bytes(encoded, "little") % 2**255, encoded[31] >> 7
    square = (y * y - 1) * pow(CURVE_D * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if x * x % PRIME != square:
        x = x * ROOT_OF_MINUS_ONE % PRIME
    if y >= PRIME or x * x % PRIME != square or (x == 0 and sign):
        raise ValueError("these bytes are no point of the curve")
    x = PRIME - x if x % 2 != sign else x
    return x, y, 1, x * y % PRIME


BASE = point_of((4 * pow(5, -1, PRIME) % PRIME).to_bytes(32, "little"))


# --- the proof of a batch ------------------------------------------------------------------------------------------

PROOF = {
    "batch_id": str, "request_id": str, "organization_id": str, "livemode": bool, "state": str, "finalized_at": str,
    "summary": dict, "ledger": dict, "entries": list, "items_count": int, "items_sha256": str,
}  # fmt: skip
ITEM = {"credits": int, "id": str, "index": int, "status": str}


def check_proof(proof: Mapping[str, Any]) -> None:
    """Raise Wrong unless the proof's totals agree with each other and with its entries."""
    members(proof, "the proof", PROOF)
    summary = members(proof["summary"], "summary", {"total": int, "succeeded": int, "failed": int})
    totals = members(proof["ledger"], "ledger", {"reserved": int, "settled": int, "refunded": int})
    if min(*summary.values(), *totals.values()) < 0:
        raise Wrong("summary and ledger: no figure may be negative")
    if totals["reserved"] != totals["settled"] + totals["refunded"]:
        raise Wrong("ledger: reserved {reserved} is not settled {settled} + refunded {refunded}".format(**totals))
    if not summary["total"] == summary["succeeded"] + summary["failed"] == proof["items_count"]:
        raise Wrong("summary: total is not succeeded + failed, or not items_count")
    state = "completed" if not summary["failed"] else "partial" if summary["succeeded"] else "failed"
    if proof["state"] != state:
        raise Wrong(f"state is {proof['state']!a}, but with this summary it must be {state!a}")
    if not is_instant(proof["finalized_at"]):
        raise Wrong("finalized_at is no time")
    check_entries(proof, {"reserve": totals["reserved"], "settle": totals["settled"], "refund": totals["refunded"]})


def check_entries(proof: Mapping[str, Any], due: Mapping[str, int]) -> None:
    """Raise Wrong unless the entries are one per kind, with the amounts that are due; what is 0 has none."""
    last = None
    found = dict.fromkeys(due, 0)
    for number, said in enumerate(proof["entries"]):
        try:
            entry = Entry(**members(said, "it", Entry.__annotations__))
            check_entry(entry)
            if (entry.reference, entry.request_id) != (proof["batch_id"], proof["request_id"]):
                raise Wrong("it is about another batch")
            if found.get(entry.kind) != 0:
                raise Wrong(f"a batch has no {entry.kind} here, or none more")
            if last and entry.seq == last.seq + 1:
                check_follows(entry, last)
            elif last and (entry.wallet_id != last.wallet_id or entry.seq <= last.seq):
                raise Wrong("it is of another wallet than the one before, or out of order")
        except Wrong as error:
            raise Wrong(f"entries/{number}: {error}") from None
        found[entry.kind], last = entry.amount, entry
    for kind, amount in due.items():
        if found[kind] != amount:
            raise Wrong(f"entries: the {kind} is {found[kind]}, but the totals say {amount}")


def check_items(proof: Mapping[str, Any], file: BinaryIO) -> None:
    """Raise Wrong unless these are the items that the proof's hash is of, and their credits are its totals."""
    whole = hashlib.sha256()
    credits = {"succeeded": 0, "refunded": 0}
    counts = {"succeeded": 0, "refunded": 0}
    for index, line in enumerate(iter(lambda: file.readline(RECORD_MAX_BYTES), b"")):
        where = f"line {index + 1}"
        item = members(canonical_json(where, line, end=b"\n"), where, ITEM)
        if item["index"] != index:
            raise Wrong(f"{where}: item {index} was due, not {item['index']}")
        if item["status"] not in credits or item["credits"] < 0:
            raise Wrong(f"{where}: an item has succeeded or was refunded, and its credits are not negative")
        credits[item["status"]] += item["credits"]
        counts[item["status"]] += 1
        whole.update(line)
    totals, summary = proof["ledger"], proof["summary"]
    for status, amount, count in (
        ("succeeded", totals["settled"], summary["succeeded"]),
        ("refunded", totals["refunded"], summary["failed"]),
    ):
        if (credits[status], counts[status]) != (amount, count):
            said = f"{counts[status]} items have {status}, with {credits[status]} credits"
            raise Wrong(f"{said}; the proof says {count}, with {amount}")
    if whole.hexdigest() != proof["items_sha256"]:
        raise Wrong("the file's SHA-256 is not the proof's items_sha256")


# --- JSON ----------------------------------------------------------------------------------------------------------


def json_bytes(value: object) -> bytes:
    """Return the canonical JSON of a value: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def canonical_json(where: str, raw: bytes, *, end: bytes = b"") -> Any:
    """Return what the bytes say, if they are canonical JSON followed by `end`."""
    try:
        value = json.loads(raw.decode())
        is_canonical = json_bytes(value) + end == raw
    except (ValueError, RecursionError):
        raise Wrong(f"{where}: this is no JSON in UTF-8") from None
    if not is_canonical:
        raise Wrong(f"{where}: this is not the canonical JSON that was written: some byte was changed")
    return value


def members(value: Any, where: str, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Return an object that must have exactly these members, each of its type."""
    if not isinstance(value, dict) or value.keys() != kinds.keys():
        raise Wrong(f"{where} must be an object with exactly the members {', '.join(kinds)}")
    for name, kind in kinds.items():
        if type(value[name]) is not kind:  # A bool would pass as an int.
            raise Wrong(f"{where}: {name} must be of the type {kind.__name__}")
    return value


# --- what is called ------------------------------------------------------------------------------------------------


def verify_ledger(file: str, *, seals: Sequence[str], paths: Sequence[str], key: str | None, say: Say) -> None:
    """Check a ledger and the seals over it, and say what was found. Raises Wrong."""
    given = [read_seal(source) for source in (*seals, *paths)]
    chain = linked(seal for seal, _ in given)
    heads = [head for _, head in given if head]
    for source, (_, head) in zip((*seals, *paths), given, strict=True):
        if source in paths and head is None:
            raise Wrong(f"{source}: this file has no path of a wallet; give it with --seal")
    check_reached(chain, heads)
    if key is not None:
        keys = read_keys(key)
        for seal, _ in given:
            check_signature(seal, keys)
    with Path(file).open("rb") as opened:
        try:
            ledger = read_ledger(opened, heads)
        except Wrong as error:
            raise Wrong(f"{file}, {error}") from None
    say_ledger(file, ledger, say)
    say_seals(chain, heads, ledger, signed=key is not None, say=say)


def say_ledger(file: str, ledger: Ledger | None, say: Say) -> None:
    """Say what a ledger that holds is: of which wallet, from where to where."""
    if ledger is None:
        say(f"--  {file} has no entries: there was nothing to check")
        return
    first, last = ledger.first, ledger.last
    say(f"OK  {file}: {ledger.count} entries of wallet {last.wallet_id!a}, numbered, chained, unchanged and adding up")
    for name, entry in (("first", first), ("last ", last)):
        say(f"    {name}  entry {entry.seq}, {entry.created_at}, hash {entry.hash}")
    available, reserved, settled = last.after
    funded = available + reserved + settled
    say(f"    after  funded {funded} = available {available} + reserved {reserved} + settled {settled}")
    if first.seq > 1:
        say(f"    an interval: the entry before it, {first.seq - 1}, must have the hash {first.prev_hash}")


def say_seals(chain: Sequence[Seal], heads: Sequence[Head], ledger: Ledger | None, *, signed: bool, say: Say) -> None:
    """Say what the seals prove, and what is not proved without them."""
    if not heads or not ledger:
        say("--  no seal was given: a tail that was cut off, or a history rewritten as a whole, does not show")
        return
    for seal in chain:
        sealed = next((head.seq for head in heads if head.seal.number == seal.number), None)
        what = f"entry {sealed} is the one that was sealed" if sealed else "in the same chain"
        by = f"signed by {seal.key_id}" if signed else "signature NOT checked"
        say(f"OK  seal {seal.number} of {seal.sealed_at}: {what}; {by}")
    if not signed:
        say("--  signature NOT checked: give --key. Without it anybody could have made these seals")
    newest = max(head.seq for head in heads)
    if newest < ledger.last.seq:
        say(f"--  entries {newest + 1} to {ledger.last.seq} are newer than these seals")


def verify_proof(file: str, *, items: str | None, say: Say) -> None:
    """Check the proof of a batch, and its items if given, and say what was found. Raises Wrong."""
    raw = Path(file).read_bytes()
    proof = canonical_json(file, raw)
    try:
        check_proof(proof)
    except Wrong as error:
        raise Wrong(f"{file}: {error}") from None
    if items is not None:
        with Path(items).open("rb") as opened:
            try:
                check_items(proof, opened)
            except Wrong as error:
                raise Wrong(f"{items}: {error}") from None
    say(f"OK  {file}: batch {proof['batch_id']!a}, {proof['state']}, {len(proof['entries'])} entries")
    say("    reserved {reserved} = settled {settled} + refunded {refunded}".format(**proof["ledger"]))
    say(f"    sha256 {hashlib.sha256(raw).hexdigest()} (the webhook says the same as proof.sha256)")
    say(f"OK  {items}: {proof['items_count']} items" if items else "--  the items were NOT checked: give their file")


def add_ledger_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what verify_ledger() takes."""
    parser.add_argument("file", metavar="LEDGER.csv", help="a whole export of a wallet's ledger, or an interval of it")
    several: dict[str, Any] = {"nargs": "+", "action": "extend", "default": [], "metavar": "FILE"}
    parser.add_argument("--seal", **several, help="seals, as they were shipped or as a customer gets them")
    parser.add_argument("--path", **several, help="a customer's files: seals with the path of their own wallet")
    parser.add_argument("--key", metavar="BASE64|FILE", help="the public key that signs the seals, or the file of keys")


def add_proof_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what verify_proof() takes."""
    parser.add_argument("file", metavar="PROOF.json", help="the proof of a batch")
    parser.add_argument("items", metavar="ITEMS.jsonl", nargs="?", help="its proof/items.jsonl")


def main(arguments: Sequence[str]) -> int:
    """Run as a program; return the exit status."""
    is_proof = arguments[:1] == ["proof"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    (add_proof_arguments if is_proof else add_ledger_arguments)(parser)
    given = parser.parse_args(arguments[1:] if is_proof else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")

    try:
        if is_proof:
            verify_proof(given.file, items=given.items, say=say)
        else:
            verify_ledger(given.file, seals=given.seal, paths=given.path, key=given.key, say=say)
    except Wrong as error:
        say(f"WRONG  {error}")
        return 1
    except OSError as error:
        say(f"NOT CHECKED  {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
