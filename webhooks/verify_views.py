"""`GET /docs/enterprise/webhooks/verify`: what is wrong with a signature, worked out in the visitor's browser."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from sora2.security import policy

# The visitor types a secret: the browser is to refuse every way out of the page, whatever its script would do.
POLICY = policy(connect_src="'none'", form_action="'none'", media_src="'none'")


@require_safe
@cache_control(public=True, max_age=300)
def verify_page(request: HttpRequest) -> HttpResponse:
    """Answer the page, the same for everybody."""
    page = render(request, "docs/verify.html")
    page.headers["Content-Security-Policy"] = POLICY
    page.headers["Referrer-Policy"] = "no-referrer"
    return page
