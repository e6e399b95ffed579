"""Seals: a signed Merkle root over the heads of all wallets, chained to the seal before, in files to be shipped.

A wallet's chain shows that a row was changed. It does not show a tail that was cut off, nor a history that was
rewritten as a whole. A seal does, to whoever has its file: it says how many entries each wallet had, and the hash of
the last. docs/howto/verify.md describes the formats; `ledger/verify_ledger.py` checks them.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from ledger import merkle, seal_keys
from ledger.models import Seal, SealLeaf
from sora2.canonical import canonical_json, sha256_hex
from sora2.times import timestamp

FORMAT = "sora2-ledger-seal-1"
# What the first seal has for the one before.
NO_SEAL = "0" * 64


class SealError(Exception):
    """Something that was sealed does not hold any more. Nothing is sealed over it before somebody has looked."""


class HistoryChanged(SealError):
    """An entry that was sealed is missing, or another one now."""


class SealChanged(SealError):
    """A stored seal is not the one that was made: its figures, its signature, or its place in the chain."""


class FileChanged(SealError):
    """A seal's file is missing or not the one that was written, or the database does not know its seal."""


@dataclass(frozen=True)
class Head:
    """How many entries a wallet has, and the hash of the last."""

    wallet_id: str
    seq: int
    hash: str

    @property
    def leaf(self) -> bytes:
        """What is hashed into the tree."""
        return f"{self.wallet_id},{self.seq},{self.hash}".encode()


# --- sealing -------------------------------------------------------------------------------------------------------


def seal(*, now: datetime) -> Seal:
    """Seal the ledger as it stands, whether it has changed or not, and write the file. Raises SealError, OSError."""
    with _alone():
        made = _seal_after(_last(), now=now)
    write_file(made)
    return made


def seal_if_due(*, now: datetime) -> Seal | None:
    """Do the same if the last seal is SEAL_SECONDS old and a wallet has moved since; otherwise return None.

    If none has moved, a seal would say nothing that the last one does not. The last seal's file is written or compared
    in any case: a process may have died between its commit and its writing.
    """
    with _alone():
        last = _last()
        if last:
            write_file(last)
        if not _is_due(last, now):
            return None
        made = _seal_after(last, now=now)
    write_file(made)
    return made


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Open a transaction in which nobody else seals."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('ledger_seal'))")
        yield


def _last() -> Seal | None:
    return Seal.objects.order_by("-number").first()


def _is_due(last: Seal | None, now: datetime) -> bool:
    if last and now < last.sealed_at + timedelta(seconds=settings.SEAL_SECONDS):
        return False
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT EXISTS (SELECT 1 {MOVED})")
        found: bool = cursor.fetchone()[0]
    return found


def _seal_after(last: Seal | None, *, now: datetime) -> Seal:
    """Make a seal, once everything that was sealed before still holds. The file is the caller's, after the commit."""
    check_files(write_missing=True)
    if last:
        before = Seal.objects.filter(number=last.number - 1).first()
        check_seal(last, heads=heads_under(last.number), before=before)
    _refuse_changed_heads()
    made = _next(last)
    with connection.cursor() as cursor:
        # The leaves come first; the key that ties them to their seal is checked at commit.
        cursor.execute(ADD_LEAVES, [made.number])
    # A wallet whose head is not its last entry must not be sealed either.
    _refuse_changed_heads()
    heads = heads_under(made.number)
    made.sealed_at, made.wallets, made.root = now, len(heads), _root(heads)
    made.body = canonical_json(_object(made))
    made.signature, made.key_id = seal_keys.sign(made.body)
    made.save(force_insert=True)
    return made


# The wallets that have moved since their last leaf. Served by ledger_sealleaf_once.
MOVED = """
    FROM ledger_wallet w
    LEFT JOIN LATERAL (
        SELECT l.head_hash FROM ledger_sealleaf l WHERE l.wallet_id = w.id ORDER BY l.seal_id DESC LIMIT 1
    ) last ON true
    WHERE w.last_seq > 0 AND w.head_hash IS DISTINCT FROM last.head_hash
"""
# One statement, so one snapshot.
ADD_LEAVES = f"""
    INSERT INTO ledger_sealleaf (seal_id, wallet_id, seq, head_hash)
    SELECT %s, w.id, w.last_seq, w.head_hash {MOVED}
"""


def _next(last: Seal | None) -> Seal:
    """Return the place in the chain of the seal after this one: number and `previous`."""
    if last is None:
        return Seal(number=1, previous=NO_SEAL)
    return Seal(number=last.number + 1, previous=sha256_hex(last.body))


# --- what a seal says ----------------------------------------------------------------------------------------------


# Leaves are stored where they differ from the ones before, so the latest of each wallet counts.
HEADS = """
    SELECT w.id, l.seq, l.head_hash
    FROM ledger_wallet w
    CROSS JOIN LATERAL (
        SELECT * FROM ledger_sealleaf l
        WHERE l.wallet_id = w.id AND l.seal_id <= %s ORDER BY l.seal_id DESC LIMIT 1
    ) l
    ORDER BY w.id COLLATE "C"
"""


def heads_under(number: int) -> list[Head]:
    """Return the heads that a seal is over, in their order. Wallets without entries are not among them."""
    with connection.cursor() as cursor:
        cursor.execute(HEADS, [number])
        return [Head(*row) for row in cursor.fetchall()]


def shipped(seal: Seal) -> dict[str, Any]:
    """Return what a seal's file says."""
    return {"key_id": seal.key_id, "seal": _object(seal), "signature": seal.signature}


def own(seal: Seal, *, wallet_id: str) -> dict[str, Any] | None:
    """Return the same with one wallet's head and its path to the root; None if the seal is not over this wallet."""
    heads = heads_under(seal.number)
    index = next((n for n, head in enumerate(heads) if head.wallet_id == wallet_id), None)
    if index is None:
        return None
    path = merkle.path([head.leaf for head in heads], index)
    return {**shipped(seal), "wallet": asdict(heads[index]), "index": index, "path": [node.hex() for node in path]}


def file_text(said: dict[str, Any]) -> str:
    """Return what `shipped` or `own` said as the text of its file."""
    return canonical_json(said) + "\n"


def _object(seal: Seal) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "number": seal.number,
        "previous": seal.previous,
        "root": seal.root,
        "sealed_at": timestamp(seal.sealed_at),
        "wallets": seal.wallets,
    }


def _root(heads: Iterable[Head]) -> str:
    return merkle.root([head.leaf for head in heads]).hex()


# --- checking ------------------------------------------------------------------------------------------------------


def check_all() -> int:
    """Check every seal, its leaves, its place in the chain and its file; return how many. Raises SealError."""
    heads: dict[str, Head] = {}
    before = None
    for each in Seal.objects.order_by("number").iterator():
        for leaf in SealLeaf.objects.filter(seal=each):
            heads[leaf.wallet_id] = Head(leaf.wallet_id, leaf.seq, leaf.head_hash)
        check_seal(each, heads=[heads[wallet_id] for wallet_id in sorted(heads)], before=before)
        before = each
    _refuse_changed_heads()
    with connection.cursor() as cursor:
        cursor.execute("SELECT detail, subject FROM invariant_seals_hold LIMIT 1")
        if row := cursor.fetchone():
            raise HistoryChanged("{} ({})".format(*row))
    check_files(write_missing=False)
    return before.number if before else 0


def check_seal(seal: Seal, *, heads: Sequence[Head], before: Seal | None) -> None:
    """Raise SealChanged unless a stored seal is the one that was made over these heads, after the one before."""
    _refuse_forged(seal)
    due = _next(before)
    if (seal.number, seal.previous) != (due.number, due.previous):
        raise SealChanged(f"seal {seal.number} does not continue the seal before")
    if (seal.wallets, seal.root) != (len(heads), _root(heads)):
        raise SealChanged(f"the leaves of seal {seal.number} are not those that it was made over")


def _refuse_forged(seal: Seal) -> None:
    """Raise SealChanged unless the row of a seal says what was signed."""
    key = next((key for key in seal_keys.public_keys() if key.id == seal.key_id), None)
    if key is None:
        raise SealChanged(f"seal {seal.number} is signed by {seal.key_id}: put that key into SEAL_RETIRED_KEYS")
    if seal.body != canonical_json(_object(seal)) or not key.has_signed(seal.body, seal.signature):
        raise SealChanged(f"seal {seal.number} does not say what was signed")


# Of each wallet the latest leaf: all leaves ever are for check_all and reconciliation. Served by ledger_sealleaf_once
# and credit_ledger_seq_once.
CHANGED_HEADS = """
    SELECT w.id, l.seq, l.seal_id
    FROM ledger_wallet w
    CROSS JOIN LATERAL (
        SELECT * FROM ledger_sealleaf l WHERE l.wallet_id = w.id ORDER BY l.seal_id DESC LIMIT 1
    ) l
    LEFT JOIN credit_ledger e ON e.wallet_id = w.id AND e.seq = l.seq
    WHERE e.hash IS DISTINCT FROM l.head_hash OR w.last_seq < l.seq
    LIMIT 1
"""


def _refuse_changed_heads() -> None:
    """Raise HistoryChanged if a wallet no longer has the entry that was sealed last, or stands before it."""
    with connection.cursor() as cursor:
        cursor.execute(CHANGED_HEADS)
        row = cursor.fetchone()
    if row:
        raise HistoryChanged("wallet {} no longer has the entry {} that seal {} was made over".format(*row))


# --- files ---------------------------------------------------------------------------------------------------------


def file_of(seal: Seal) -> Path:
    """Return where a seal's file is."""
    return settings.SEAL_DIR / f"seal-{seal.number:08}.json"


def check_files(*, write_missing: bool) -> None:
    """Raise FileChanged unless each seal has its file and each file its seal; a missing file may be written.

    A file is missing when a process died between its commit and its writing. All are looked at: a year of hourly
    seals is 8 760 files of half a kilobyte.
    """
    surplus = {path.name for path in settings.SEAL_DIR.glob("seal-*.json")}
    for each in Seal.objects.order_by("number").iterator():
        if write_missing:
            write_file(each)
        elif not file_of(each).exists():
            raise FileChanged(f"{file_of(each)} is missing")
        else:
            _compare(each)
        surplus.discard(file_of(each).name)
    if surplus:
        raise FileChanged(f"{settings.SEAL_DIR / min(surplus)}: the database does not know this seal")


def write_file(seal: Seal) -> None:
    """Write a seal's file, whole and once. Raises FileChanged if there is another one, SealChanged for a forgery."""
    path = file_of(seal)
    if not path.exists():
        _refuse_forged(seal)
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(path, file_text(shipped(seal)).encode())
    _compare(seal)


def _compare(seal: Seal) -> None:
    if file_of(seal).read_bytes() != file_text(shipped(seal)).encode():
        raise FileChanged(f"{file_of(seal)} does not say what the database says")


def _create(path: Path, raw: bytes) -> None:
    """Give the file its name when its bytes are safe. Where the name is taken meanwhile, that file stays."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".seal-") as draft:
        draft.write(raw)
        draft.flush()
        os.fchmod(draft.fileno(), 0o444)
        os.fsync(draft.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft.name, path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
