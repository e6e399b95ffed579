"""The Content-Security-Policy: of the pages, everything from here, nothing inline; of the API's answers, nothing."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from sora2.api import BASE_PATH

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
# An answer of the API is no page, whatever a browser takes it for; of a video that is opened by itself it makes one.
API_POLICY = "default-src 'none'; media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class ContentSecurityPolicyMiddleware:
    """Send the policy with every answer of the admin site and of the API, unless the view has set one of its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        match = request.resolver_match
        if request.path_info.startswith(BASE_PATH):
            response.headers.setdefault("Content-Security-Policy", API_POLICY)
        elif match is not None and match.app_name == "admin":
            response.headers.setdefault("Content-Security-Policy", POLICY)
        return response
