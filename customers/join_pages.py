"""The doors that a one-time link opens: join an organization, or set a new password. For whoever holds the link.

To look at a link uses nothing up and makes nothing: mail scanners look at every address. Why a link opens nothing is
never said, so that nobody learns which ones there were.
"""

from collections.abc import Callable
from functools import wraps

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from customers import joining, sessions
from customers.models import OneTimeLink, User
from customers.pages import may_enter
from customers.people_forms import JoinForm, NewPasswordForm
from customers.people_pages import ROLES, inviter, lost_with
from sora2.pages import Page, render

Kind = OneTimeLink.Kind
# Never the address, which holds the token. Under `no-referrer` a browser sends a form's origin as `null`, and Django
# takes it for a form of somebody else's.
REFERRER_POLICY = "strict-origin"
Door = Callable[[HttpRequest, OneTimeLink], HttpResponseBase]


def door(kind: OneTimeLink.Kind) -> Callable[[Door], Callable[..., HttpResponseBase]]:
    """Guard a view: it is called with the request and the link of the token, while that is good.

    To every other token the answer is one and the same page.
    """

    def guard(view: Door) -> Callable[..., HttpResponseBase]:
        @never_cache
        @sensitive_post_parameters("password1", "password2", "new_password1", "new_password2")
        @require_http_methods(["GET", "HEAD", "POST"])
        @wraps(view)
        def guarded(request: HttpRequest, token: str) -> HttpResponseBase:
            link = joining.good_link(token=token, kind=kind, now=timezone.now())
            try:
                response = useless(request) if link is None else view(request, link)
            except joining.LinkUseless:
                response = useless(request)
            response.headers["Referrer-Policy"] = REFERRER_POLICY
            return response

        return guarded

    return guard


@door(Kind.INVITATION)
def join(request: HttpRequest, link: OneTimeLink) -> HttpResponseBase:
    """Show an invitation, and take whoever accepts it into the organization."""
    person = _signed_in(request)
    if request.method != "POST":
        return _join_page(request, link, person, JoinForm(initial={"username": link.email}))
    if person is not None and (person.is_staff or "with_account" in request.POST):
        return _join_with(request, link, person)
    form = JoinForm(request.POST)
    if not form.is_valid():
        return _join_page(request, link, person, form, status=422)
    given, now = form.cleaned_data, timezone.now()
    try:
        user = joining.join_as_new(
            link=link, username=given["username"], name=given["name"], password=given["password1"], now=now
        )
    except joining.NameTaken:
        form.add_error("username", "Somebody took this name at this moment. Choose another one.")
        return _join_page(request, link, person, form, status=422)
    sessions.begin(request, user, two_step=False, now=now)
    return _home(request, link)


@door(Kind.PASSWORD)
def new_password(request: HttpRequest, link: OneTimeLink) -> HttpResponseBase:
    """Let a member set a new password. They sign in with it then, with their second step if it is on."""
    if link.user is None:
        raise joining.LinkUseless
    form = NewPasswordForm(link.user, request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return render(
            request,
            "admin/account/new_password.html",
            status=422 if form.errors else 200,
            title="Set a new password",
            link=link,
            by=inviter(link),
            form=form,
        )
    joining.set_password(link=link, password=form.cleaned_data["new_password1"], now=timezone.now())
    return HttpResponseRedirect(f"{reverse('admin:login')}?ended=password")


def useless(request: HttpRequest) -> HttpResponseBase:
    """Answer a link that opens nothing: what to do, and not why."""
    return render(request, "admin/account/link_useless.html", status=404, title="This link does not work")


def _join_with(request: HttpRequest, link: OneTimeLink, person: User) -> HttpResponseBase:
    try:
        joining.join_with_account(link=link, user=person, now=timezone.now())
    except joining.JoinRefused:
        person.refresh_from_db()
        return _join_page(request, link, person, JoinForm(initial={"username": link.email}), status=422)
    return _home(request, link)


def _join_page(
    request: HttpRequest, link: OneTimeLink, person: User | None, form: JoinForm, *, status: int = 200
) -> HttpResponseBase:
    return render(
        request,
        "admin/account/join.html",
        status=status,
        title=f"Join {link.organization}",
        link=link,
        by=inviter(link),
        means=ROLES[link.role],
        person=person,
        why_not=joining.why_not_with(person, link) if person else "",
        lost=lost_with(person, link) if person and not person.is_staff else [],
        form=form,
    )


def _home(request: HttpRequest, link: OneTimeLink) -> HttpResponseBase:
    messages.success(request, f"Welcome: you belong to {link.organization} now, as {link.role}.")
    return HttpResponseRedirect(reverse("admin:index"))


def _signed_in(request: HttpRequest) -> User | None:
    """Return who is signed in and could join: one of our own people, or a customer's person."""
    user = request.user
    return user if isinstance(user, User) and may_enter(user.access()) else None


OPEN_PAGES = [
    Page("join/<slug:token>", join, "join"),
    Page("new-password/<slug:token>", new_password, "new_password"),
]
