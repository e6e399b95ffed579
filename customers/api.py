"""The frame of every endpoint: whose key, how often, which scope, and one answer for each error.

A request is judged in this order: authentication, rate limit, scope, JSON, and then whatever the endpoint looks at.
"""

from typing import Any, ClassVar, cast

import structlog
from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.views import APIView

from customers.access import Access, Permission
from customers.models import ApiKey
from customers.throttling import Allowance, hit
from sora2.api import AlwaysJson, Problem, json_object

log = structlog.get_logger(__name__)


class EnterpriseView(APIView):
    """An endpoint of the API. A subclass names its `scope`, or overrides scope_of()."""

    http_method_names = ["get", "head", "post", "patch", "delete"]
    content_negotiation_class = AlwaysJson
    scope: ClassVar[Permission]
    allowance: Allowance | None = None

    @property
    def key(self) -> ApiKey:
        """The key of the request, with its organization."""
        return cast(ApiKey, self.request.auth)

    @property
    def access(self) -> Access:
        """What the request may reach: filter every query by it."""
        return self.key.access()

    def scope_of(self, method: str) -> Permission:  # noqa: ARG002
        """Return the scope that a request with this method needs."""
        return self.scope

    def body(self) -> dict[str, Any]:
        """Return the request's body, a JSON object. Raises Problem 400, 413 or 415."""
        return json_object(self.request._request)

    def optional_body(self) -> dict[str, Any]:
        """Return the request's body, or an empty object where none was sent. Raises Problem 400, 413 or 415."""
        headers = self.request.headers
        sent = headers.get("Content-Length", "0") not in ("", "0") or "Transfer-Encoding" in headers
        return self.body() if sent else {}

    def initial(self, request: Request, *_: Any, **__: Any) -> None:
        """Judge the request before its handler; REST framework would look at scopes before the rate."""
        self.format_kwarg = None
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)
        self.perform_authentication(request)
        self.check_throttles(request)
        self.check_permissions(request)

    def check_throttles(self, _request: Request) -> None:
        """Count the request. Raises Problem 429."""
        self.allowance = hit(self.key.organization)
        if not self.allowance.allowed:
            wait = self.allowance.reset_seconds
            detail = f"At most {self.allowance.limit} requests in 60 seconds. Go on in {wait} s."
            raise Problem("rate_limited", detail, headers={"Retry-After": str(wait)})

    def finalize_response(  # type: ignore[override]  # A stream is no Response of REST framework's.
        self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Say in every answer what is left of the rate, and keep it out of shared caches."""
        answer = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[arg-type]
        answer.headers.setdefault("Cache-Control", "private, no-store")
        if self.allowance is not None:
            answer.headers["RateLimit-Limit"] = str(self.allowance.limit)
            answer.headers["RateLimit-Remaining"] = str(self.allowance.remaining)
            answer.headers["RateLimit-Reset"] = str(self.allowance.reset_seconds)
        log.info("api.answered", endpoint=type(self).__name__, method=request.method, status=answer.status_code)
        return answer
