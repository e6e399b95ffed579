"""Canonical JSON: sorted keys, no spaces, UTF-8. Equal content gives equal bytes, which can be hashed."""

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> str:
    """Return `value` as JSON with sorted keys and no spaces; text stays text, not escapes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_hex(text: str) -> str:
    """Return the SHA-256 of the UTF-8 bytes of `text` as 64 lower-case hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()
