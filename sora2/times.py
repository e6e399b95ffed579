"""Times as the outside world writes them: RFC 3339, in UTC."""

import re
from datetime import UTC, datetime

RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)


def timestamp(at: datetime | None) -> str | None:
    """Return a time as RFC 3339 in UTC with microseconds and `Z`; None stays None."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at else None


def from_timestamp(text: str) -> datetime:
    """Return the instant that `text` names. Raises ValueError, also when its zone is missing."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time needs its zone")
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time beyond the calendar") from error


def from_rfc3339(text: str) -> datetime:
    """Return the instant that `text` names, strictly in the form of RFC 3339. Raises ValueError."""
    if not RFC3339.fullmatch(text):
        raise ValueError("a time in the form of RFC 3339")
    return from_timestamp(text.upper())
