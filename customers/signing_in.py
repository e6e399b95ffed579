"""Signing in and out: the password, then the code of the app for whoever has one. Only then is there a session."""

from typing import Any

from django.contrib.admin.forms import AdminPasswordChangeForm
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from customers import sessions, two_step
from customers.guessing import address_of, note_failure
from customers.models import User
from customers.pages import access_of, may_enter, person_of
from customers.services import audit, end_sessions
from sora2.pages import Page, render, text_of

CODE_MAX = 40
NAME_MAX = 150
MISMATCH = "This sign-in name and this password do not belong together. Capitals count in both."


class SignInForm(AuthenticationForm):
    """Lets in our staff, and the people of customers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "Sign-in name"
        self.error_messages = {**self.error_messages, "invalid_login": MISMATCH}

    def clean_username(self) -> str:
        """Refuse what is longer than any name: nobody has it, and no counter holds it."""
        username: str = self.cleaned_data["username"]
        if len(username) > NAME_MAX:
            raise self.get_invalid_login_error()
        return username

    def confirm_login_allowed(self, user: Any) -> None:
        super().confirm_login_allowed(user)
        if not may_enter(user.access()):
            raise ValidationError(
                "This account belongs to no organization. Ask whoever gave it to you.", code="nowhere"
            )


class PasswordForm(AdminPasswordChangeForm):
    """Changes one's own password, and writes down that it was. Django ends all other sessions."""

    def save(self, commit: bool = True) -> Any:
        """Save the new password."""
        with transaction.atomic():
            user = super().save(commit=commit)
            audit(actor=user.pk, action="password.change", subject=user.pk, detail={"username": user.username})
        return user


class PasswordPage(LoginView):
    """The sign-in page. Whoever has an authenticator is asked for its code next, and is nobody until then."""

    authentication_form = SignInForm
    template_name = "admin/account/sign_in.html"
    next_page = "admin:index"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Say why the last session ended, if the address does."""
        context = super().get_context_data(**kwargs)
        return {**context, "title": "Sign in", "ended": sessions.ENDED.get(text_of(self.request, "ended"), "")}

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Begin the session, or ask for the code."""
        user, now = form.get_user(), timezone.now()
        if two_step.authenticator_of(user) is not None:
            sessions.hold(self.request, user, go_to=self.get_success_url(), now=now)
            return HttpResponseRedirect(reverse("admin:login_code"))
        sessions.begin(self.request, user, two_step=False, now=now)
        return HttpResponseRedirect(self.get_success_url())

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Write down what was refused."""
        note_failure(self.request, username=self.request.POST.get("username", ""), act="session.sign_in")
        return super().form_invalid(form)


def sign_in(request: HttpRequest, context: dict[str, Any]) -> HttpResponseBase:
    """Show the sign-in page to whoever is not inside, and lead the others on."""
    if request.method == "GET" and may_enter(access_of(request)):
        return HttpResponseRedirect(reverse("admin:index"))
    if request.method == "GET" and isinstance(request.user, User) and may_enter(request.user.access()):
        return HttpResponseRedirect(f"{reverse('admin:two_step')}?{request.GET.urlencode()}")
    return PasswordPage.as_view(extra_context=context)(request)


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
def code_page(request: HttpRequest) -> HttpResponseBase:
    """Ask whoever gave their password for the code of their app, or for a recovery code."""
    now = timezone.now()
    held = sessions.held(request, now=now)
    if held is None:
        return HttpResponseRedirect(f"{reverse('admin:login')}?ended=late")
    user, go_to = held
    if request.method != "POST":
        return _code_form(request)
    code = "".join(request.POST.get("code", "")[:CODE_MAX].replace("\0", "").split())
    checked = two_step.check(user=user, code=code, address=address_of(request) or "")
    if checked.good:
        sessions.begin(request, user, two_step=True, now=now)
        return HttpResponseRedirect(go_to)
    if checked.locked_until is None:
        return _code_form(request, fault="This code is not right, or was used before. Take the one that shows now.")
    wait = max(1, int((checked.locked_until - now).total_seconds()) + 1)
    answer = _code_form(request, status=429, fault=f"Several codes were wrong. Try again in {wait:,} s.")
    answer.headers["Retry-After"] = str(wait)
    return answer


def _code_form(request: HttpRequest, *, status: int = 200, fault: str = "") -> HttpResponseBase:
    return render(request, "admin/account/code.html", status=status, title="Enter the code", fault=fault)


def change_password(request: HttpRequest, context: dict[str, Any]) -> HttpResponseBase:
    """Let somebody change their own password."""
    view = PasswordChangeView.as_view(
        form_class=PasswordForm,
        success_url=reverse("admin:password_change_done"),
        template_name="registration/password_change_form.html",
        extra_context=context,
    )
    return view(request)


@never_cache
@require_POST
def sign_out(request: HttpRequest) -> HttpResponseBase:
    """End the session."""
    sessions.end(request)
    return HttpResponseRedirect(f"{reverse('admin:login')}?ended=out")


@require_POST
def sign_out_everywhere(request: HttpRequest) -> HttpResponseBase:
    """End all sessions of the person, this one too."""
    end_sessions(user=person_of(request), now=timezone.now())
    sessions.end(request, act="session.sign_out_everywhere")
    return HttpResponseRedirect(f"{reverse('admin:login')}?ended=everywhere")


# Open to whoever is not signed in, or not wholly.
OPEN_PAGES = [Page("login/code", code_page, "login_code"), Page("logout/", sign_out, "logout")]
PAGES = [Page("sign-out-everywhere", sign_out_everywhere, "sign_out_everywhere")]
