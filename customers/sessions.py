"""A person's session: how it begins, how long it lasts, and how it ends, each with its row in the audit log.

A session ends after a time without an act of its person, and some hours after it began whatever they do. A page that
looks for news by itself keeps none alive. What is kept is in the session: no row is written but once a minute.
"""

from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import auth
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

from customers.guessing import address_of
from customers.models import User
from customers.services import audit

BACKEND = "django.contrib.auth.backends.ModelBackend"
# The last act is written down at most once in this time.
SEEN_PRECISION_SECONDS = 60.0
# A password is good for so long without the code that follows it.
PENDING_SECONDS = 600.0

# What the sign-in page says when a session has ended, by the word in its address.
ENDED = {
    "idle": "You were signed out because nothing happened here for a while. Sign in to go on where you were.",
    "age": "You were signed out: a session ends after some hours, whatever happens. Sign in to go on where you were.",
    "elsewhere": "You were signed out: this session was ended from elsewhere. Sign in to go on where you were.",
    "everywhere": "You are signed out here and everywhere else.",
    "out": "You are signed out.",
    "password": "Your new password is set, and you are signed out everywhere. Sign in with it.",
    "late": "That took too long. Start again with your password.",
}


def begin(request: HttpRequest, user: User, *, two_step: bool, now: datetime) -> None:
    """Sign somebody in, with a new session key; `two_step` says whether they gave a code too."""
    request.session.pop("pending", None)
    auth.login(request, user, backend=BACKEND)
    mark(request, now)
    request.session["two_step"] = two_step
    _audit(request, user, "session.sign_in", two_step=two_step)


def mark(request: HttpRequest, now: datetime) -> None:
    """Let the session begin now."""
    request.session["begun_at"] = request.session["seen_at"] = now.timestamp()


def end(request: HttpRequest, *, act: str = "session.sign_out", why: str = "") -> None:
    """Sign the person out, if one is signed in."""
    user = request.user
    if isinstance(user, User):
        _audit(request, user, act, **({"reason": why} if why else {}))
    auth.logout(request)


def hold(request: HttpRequest, user: User, *, go_to: str, now: datetime) -> None:
    """Keep in a session of nobody that this person gave their password, until the code comes."""
    request.session.flush()
    held = {"user": user.pk, "hash": user.get_session_auth_hash(), "at": now.timestamp(), "go_to": go_to}
    request.session["pending"] = held


def held(request: HttpRequest, *, now: datetime) -> tuple[User, str] | None:
    """Return who gave their password and where they want to go; None if nobody did, or too long ago."""
    pending = request.session.get("pending")
    if pending is None or now.timestamp() - pending["at"] > PENDING_SECONDS:
        return None
    user = User.objects.filter(pk=pending["user"], is_active=True).first()
    if user is None or user.get_session_auth_hash() != pending["hash"]:
        return None
    return user, pending["go_to"]


def lacks_second_step(request: HttpRequest, user: User) -> bool:
    """Say whether this person may see nothing yet: a member of staff, where the second step is required of them."""
    return settings.STAFF_TWO_STEP_REQUIRED and user.is_staff and not request.session.get("two_step")


class SessionLimitsMiddleware:
    """End sessions of the pages that lasted too long, and lead whoever has none to the sign-in page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Let a part of a page that asks without a session load the sign-in page, not show it in its place."""
        response = self.get_response(request)
        asked_by_part = request.headers.get("HX-Request") == "true"
        if asked_by_part and response.status_code == 302 and response.headers["Location"].startswith(_sign_in_page()):
            return HttpResponse(headers={"HX-Redirect": _sign_in_address(request)})
        return response

    def process_view(self, request: HttpRequest, *_: object) -> HttpResponse | None:
        """Look at the session before a page of the admin site is made (Django's hook)."""
        match = request.resolver_match
        if match is None or match.app_name != "admin" or not isinstance(request.user, User):
            return None
        now = timezone.now()
        why = _over(request, request.user, now)
        if not why:
            _note_act(request, now)
            return None
        end(request, act="session.expire", why=why)
        if match.url_name in ("login", "logout"):
            return None
        if request.headers.get("HX-Request") == "true":
            return HttpResponse(headers={"HX-Redirect": _sign_in_address(request, ended=why)})
        return HttpResponseRedirect(_sign_in_address(request, ended=why))


def _over(request: HttpRequest, user: User, now: datetime) -> str:
    """Return why the session is over, as a word of ENDED; the empty text while it is not."""
    begun, seen = request.session.get("begun_at"), request.session.get("seen_at")
    if begun is None or seen is None:  # It began before there were limits, or by other ways than ours.
        mark(request, now)
        return ""
    if user.sessions_ended_at is not None and begun < user.sessions_ended_at.timestamp():
        return "elsewhere"
    if now.timestamp() - begun > settings.SESSION_MAX_HOURS * 3600:
        return "age"
    return "idle" if now.timestamp() - seen > settings.SESSION_IDLE_MINUTES * 60 else ""


def _note_act(request: HttpRequest, now: datetime) -> None:
    """Note that the person did something. What htmx asks for by itself is no act; sora2.js says which is by hand."""
    by_itself = request.headers.get("HX-Request") == "true" and "X-By-Hand" not in request.headers
    if not by_itself and now.timestamp() - request.session["seen_at"] > SEEN_PRECISION_SECONDS:
        request.session["seen_at"] = now.timestamp()


def _sign_in_page() -> str:
    return reverse("admin:login")


def _sign_in_address(request: HttpRequest, **query: str) -> str:
    return f"{_sign_in_page()}?{urlencode({'next': _where(request), **query})}"


def _where(request: HttpRequest) -> str:
    """Return the page that somebody looks at: for what is no page itself, the one that sent it."""
    if request.method in ("GET", "HEAD") and "HX-Request" not in request.headers:
        return request.get_full_path()
    looked_at = request.headers.get("HX-Current-URL") or request.headers.get("Referer", "")
    home = reverse("admin:index")
    host = f"{request.scheme}://{request.get_host()}"
    if not url_has_allowed_host_and_scheme(looked_at, {request.get_host()}) or not looked_at.startswith(host + home):
        return home
    return looked_at.removeprefix(host)


def _audit(request: HttpRequest, user: User, act: str, **detail: object) -> None:
    customers = [] if user.is_staff else list(user.memberships.values_list("organization_id", flat=True)[:2])
    audit(
        actor=user.pk,
        action=act,
        subject=user.pk,
        organization_id=customers[0] if len(customers) == 1 else None,
        detail={"username": user.username, "address": address_of(request) or "", **detail},
    )
