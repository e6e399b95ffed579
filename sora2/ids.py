"""Public ids: a prefix and 26 characters of Crockford base32 of a UUIDv7 (RFC 9562).

Sortable by creation, safe in a URL, made in Python because PostgreSQL before 18 has no uuidv7().
"""

import secrets
import time
from datetime import datetime

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTH = 26
# Ids that are made at once: what they share, the number of each among them, what is random.
HEAD_LENGTH, NUMBER_LENGTH, RANDOM_LENGTH = 14, 4, 8
TOGETHER_MAX = 32**NUMBER_LENGTH

_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
# Every byte as one of 32 characters, each as likely as the others.
_CHARACTER_OF_BYTE = ALPHABET.encode() * 8


def new_id(prefix: str) -> str:
    """Return a new id such as `bat_01k8…`: `prefix`, an underscore and 26 lower-case base32 characters."""
    return f"{prefix}_{_base32(_uuid7())}"


def new_ids(prefix: str, count: int) -> list[str]:
    """Return so many new ids (a million at most), each greater than the one before, much faster than one by one.

    All are of one moment; after it comes their number, and 40 random bits (RFC 9562, 6.2, method 1).
    """
    if count > TOGETHER_MAX:
        raise ValueError(f"{count} ids, at most {TOGETHER_MAX} at once")
    head = f"{prefix}_{_base32(_uuid7())[:HEAD_LENGTH]}"
    random = secrets.token_bytes(RANDOM_LENGTH * count).translate(_CHARACTER_OF_BYTE).decode("ascii")
    return [
        f"{head}{_PAIRS[number >> 10]}{_PAIRS[number & 1023]}{random[at : at + RANDOM_LENGTH]}"
        for number, at in enumerate(range(0, RANDOM_LENGTH * count, RANDOM_LENGTH))
    ]


def least_id_at(prefix: str, at: datetime) -> str:
    """Return the text that ids made from `at` on (to the millisecond) are not less than. It need not be an id."""
    milliseconds = max(int(at.timestamp() * 1000), 0)
    return f"{prefix}_{_base32(milliseconds << 80)}"


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
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])
