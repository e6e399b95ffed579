"""What an event says, as pages show it: its exact text for who may see credits, without their figures for others."""

import json
from dataclasses import dataclass
from typing import Any

from customers.access import Access, Permission
from sora2.canonical import sha256_hex
from webhooks.curl import curl
from webhooks.models import Event, EventType

HIDDEN = "•••"
# The numbers in events that are no credits. Whatever else is a number is hidden from who may not see credits, so that
# a field of tomorrow is hidden until somebody names it here.
COUNTS = frozenset({"total", "succeeded", "failed", "canceled", "index", "seconds", "attempts"})


@dataclass(frozen=True)
class Body:
    """What an event says, in lines. The rest is None for who may not see credits: its exact text, its hash, from which
    a few hidden figures could be guessed, and a command that posts it.
    """

    lines: str
    exact: str | None = None
    sha256: str | None = None
    curl: str | None = None


def body_of(access: Access, event: Event) -> Body:
    """Return what an event says, as far as somebody may see it."""
    # Every event names credits but the test, which says nothing.
    if event.type != EventType.WEBHOOK_TEST and not access.may(Permission.LEDGER_READ):
        return Body(lines=without_credits(event.body))
    return Body(lines=_lines(json.loads(event.body)), exact=event.body, sha256=sha256_hex(event.body), curl=curl(event))


def without_credits(body: str) -> str:
    """Return a body in lines, without the figures of credits. Raises ValueError, RecursionError for what is no JSON."""
    lines = _lines(_without_credits(json.loads(body))).replace(f'"{HIDDEN}"', HIDDEN)
    # What anybody has posted may name half of a surrogate pair: shown as it came, for no page can hold it.
    return lines.encode(errors="backslashreplace").decode()


def _lines(said: Any) -> str:
    return json.dumps(said, indent=2, ensure_ascii=False)


def _without_credits(said: Any, name: str = "") -> Any:
    match said:
        case dict():
            return {key: _without_credits(value, key) for key, value in said.items()}
        case list():
            return [_without_credits(value, name) for value in said]
        case bool():
            return said
        case int() | float():
            return said if name in COUNTS else HIDDEN
    return said
