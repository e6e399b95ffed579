"""The secrets of API keys: their form, their checksum, their hash.

A secret is `s2_live_` or `s2_test_`, 30 random base62 characters, and 6 that are the base62 CRC32 of everything
before them: a typing mistake or a scanner's false hit is told without asking the database.
"""

import hashlib
import secrets
import string
import zlib

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_LENGTH = 30
CHECKSUM_LENGTH = 6
HINT_LENGTH = 12


def new_secret(mode: str) -> str:
    """Return a new secret for a key of `mode` ("live" or "test")."""
    head = f"s2_{mode}_" + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
    return head + _checksum(head)


def is_well_formed(secret: str) -> bool:
    """Say whether `secret` has the form of a key and its checksum is right; it need not exist."""
    head, checksum = secret[:-CHECKSUM_LENGTH], secret[-CHECKSUM_LENGTH:]
    prefix, random = head[:8], head[8:]
    return (
        prefix in ("s2_live_", "s2_test_")
        and len(random) == RANDOM_LENGTH
        and all(c in ALPHABET for c in random)
        and checksum == _checksum(head)
    )


def fingerprint(secret: str) -> str:
    """Return the SHA-256 hex of `secret`: all that is stored of it. (178 random bits need no slow hash.)"""
    return hashlib.sha256(secret.encode()).hexdigest()


def hint(secret: str) -> str:
    """Return the beginning of `secret`, by which people tell their keys apart."""
    return secret[:HINT_LENGTH]


def _checksum(head: str) -> str:
    value, digits = zlib.crc32(head.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        value, digit = divmod(value, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
