"""What a form was opened for: it says what it has shown, and one that comes after another change changes nothing."""

from typing import Any

from sora2.canonical import canonical_sha256


class ChangedMeanwhile(ValueError):
    """What is to be changed is not as it was seen: it was changed since, by somebody else or by the same form."""


def seen_name(value: Any) -> str:
    """Return a name for a value as it is now; of a secret, it says nothing about it."""
    return canonical_sha256(value)[:16]


def check_seen(value: Any, seen: str) -> None:
    """Let what was seen be changed, of a row that is locked. Raises ChangedMeanwhile when it is otherwise now."""
    if seen_name(value) != seen:
        raise ChangedMeanwhile
