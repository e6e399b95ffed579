"""Lists over HTTP: pages by cursor, and query parameters that mean what they say or are refused."""

import base64
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import models
from django.http import HttpRequest
from rest_framework.request import Request

from sora2.api import Problem
from sora2.ids import least_id_at
from sora2.times import from_timestamp

M = TypeVar("M", bound=models.Model)
Q = TypeVar("Q", bound=models.QuerySet[Any])
AnyRequest = Request | HttpRequest

PAGE_DEFAULT, PAGE_MAX = 20, 100
# A row's id is made within a request or a transaction of its `created_at`, which is exact; far less than this apart.
ID_SLACK = timedelta(hours=1)
# Ids, and whole numbers that fit a bigint.
ID_CURSOR, NUMBER_CURSOR = re.compile(r"[a-z]{3}_[0-9a-z]{26}"), re.compile(r"[0-9]{1,18}")


def page_of(
    request: AnyRequest,
    rows: models.QuerySet[M],
    *,
    key: str,
    represent: Callable[[Sequence[M]], list[dict[str, Any]]],
) -> dict[str, Any]:
    """Return one page `{"ok", "data", "next_cursor"}` of `rows`, by the query's `limit` and `cursor`.

    `key` is the unique column that orders the rows, with `-` for descending. A cursor names the last row seen, so
    pages stay stable while rows are added. Raises Problem 422.
    """
    column = key.lstrip("-")
    limit, cursor = _limit(request), _cursor(request, rows.model._meta.get_field(column))
    if cursor is not None:
        rows = rows.filter(**{f"{column}__{'lt' if key.startswith('-') else 'gt'}": cursor})
    found = list(rows.order_by(key)[: limit + 1])
    page, more = found[:limit], len(found) > limit
    return {
        "ok": True,
        "data": represent(page),
        "next_cursor": _cursor_at(getattr(page[-1], column)) if more else None,
    }


def text_of(request: AnyRequest, name: str) -> str | None:
    """Return a query parameter, or None when it is missing or empty. Raises Problem 422 for what no column holds."""
    text = request.GET.get(name)
    if text and "\0" in text:
        raise invalid_parameter(name, "It cannot contain NUL.")
    return text or None


def choice_of(request: AnyRequest, name: str, choices: Sequence[str]) -> str | None:
    """Return a query parameter that is one of `choices`, or None when it is missing. Raises Problem 422."""
    text = text_of(request, name)
    if text is not None and text not in choices:
        raise invalid_parameter(name, f"Choose one of: {', '.join(choices)}.")
    return text


def instant_of(request: AnyRequest, name: str) -> datetime | None:
    """Return a query parameter that is a time with its zone, or None when it is missing. Raises Problem 422."""
    text = text_of(request, name)
    try:
        return from_timestamp(text) if text is not None else None
    except ValueError:
        detail = "It is a time with its zone, such as 2026-12-01T00:00:00Z (a + is written %2B)."
        raise invalid_parameter(name, detail) from None


def created_between(request: AnyRequest, rows: Q, *, prefix: str) -> Q:
    """Keep rows by the query's `created_after` (inclusive) and `created_before` (exclusive). Raises Problem 422.

    `prefix` is that of the ids.
    """
    after, before = instant_of(request, "created_after"), instant_of(request, "created_before")
    return created_within(rows, after=after, before=before, prefix=prefix)


def created_within(rows: Q, *, after: datetime | None, before: datetime | None, prefix: str) -> Q:
    """Keep rows that were created from `after` (inclusive) to `before` (exclusive); None is no bound.

    Pages go by ids, which begin with the time: that bounds how far a page is looked for. `prefix` is that of the ids.
    """
    if after is not None:
        rows = rows.filter(created_at__gte=after, pk__gte=_id_at(prefix, after, -ID_SLACK))
    if before is not None:
        rows = rows.filter(created_at__lt=before, pk__lt=_id_at(prefix, before, ID_SLACK))
    return rows


def invalid_parameter(name: str, detail: str) -> Problem:
    """Return the problem of a query parameter that cannot be understood."""
    fault = {"pointer": f"?{name}", "code": "invalid", "detail": detail}
    return Problem("validation_error", f"The parameter {name} is not valid. {detail}", errors=[fault])


def _limit(request: AnyRequest) -> int:
    text = request.GET.get("limit", str(PAGE_DEFAULT))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= PAGE_MAX):
        raise invalid_parameter("limit", f"It is a number from 1 to {PAGE_MAX}.")
    return int(text)


def _cursor(request: AnyRequest, column: Any) -> str | None:
    text = request.GET.get("cursor")
    if text is None:
        return None
    form = NUMBER_CURSOR if isinstance(column, models.IntegerField) else ID_CURSOR
    try:
        value = base64.urlsafe_b64decode(text.encode()).decode("ascii")
    except ValueError:
        value = ""
    if not form.fullmatch(value):
        raise invalid_parameter("cursor", "Pass next_cursor of the page before, unchanged.")
    return value


def _id_at(prefix: str, at: datetime, slack: timedelta) -> str:
    """Return what ids of `at`, moved by `slack`, begin with; at the ends of the calendar, not moved."""
    try:
        return least_id_at(prefix, at + slack)
    except OverflowError:
        return least_id_at(prefix, at)


def _cursor_at(value: object) -> str:
    return base64.urlsafe_b64encode(str(value).encode()).decode()
