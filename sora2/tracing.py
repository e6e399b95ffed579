"""Every HTTP request has a trace id: in its logs, in the header X-Trace-Id, in every error body."""

from collections.abc import Callable
from contextvars import ContextVar

import structlog
from django.http import HttpRequest, HttpResponse

from sora2.ids import new_id

_trace_id: ContextVar[str] = ContextVar("trace_id", default="")


def current_trace_id() -> str:
    """Return the id of the HTTP request being answered, or the empty text outside one."""
    return _trace_id.get()


class TraceMiddleware:
    """Give the request an id of our own (never the client's: `X-Request-Id` is the batch's) and answer with it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = _trace_id.set(new_id("trc"))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(trace_id=_trace_id.get())
        try:
            response = self.get_response(request)
            response["X-Trace-Id"] = _trace_id.get()
            return response
        finally:
            _trace_id.reset(token)
