"""The page of an API key, and what can be done about it: another name, another secret, its end."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from batches import key_pages as pages
from customers.access import Access, Permission
from customers.admin_keys import secret_page
from customers.issuing import KeyEnded, rotate_by_person, seen_of
from customers.key_forms import RenameForm, RevokeForm, RotateForm
from customers.key_pages import reached_key
from customers.models import ApiKey
from customers.pages import page
from customers.services import rename_api_key, revoke_api_key
from sora2.pages import Page, render
from sora2.seen import ChangedMeanwhile

ROTATED = (
    "Nothing was changed: the secret was rotated after this page was opened, perhaps by the same form, sent twice. "
    "A new secret is shown only once; if it was lost, rotate it again."
)
ENDED = "Nothing was changed: this key works no longer, and a new secret would not either. Make a new key."
REVOKED_BEFORE = "This key was revoked before. Nothing was changed."


@require_safe
@page(Permission.ACCOUNT_READ)
def key(request: HttpRequest, access: Access, organization_id: str, key_id: str) -> HttpResponseBase:
    """Show one key: what it may do, what it has spent, its batches, and what happened to it."""
    return _key_page(request, access, organization_id, key_id)


@require_POST
@page(Permission.KEYS_WRITE)
def key_rename(request: HttpRequest, access: Access, organization_id: str, key_id: str) -> HttpResponseBase:
    """Give a key another name."""
    reached, form = reached_key(access, organization_id=organization_id, key_id=key_id), RenameForm(request.POST)
    if not form.is_valid():
        return _key_page(request, access, organization_id, key_id, rename=form)
    if rename_api_key(key=reached, name=form.cleaned_data["name"], actor=access.actor):
        messages.success(request, "Renamed. Its secret and its batches are what they were.")
    return _to(reached)


@require_POST
@page(Permission.KEYS_WRITE)
def key_rotate(request: HttpRequest, access: Access, organization_id: str, key_id: str) -> HttpResponseBase:
    """Give a key a new secret, and show it this once."""
    reached, form = reached_key(access, organization_id=organization_id, key_id=key_id), RotateForm(request.POST)
    if not form.is_valid():
        return _key_page(request, access, organization_id, key_id, rotate=form)
    try:
        rotated, secret = rotate_by_person(key=reached, actor=access.actor, now=timezone.now(), **form.cleaned_data)
    except ChangedMeanwhile:
        messages.error(request, ROTATED)
        return _to(reached)
    except KeyEnded:
        messages.error(request, ENDED)
        return _to(reached)
    return secret_page(request, rotated, secret, made=False)


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.KEYS_WRITE)
def key_revoke(request: HttpRequest, access: Access, organization_id: str, key_id: str) -> HttpResponseBase:
    """Say what would end with a key, and end it once that is confirmed."""
    reached, now = reached_key(access, organization_id=organization_id, key_id=key_id), timezone.now()
    form = RevokeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        if revoke_api_key(key=reached, now=now, actor=access.actor, reason=form.cleaned_data["reason"]):
            messages.success(request, "Revoked: whoever asks with it is answered 401 from now on.")
        else:
            messages.info(request, REVOKED_BEFORE)
        return _to(reached)
    if reached.revoked_at is not None:
        messages.info(request, REVOKED_BEFORE)
        return _to(reached)
    return render(
        request,
        "admin/customers/key_revoke.html",
        title=f"Revoke {reached.name}",
        organization=reached.organization,
        key=reached,
        found=pages.revoking(access, key=reached, now=now),
        form=form,
        makes_keys=Permission.KEYS_WRITE in reached.scopes,
    )


def _key_page(
    request: HttpRequest,
    access: Access,
    organization_id: str,
    key_id: str,
    *,
    rotate: RotateForm | None = None,
    rename: RenameForm | None = None,
) -> HttpResponseBase:
    """Show a key; a form that was refused comes along."""
    now = timezone.now()
    found = pages.key_page(access, organization_id=organization_id, key_id=key_id, now=now)
    shown = found.known.key
    return render(
        request,
        "admin/customers/key.html",
        title=f"The API key {shown.name}",
        organization=shown.organization,
        key=shown,
        found=found,
        money=access.may(Permission.LEDGER_READ),
        may_act=access.may(Permission.KEYS_WRITE),
        usable=shown.is_usable(now),
        may_see_log=access.may(Permission.AUDIT_READ),
        rotate=rotate or RotateForm(initial={"seen": seen_of(shown)}),
        rename=rename or RenameForm(initial={"name": shown.name}),
    )


def _to(key: ApiKey) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:key", args=[key.organization_id, key.pk]))


PAGES = [
    Page("customers/<id:organization_id>/keys/<id:key_id>", key, "key"),
    Page("customers/<id:organization_id>/keys/<id:key_id>/rename", key_rename, "key_rename"),
    Page("customers/<id:organization_id>/keys/<id:key_id>/rotate", key_rotate, "key_rotate"),
    Page("customers/<id:organization_id>/keys/<id:key_id>/revoke", key_revoke, "key_revoke"),
]
