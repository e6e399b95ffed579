"""Calls of the API as pages tell them: what gives the same, or does the same, as commands for a shell."""

import functools
import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from django.conf import settings
from django.urls import resolve

from sora2.api import BASE_PATH
from sora2.operations import Operation, Schema
from sora2.times import timestamp

PLACE = re.compile(r"\{([\w.]+)\}")
# What a terminal can show; anything else is saved as a file, unless it is refused.
SHOWN = ("application/json", "application/jsonl", "text/csv", "text/plain")
# The variable that holds the key, by mode.
KEYS = {"live": "SORA2_API_KEY", "test": "SORA2_TEST_API_KEY"}

Names = Callable[[str], object]
Body = Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """A call of the API, with places such as `{batch_id}` for what a page is about. Made by call()."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    when: str = ""

    @property
    def operation(self) -> Operation:
        """Return what the call is described as in the OpenAPI document."""
        return _operation(self.method, self.path)


@dataclass(frozen=True)
class Line:
    """A call with everything filled in, ready for a shell."""

    operation: Operation
    text: str


def call(line: str, body: Body | None = None, *, when: str = "") -> Call:
    """Return a call that is written like `GET /video-batch?state={asked.state}`, below /api/enterprise.

    A place is filled with the parameter of the page's address that has its name, or with what the page's template
    calls so. A parameter of the query, and a member of the body, is left out when there is nothing for it; one of the
    query also when the API would refuse it. The call is left out when its path lacks something, and unless `when`
    holds: names too, such as `batch.is_final and not batch.canceled_at`.
    """
    method, address = line.split(" ", 1)
    path, _, query = address.partition("?")
    return Call(method, path, dict(parse_qsl(query, strict_parsing=bool(query))), body, when)


def lines(calls: Iterable[Call], *, names: Names, mode: str, scopes: Iterable[str]) -> list[Line]:
    """Return those of the calls that apply and need no more than `scopes`, with what `names` says of each place."""
    granted = frozenset(scopes)
    allowed = (each for each in calls if each.operation.scope in granted and _applies(each.when, names))
    return [Line(each.operation, text) for each in allowed if (text := _text(each, names, mode))]


def curl(method: str, address: str, *, mode: str, data: str = "", to_file: bool = False) -> str:
    """Return the command that sends a request with a key that the shell knows.

    `data` are curl's words that give a body of JSON, quoted already.
    """
    verb = "" if method == "GET" else f"-X {method} "
    command = f'curl {verb}{"-fOJ " if to_file else ""}-H "X-API-Key: ${KEYS[mode]}" {shlex.quote(address)}'
    return f"{command} \\\n  -H 'Content-Type: application/json' {data}" if data else command


@functools.cache
def _operation(method: str, path: str) -> Operation:
    view: Any = resolve(f"{BASE_PATH}{path}").func
    operation: Operation = getattr(view.cls, method.lower()).operation
    return operation


def _applies(when: str, names: Names) -> bool:
    """Say whether every part of a condition holds."""
    parts = when.split(" and ") if when else []
    return all(not names(part[4:]) if part.startswith("not ") else names(part) for part in parts)


def _text(each: Call, names: Names, mode: str) -> str:
    """Return the command; empty when the path lacks something."""
    values = {place: names(place) for place in PLACE.findall(each.path)}
    if not all(values.values()):
        return ""
    path = PLACE.sub(lambda place: quote(str(values[place[1]]), safe=""), each.path)
    query = urlencode(_query(each, names), safe=":", quote_via=quote)
    address = f"{settings.PUBLIC_BASE_URL}{BASE_PATH}{path}{'?' if query else ''}{query}"
    data = "" if each.body is None else f"--data-raw {shlex.quote(json.dumps(_body(each.body, names)))}"
    kind = each.operation.answers[min(each.operation.answers)].content_type
    return curl(each.method, address, mode=mode, data=data, to_file=not kind.startswith(SHOWN))


def _query(each: Call, names: Names) -> dict[str, str]:
    """Return the query's parameters that have a value which the API takes."""
    schemas: dict[str, Schema] = {known["name"]: known["schema"] for known in each.operation.parameters}
    values = {name: _as_taken(_filled(text, names), schemas[name]) for name, text in each.query.items()}
    return {name: value for name, value in values.items() if value}


def _body(body: Body, names: Names) -> dict[str, Any]:
    filled = {name: _filled(value, names) if isinstance(value, str) else value for name, value in body.items()}
    return {
        name: timestamp(value) if isinstance(value, datetime) else value
        for name, value in filled.items()
        if value not in (None, "", [])
    }


def _filled(text: str, names: Names) -> object:
    """Return a text with its places filled in; a place alone is what it stands for, whatever that is."""
    if place := PLACE.fullmatch(text):
        return names(place[1])
    return PLACE.sub(lambda place: str(names(place[1]) or ""), text)


def _as_taken(value: object, schema: Schema) -> str:
    """Return a value as the API takes it by this schema, or the empty text if it would not."""
    if value is None or isinstance(value, bool):
        return "true" if value else ""
    if schema.get("format") == "date-time":
        return _instant(value)
    allowed: Sequence[str] = schema.get("enum", ())
    return "" if allowed and value not in allowed else str(value)


def _instant(value: object) -> str:
    """Return a day, or a time, as an instant: a page writes both in UTC, unless they say their zone."""
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return (timestamp(at if at.tzinfo else at.replace(tzinfo=UTC)) or "").replace(".000000Z", "Z")
    except (ValueError, OverflowError):
        return ""
