"""What all APIs share: problem+json errors (RFC 9457), the JSON body, pages by cursor."""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import IO, Any, ClassVar, TypeVar

import msgspec
import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, models
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from sora2.tracing import current_trace_id

log = structlog.get_logger(__name__)

M = TypeVar("M", bound=models.Model)

PROBLEM_TYPE = "application/problem+json"
PAGE_DEFAULT, PAGE_MAX = 20, 100

TITLES = {
    "malformed_json": "The body is not a JSON object",
    "request_id_required": "A request id is required",
    "request_id_conflict": "Different request ids were given",
    "invalid_api_key": "The API key is not valid",
    "insufficient_scope": "The API key lacks a scope",
    "not_found": "There is no such object",
    "method_not_allowed": "The method is not allowed here",
    "unsupported_media_type": "The body must be application/json",
    "insufficient_credits": "Not enough credits",
    "batch_final": "The batch has ended",
    "batch_not_final": "The batch has not ended yet",
    "model_retired": "The model is retired",
    "payload_too_large": "The body is too large",
    "validation_error": "The request has faults",
    "batch_too_large": "The batch has too many items",
    "max_credits_exceeded": "The batch costs more than max_credits",
    "request_id_reused": "The request id was used for another body",
    "rate_limited": "Too many requests",
    "too_many_open_batches": "Too many open batches",
    "not_acceptable": "Only JSON can be answered",
    "range_not_satisfiable": "The range lies outside the content",
    "service_unavailable": "The service is not available for the moment",
    "internal_error": "Something failed on our side",
}


class Problem(Exception):
    """An error answer. `code` is stable; `extra` are further members of the body, `headers` of the answer."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers, self.extra = dict(headers or {}), extra

    def body(self) -> dict[str, Any]:
        """Return the problem+json object."""
        return {
            "ok": False,
            "type": f"{settings.PUBLIC_BASE_URL}/docs/errors#{self.code}",
            "title": TITLES[self.code],
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "trace_id": current_trace_id(),
            **self.extra,
        }


def problem_response(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Answer any error as problem+json (REST framework's EXCEPTION_HANDLER)."""
    problem = _as_problem(error)
    if problem.status >= 500:
        log.error("api.failed", code=problem.code, exc_info=error)
    return Response(problem.body(), status=problem.status, headers=problem.headers, content_type=PROBLEM_TYPE)


def problem_page(problem: Problem) -> JsonResponse:
    """Answer a problem outside REST framework (unknown address, failed middleware)."""
    return JsonResponse(
        problem.body(), status=problem.status, headers=problem.headers, content_type=PROBLEM_TYPE
    )


def not_found() -> Problem:
    """The same answer for what does not exist and for what belongs to somebody else."""
    return Problem(404, "not_found", "There is no such object for this key. Check the id, and the key's mode.")


def _as_problem(error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case Http404():
            return not_found()
        case exceptions.MethodNotAllowed():
            return Problem(405, "method_not_allowed", str(error.detail))
        case exceptions.UnsupportedMediaType():
            return Problem(415, "unsupported_media_type", "Send the body as application/json, in UTF-8.")
        case exceptions.NotAcceptable():
            return Problem(406, "not_acceptable", "Answers are application/json: accept that.")
        case OperationalError() | InterfaceError():
            return Problem(
                503,
                "service_unavailable",
                "The database is not reachable. Nothing was changed; try again.",
                headers={"Retry-After": "5"},
            )
        case _ if isinstance(error, DatabaseError) or not isinstance(error, exceptions.APIException):
            return Problem(500, "internal_error", "Something failed on our side. Tell us the trace id.")
        case _:
            return Problem(400, "malformed_json", "The request could not be read.")


class JsonObjectParser(BaseParser):
    """Parse a body that must be one JSON object in UTF-8. Raises Problem 400 or 413."""

    media_type: ClassVar[str] = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(limit + 1)
        if len(raw) > limit:
            raise payload_too_large()
        try:
            value = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(400, "malformed_json", f"The body is not JSON in UTF-8: {error}.") from error
        if not isinstance(value, dict):
            raise Problem(400, "malformed_json", 'The body must be a JSON object: {"…": …}.')
        return value


def payload_too_large() -> Problem:
    """The body is over the limit of bytes."""
    mib = settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 2**20
    return Problem(413, "payload_too_large", f"A body has at most {mib} MiB. Split the batch.")


def page_of(
    request: Request | HttpRequest, rows: models.QuerySet[M], *, key: str, represent: Callable[[M], Any]
) -> dict[str, Any]:
    """Return one page `{"ok", "data", "next_cursor"}` of `rows`, by the query's `limit` and `cursor`.

    `key` is the unique column that orders the rows, with `-` for descending. A cursor names the last row seen, so
    pages stay stable while rows are added. Raises Problem 422.
    """
    limit, cursor = _limit(request), _cursor(request)
    column = key.lstrip("-")
    if cursor is not None:
        rows = rows.filter(**{f"{column}__{'lt' if key.startswith('-') else 'gt'}": cursor})
    page = list(rows.order_by(key)[: limit + 1])
    more = len(page) > limit
    page = page[:limit]
    return {
        "ok": True,
        "data": [represent(row) for row in page],
        "next_cursor": _cursor_at(getattr(page[-1], column)) if more else None,
    }


def invalid_parameter(name: str, detail: str) -> Problem:
    """A query parameter that cannot be understood."""
    fault = {"pointer": f"?{name}", "code": "invalid", "detail": detail}
    return Problem(422, "validation_error", f"The parameter {name} is not valid. {detail}", errors=[fault])


def _limit(request: Request | HttpRequest) -> int:
    text = request.GET.get("limit", str(PAGE_DEFAULT))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= PAGE_MAX):
        raise invalid_parameter("limit", f"It is a number from 1 to {PAGE_MAX}.")
    return int(text)


def _cursor(request: Request | HttpRequest) -> str | None:
    text = request.GET.get("cursor")
    if text is None:
        return None
    try:
        value = base64.urlsafe_b64decode(text.encode()).decode("ascii")
    except (ValueError, binascii.Error) as error:
        raise invalid_parameter("cursor", "Pass next_cursor of the page before, unchanged.") from error
    if not value or not all(c.isalnum() or c == "_" for c in value):
        raise invalid_parameter("cursor", "Pass next_cursor of the page before, unchanged.")
    return value


def _cursor_at(value: object) -> str:
    return base64.urlsafe_b64encode(str(value).encode()).decode()
