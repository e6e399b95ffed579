"""The page "Two-step sign-in" of one's own account: set an app up, renew the recovery codes, turn it off."""

from typing import Any

import segno
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import authenticate
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from customers import sessions, two_step
from customers.guessing import note_failure
from customers.models import User
from customers.pages import access_of, may_enter, person_of
from sora2.pages import Page, render, text_of

WRONG_PASSWORD = "This is not your password."  # noqa: S105 - what the page says.


@never_cache
@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "HEAD", "POST"])
def two_step_page(request: HttpRequest) -> HttpResponseBase:
    """Show how the person signs in, and set an app up: the first one, or with the password another one.

    Open to whoever is signed in but may see nothing until this is done.
    """
    user = request.user
    if not (isinstance(user, User) and may_enter(user.access())):
        return HttpResponseRedirect(f"{reverse('admin:login')}?{urlencode({'next': request.get_full_path()})}")
    app = two_step.authenticator_of(user)
    if app is not None and sessions.lacks_second_step(request, user):  # A session from before the app.
        sessions.end(request)
        return HttpResponseRedirect(f"{reverse('admin:login')}?ended=elsewhere")
    if request.method != "POST":
        if app is not None and not text_of(request, "another"):
            return render(request, "admin/account/two_step.html", **_standing(request, app))
        return _set_up_form(request, user, app)
    if app is not None and not _knows_password(request, user):
        return _set_up_form(request, user, app, fault=WRONG_PASSWORD)
    key, now = request.session.get("two_step_key"), timezone.now()
    if key is None:
        return _set_up_form(request, user, app, fault="That took too long. Scan this new code.")
    try:
        codes = two_step.set_up(user=user, key=key, code=_code(request), now=now)
    except two_step.WrongCode:
        return _set_up_form(request, user, app, fault="This is not the code that the app shows now.")
    del request.session["two_step_key"]
    request.session["two_step"] = True
    sessions.mark(request, now)
    request.session.cycle_key()
    vars(request).pop("_access", None)
    return _codes(request, codes)


@never_cache
@sensitive_post_parameters("password")
@require_POST
def renew_codes(request: HttpRequest) -> HttpResponseBase:
    """Replace the recovery codes, with the password."""
    user = person_of(request)
    if not _knows_password(request, user):
        return _back(request, WRONG_PASSWORD)
    try:
        return _codes(request, two_step.renew_codes(user=user))
    except two_step.NoAuthenticator:
        return _back(request, "Set up an app first.")


@never_cache
@sensitive_post_parameters("password")
@require_POST
def turn_off(request: HttpRequest) -> HttpResponseBase:
    """Go back to the password alone, with the password; where the second step is required, it is set up anew."""
    user, now = person_of(request), timezone.now()
    if not _knows_password(request, user):
        return _back(request, WRONG_PASSWORD)
    two_step.turn_off(user=user, now=now)
    request.session["two_step"] = False
    sessions.mark(request, now)
    messages.success(request, "Two-step sign-in is off: the password alone opens your account.")
    return HttpResponseRedirect(reverse("admin:two_step"))


def _set_up_form(request: HttpRequest, user: User, app: Any, *, fault: str = "") -> HttpResponseBase:
    key = request.session.setdefault("two_step_key", two_step.new_key())
    drawn = segno.make(two_step.app_address(user, key), error="m", micro=False)
    return render(
        request,
        "admin/account/set_up.html",
        status=422 if fault else 200,
        title="Set up two-step sign-in",
        picture=drawn.svg_data_uri(scale=4, border=4, light="#fff", encode_minimal=True),
        letters=two_step.in_letters(key),
        user=user,
        another=app is not None,
        forced=sessions.lacks_second_step(request, user),
        fault=fault,
    )


def _codes(request: HttpRequest, codes: list[str]) -> HttpResponseBase:
    go_to = text_of(request, "next")
    safe = url_has_allowed_host_and_scheme(go_to, {request.get_host()}, require_https=request.is_secure())
    return render(
        request,
        "admin/account/codes.html",
        title="Recovery codes",
        codes=codes,
        go_to=go_to if safe else reverse("admin:index"),
    )


def _standing(request: HttpRequest, app: Any) -> dict[str, Any]:
    required = settings.STAFF_TWO_STEP_REQUIRED and access_of(request).organization_ids is None
    return {"title": "Two-step sign-in", "app": app, "left": two_step.codes_left(app), "required": required}


def _knows_password(request: HttpRequest, user: User) -> bool:
    """Say whether the password is right; who guesses it here is locked out as on the sign-in page."""
    known = authenticate(request, username=user.username, password=request.POST.get("password", ""))
    if known is None:
        note_failure(request, username=user.username, act="session.confirm")
    return known == user


def _code(request: HttpRequest) -> str:
    return "".join(request.POST.get("code", "")[:20].split())


def _back(request: HttpRequest, fault: str) -> HttpResponseBase:
    messages.error(request, f"{fault} Nothing was changed.")
    return HttpResponseRedirect(reverse("admin:two_step"))


OPEN_PAGES = [Page("two-step/", two_step_page, "two_step")]
PAGES = [Page("two-step/codes", renew_codes, "two_step_codes"), Page("two-step/off", turn_off, "two_step_off")]
