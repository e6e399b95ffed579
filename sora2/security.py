"""The Content-Security-Policy of the pages: everything from here, nothing inline."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

_DIRECTIVES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",  # Django's own stylesheets carry their icons.
    "media-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


def policy(**own: str) -> str:
    """Return the policy, with directives of a page's own: `policy(connect_src="'none'")`."""
    directives = {**_DIRECTIVES, **{name.replace("_", "-"): value for name, value in own.items()}}
    return "; ".join(f"{name} {value}" for name, value in directives.items())


POLICY = policy()


class ContentSecurityPolicyMiddleware:
    """Send the policy with every answer of the admin site, unless the view has set one of its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        match = request.resolver_match
        if match is not None and match.app_name == "admin":
            response.headers.setdefault("Content-Security-Policy", POLICY)
        return response
