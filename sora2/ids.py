"""Public ids: a prefix and 26 characters of Crockford base32 of a UUIDv7 (RFC 9562).

Sortable by creation, safe in a URL, made in Python because PostgreSQL before 18 has no uuidv7().
"""

import secrets
import time
from datetime import datetime

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTH = 26


def new_id(prefix: str) -> str:
    """Return a new id such as `bat_01k8…`: `prefix`, an underscore and 26 lower-case base32 characters."""
    return f"{prefix}_{_base32(_uuid7())}"


def first_id_at(prefix: str, at: datetime) -> str:
    """Return what sorts before every id that was made from this millisecond on: a bound, and no id of anything."""
    return f"{prefix}_{_base32(int(at.timestamp() * 1000) << 80)}"


def is_id(text: str, prefix: str) -> bool:
    """Say whether `text` has the form of an id with `prefix`; it need not exist."""
    head, _, tail = text.partition("_")
    return head == prefix and len(tail) == LENGTH and all(c in ALPHABET for c in tail)


def _uuid7() -> int:
    """48 bits of Unix milliseconds, 12 of the millisecond's fraction (RFC 9562, 6.2, method 3), 62 random."""
    ns = time.time_ns()
    ms, rest = divmod(ns, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    return (ms << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << 62) | secrets.randbits(62)


def _base32(value: int) -> str:
    return "".join(ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))
