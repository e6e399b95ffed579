"""What all APIs share: errors as problem+json (RFC 9457), and the body as one JSON object."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import singledispatch
from typing import IO, Any

import msgspec
import structlog
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from django.http.request import MediaType
from rest_framework import exceptions
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from sora2.faults import Invalid
from sora2.tracing import current_trace_id

log = structlog.get_logger(__name__)

BASE_PATH = "/api/enterprise"
JSON_TYPE = "application/json"
PROBLEM_TYPE = "application/problem+json"
RETRY_SECONDS = 5

# Every code, with its status and title.
PROBLEMS: dict[str, tuple[int, str]] = {
    "malformed_json": (400, "The body is not a JSON object"),
    "request_id_required": (400, "A request id is required"),
    "request_id_conflict": (400, "Different request ids were given"),
    "invalid_api_key": (401, "The API key is not valid"),
    "insufficient_credits": (402, "Not enough credits"),
    "key_budget_exceeded": (402, "The key's budget is not enough"),
    "insufficient_scope": (403, "The API key lacks a scope"),
    "not_found": (404, "There is no such object"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "batch_final": (409, "The batch has ended"),
    "batch_not_final": (409, "The batch has not ended yet"),
    "already_retried": (409, "The items were tried anew already"),
    "model_retired": (410, "The model is not offered any more"),
    "payload_too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The body must be application/json"),
    "range_not_satisfiable": (416, "The range lies outside the content"),
    "validation_error": (422, "The request has faults"),
    "batch_too_large": (422, "The batch has too many items"),
    "max_credits_exceeded": (422, "The batch costs more than max_credits"),
    "nothing_to_retry": (422, "No item of the batch may succeed"),
    "request_id_reused": (422, "The request id was used for another body"),
    "rate_limited": (429, "Too many requests"),
    "too_many_open_batches": (429, "Too many open batches"),
    "internal_error": (500, "Something failed on our side"),
    "service_unavailable": (503, "The service is not available for the moment"),
}


class Problem(Exception):
    """An error answer, by its stable code. `extra` are further members of the body, `headers` of the answer."""

    def __init__(self, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail
        self.status, self.title = PROBLEMS[code]
        self.headers, self.extra = dict(headers or {}), extra

    def body(self) -> dict[str, Any]:
        """Return the problem+json object."""
        return {
            "ok": False,
            "type": f"{settings.PUBLIC_BASE_URL}/docs/errors#{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "trace_id": current_trace_id(),
            **self.extra,
        }


# --- answers -------------------------------------------------------------------------------------------------------


def problem_response(error: Exception, _context: Mapping[str, Any]) -> Response:
    """Answer any error as problem+json (REST framework's EXCEPTION_HANDLER)."""
    problem = problem_of(error)
    log_failure(problem, error)
    return Response(problem.body(), status=problem.status, headers=problem.headers, content_type=PROBLEM_TYPE)


def problem_page(problem: Problem) -> JsonResponse:
    """Answer a problem outside REST framework (unknown address, failed middleware)."""
    headers = {"Cache-Control": "no-store", **problem.headers}
    return JsonResponse(problem.body(), status=problem.status, headers=headers, content_type=PROBLEM_TYPE)


def log_failure(problem: Problem, error: BaseException | None) -> None:
    """Log a problem that is ours. What the caller did wrong is no error of ours."""
    if problem.status >= 500:
        log.error("api.failed", code=problem.code, exc_info=error)


def not_found() -> Problem:
    """Return the same answer for what does not exist and for what belongs to somebody else."""
    return Problem("not_found", "There is no such object for this key. Check the id, and the key's mode.")


def refused(pointer: str, code: str, detail: str, **extra: Any) -> Problem:
    """Return the problem of a request that is well-formed and cannot be done as things are."""
    fault = {"pointer": pointer, "code": code, "detail": detail}
    return Problem("validation_error", detail, errors=[fault], **extra)


# --- what an error means -------------------------------------------------------------------------------------------


@singledispatch
def problem_of(_error: Exception) -> Problem:
    """Return the problem that tells the caller about an error. Apps register their domain errors here."""
    return Problem("internal_error", "Something failed on our side. Tell us the trace id.")


@problem_of.register
def _as_it_is(error: Problem) -> Problem:
    return error


@problem_of.register
def _missing(_: Http404) -> Problem:
    return not_found()


@problem_of.register
def _method(error: exceptions.MethodNotAllowed) -> Problem:
    return Problem("method_not_allowed", f"{error.detail} The header Allow names those that are.")


@problem_of.register
def _faults(error: Invalid) -> Problem:
    found = "One fault was found" if error.count == 1 else f"{error.count} faults were found"
    told = f", the first {len(error.faults)} are told" if error.count > len(error.faults) else ""
    detail = f"{found}{told}; nothing was stored. `errors` says where each is and what to do."
    return Problem("validation_error", detail, errors=[asdict(fault) for fault in error.faults])


@problem_of.register(OperationalError)
@problem_of.register(InterfaceError)
def _database(_: Exception) -> Problem:
    return Problem(
        "service_unavailable",
        "The service cannot reach its data for the moment. Send the same request again: "
        "the same request id never makes two batches.",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


# --- the body ------------------------------------------------------------------------------------------------------


class AlwaysJson(BaseContentNegotiation):
    """Answer JSON whatever `Accept` says: there is nothing else to choose from."""

    def select_renderer(self, _request: Request, renderers: Any, *_: Any) -> tuple[BaseRenderer, str]:
        """Return the first renderer."""
        return renderers[0], renderers[0].media_type

    def select_parser(self, _request: Request, parsers: Any) -> Any:
        """Return the first parser; json_object() has looked at the type."""
        return parsers[0]


class JsonObjectParser(BaseParser):
    """Parse a body that must be one JSON object in UTF-8. Raises Problem 400 or 413."""

    media_type = JSON_TYPE

    def parse(self, stream: IO[bytes], *_: Any, **__: Any) -> dict[str, Any]:
        """Return the object."""
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(limit + 1)
        if len(raw) > limit:
            raise _payload_too_large()
        return _decoded(raw)


def json_object(request: HttpRequest) -> dict[str, Any]:
    """Return the JSON object in the request's body. Raises Problem 400, 413 or 415; a large body is not read."""
    if not _is_json(request.headers.get("Content-Type", "")):
        raise Problem("unsupported_media_type", "Send the body as application/json, in UTF-8.")
    length = request.headers.get("Content-Length") or "0"
    if length.isdigit() and (len(length) > 18 or int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE):
        raise _payload_too_large()
    return JsonObjectParser().parse(_stream(request))


def _stream(request: HttpRequest) -> IO[bytes]:
    """Return what carries the body. Django takes a chunked one, which has no length, for an empty one."""
    if (
        isinstance(request, WSGIRequest)
        and request.environ.get("wsgi.input_terminated")
        and "chunked" in request.headers.get("Transfer-Encoding", "").lower()
    ):
        stream: IO[bytes] = request.environ["wsgi.input"]
        return stream
    return request  # type: ignore[return-value]  # A request has read().


def _decoded(raw: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem("malformed_json", f"The body is not JSON in UTF-8: {error}.") from error
    if not isinstance(value, dict):
        raise Problem("malformed_json", 'The body must be a JSON object: {"…": …}.')
    return value


def _is_json(content_type: str) -> bool:
    media = MediaType(content_type)
    charset = media.params.get("charset", "utf-8")
    text = charset.decode("ascii", "replace") if isinstance(charset, bytes) else charset
    return f"{media.main_type}/{media.sub_type}".lower() == JSON_TYPE and text.lower() in ("utf-8", "utf8")


def _payload_too_large() -> Problem:
    mib = settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 2**20
    return Problem("payload_too_large", f"A body has at most {mib} MiB. Split the batch.")
