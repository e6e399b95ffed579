"""The door that hands secrets over: it says what is in a one-time link, and shows it once. For whoever holds the link.

To look uses nothing up: mail scanners look at every address. Only a form that is sent reveals. Why a link opens nothing
is never said, so that nobody learns which ones there were.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from customers.handing_over import HandoverUseless, Named, good_handover, reveal
from customers.join_pages import REFERRER_POLICY
from customers.models import Handover
from sora2.pages import Page, render, render_once


@dataclass(frozen=True)
class Use:
    """What a secret is for, and the variable of a shell from which our examples read it."""

    says: str
    variable: str = ""


USES: Mapping[str, Use] = {
    Named.LIVE_KEY: Use("Orders videos for real: each that succeeds is paid with your credits.", "SORA2_API_KEY"),
    Named.TEST_KEY: Use("For trying out: videos are simulated, and cost play money.", "SORA2_TEST_API_KEY"),
    Named.ENDPOINT_SECRET: Use(
        "Signs what we send to your endpoint: with it your receiver tells that a message is ours.", "WEBHOOK_SECRET"
    ),
    Named.DEFAULT_SECRET: Use(
        "Signs what we send to an address that is given with a batch, as the examples do.", "SORA2_WEBHOOK_SECRET"
    ),
    Named.USERNAME: Use("Of the account that administers your organization."),
    Named.PASSWORD: Use("Change it once you are in, and turn two-step sign-in on: both stand in the top bar."),
}


@dataclass(frozen=True)
class Shown:
    """A secret as it is shown."""

    name: str
    value: str
    use: Use | None


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def handover(request: HttpRequest, token: str) -> HttpResponseBase:
    """Say what a link holds, and reveal it once to whoever asks by the form."""
    answer = _reveal if request.method == "POST" else _closed
    response = answer(request, token, timezone.now())
    response.headers["Referrer-Policy"] = REFERRER_POLICY
    return response


def _closed(request: HttpRequest, token: str, now: datetime) -> HttpResponseBase:
    found = good_handover(token=token, now=now)
    if found is None:
        return _useless(request)
    return render(request, "admin/account/handover.html", title=found.title, handover=found)


def _reveal(request: HttpRequest, token: str, now: datetime) -> HttpResponseBase:
    try:
        found, content = reveal(token=token, now=now)
    except HandoverUseless:
        return _useless(request)
    return _open(request, found, content)


def _open(request: HttpRequest, found: Handover, content: Mapping[str, str]) -> HttpResponseBase:
    shown = [Shown(name, content[name], USES.get(name)) for name in found.names]
    exports = [(each.use.variable, each.value) for each in shown if each.use and each.use.variable]
    base = [("SORA2_URL", settings.PUBLIC_BASE_URL)] if exports else []
    return render_once(
        request,
        "admin/account/handover_open.html",
        title=found.title,
        handover=found,
        shown=shown,
        shell="\n".join(f"export {variable}={value}" for variable, value in [*base, *exports]),
        signs_in=Named.PASSWORD in content,
        base_url=settings.PUBLIC_BASE_URL,
    )


def _useless(request: HttpRequest) -> HttpResponseBase:
    """Answer a link that opens nothing: what to do, and not why."""
    return render(request, "admin/account/handover_useless.html", status=404, title="This link does not work")


OPEN_PAGES = [
    Page("secret/<slug:token>", handover, "handover"),
]
