"""An HTTP answer, and what every adapter reads in one the same way. Pure functions that never raise."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

MAX_DETAIL = 500
MAX_WAIT_SECONDS = 3600.0


@dataclass(frozen=True)
class Answer:
    """An HTTP answer that was read to its end; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Mapping[str, Any] | None:
        """Return the body if it is a JSON object, or a list of just one, as Google's front ends send errors."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        return value if isinstance(value, dict) else None


def retry_after_seconds(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Read Retry-After: seconds or an HTTP date (RFC 9110, 10.2.3); at most an hour."""
    text = headers.get("retry-after", "").strip()
    seconds = number_of(text)
    if seconds is None:
        try:
            seconds = (parsedate_to_datetime(text).replace(tzinfo=UTC) - now).total_seconds()
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return bounded_wait(seconds)


def bounded_wait(seconds: float) -> float:
    """Return a provider's wish for a pause as one that we grant: at most an hour."""
    return min(MAX_WAIT_SECONDS, max(0.0, seconds))


def printable(text: str) -> str:
    """Return `text` on one line, short, without what a database or a terminal would choke on."""
    line = "".join(char if char.isprintable() else " " for char in text[: 2 * MAX_DETAIL])
    return line.strip(" :")[:MAX_DETAIL]


def text_of(value: object) -> str:
    """Return a value of JSON as text, whatever it is."""
    try:
        return "" if value is None else str(value)
    except RecursionError:
        return "too deep"


def number_of(value: object) -> float | None:
    """Return a finite number, also one that was sent as text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def time_of(value: object) -> datetime | None:
    """Return a Unix time, whole or not, as an instant."""
    seconds = number_of(value)
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
