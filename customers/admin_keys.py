"""The pages of a customer's API keys: which there are, and how one is made. A key's own page is batches.admin_keys."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from customers import key_pages as pages
from customers.access import Access, Permission
from customers.account_pages import reached_organization
from customers.issuing import KEYS_MOST, MadeBefore, TooManyKeys, issue_by_person
from customers.key_forms import KeyForm
from customers.models import ApiKey, Mode, Organization
from customers.modes import listed_mode, mode_for_form, mode_of
from customers.pages import is_staff, page
from sora2.api import BASE_PATH
from sora2.pages import Page, render, render_once, text_of

MADE_BEFORE = (
    "Nothing was made now: this is the key that the same form has made before. Its secret is shown only once; "
    "if it was lost, rotate the key."
)


@require_safe
@page(Permission.ACCOUNT_READ)
def key_list(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Show a customer's API keys: those that work, or those that do no longer."""
    ended, mode = text_of(request, "show") == "ended", listed_mode(request)
    found = pages.key_list(
        access,
        organization_id=organization_id,
        mode=mode,
        ended=ended,
        cursor=text_of(request, "after"),
        now=timezone.now(),
    )
    return render(
        request,
        "admin/customers/keys.html",
        title=f"API keys of {found.organization}",
        organization=found.organization,
        tab="keys",
        found=found,
        ended=ended,
        mode=mode,
        modes=Mode.values,
        by_mode=is_staff(request),
        most=KEYS_MOST,
        money=access.may(Permission.LEDGER_READ),
        may_act=access.may(Permission.KEYS_WRITE),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.KEYS_WRITE)
def key_new(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Make a key, and show its secret this once."""
    organization, now = reached_organization(access, organization_id=organization_id), timezone.now()
    if request.method != "POST":
        asked = {"mode": mode_for_form(request, mode_of(request)).value}
        return _form(request, organization, KeyForm(initial=asked, now=now))
    form = KeyForm(request.POST, now=now)
    if not form.is_valid():
        return _form(request, organization, form)
    key_id, mode = form.cleaned_data["token"], Mode(form.cleaned_data["mode"])
    try:
        key, secret = issue_by_person(
            organization=organization, mode=mode, order=form.order(), key_id=key_id, actor=access.actor, now=now
        )
    except MadeBefore:
        messages.info(request, MADE_BEFORE)
        return HttpResponseRedirect(reverse("admin:key", args=[organization.pk, key_id]))
    except TooManyKeys:
        form.add_error(None, f"There are {KEYS_MOST} usable keys in {mode} mode, the most there can be. Revoke one.")
        return _form(request, organization, form)
    return secret_page(request, key, secret, made=True)


def secret_page(request: HttpRequest, key: ApiKey, secret: str, *, made: bool) -> HttpResponseBase:
    """Show the new secret of a key that was made, or rotated."""
    return render_once(
        request,
        "admin/customers/key_secret.html",
        title="A new secret",
        organization=key.organization,
        key=key,
        secret=secret,
        made=made,
        base_url=settings.PUBLIC_BASE_URL,
        base_path=BASE_PATH,
        first_call=pages.first_call(key),
    )


def _form(request: HttpRequest, organization: Organization, form: KeyForm) -> HttpResponseBase:
    mode = mode_for_form(request, form["mode"].value())
    return render(
        request,
        "admin/customers/key_new.html",
        title=f"A new API key of {organization}",
        organization=organization,
        form=form,
        mode=mode.value,
        other=Mode.TEST if mode == Mode.LIVE else Mode.LIVE,
        powerful=Permission.KEYS_WRITE.value,
        base_path=BASE_PATH,
    )


PAGES = [
    Page("customers/<id:organization_id>/keys", key_list, "key_list"),
    Page("customers/<id:organization_id>/keys/new", key_new, "key_new"),
]
