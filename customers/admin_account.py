"""An account's settings, changed by its administrator."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from customers.access import Access, Permission
from customers.account_forms import SettingsForm
from customers.account_pages import reached_organization
from customers.account_settings import change_settings, settings_of
from customers.models import Organization
from customers.pages import page
from sora2.pages import Page, render
from sora2.seen import ChangedMeanwhile
from sora2.zones import USUAL_ZONES


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.ACCOUNT_WRITE)
def account_settings(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Show whom to tell and the time zone, and change them: not over somebody else's change that was not seen."""
    organization = reached_organization(access, organization_id=organization_id)
    if request.method != "POST":
        now = settings_of(organization)
        return _form(request, organization, SettingsForm(initial={**vars(now), "seen": now.seen}))
    form = SettingsForm(request.POST)
    if not form.is_valid():
        return _form(request, organization, form, status=422)
    seen = form.cleaned_data["seen"]
    try:
        changed = change_settings(organization=organization, wanted=form.settings(), seen=seen, actor=access.actor)
    except ChangedMeanwhile:
        now = settings_of(reached_organization(access, organization_id=organization_id))
        form.show_again(now)
        return _form(request, organization, form, status=409, others=form.differences(now))
    messages.success(request, "Saved." if changed else "Nothing to change: this is how it is set.")
    return HttpResponseRedirect(reverse("admin:account", args=[organization.pk]))


def _form(
    request: HttpRequest,
    organization: Organization,
    form: SettingsForm,
    *,
    status: int = 200,
    others: list[tuple[str, str]] | None = None,
) -> HttpResponseBase:
    return render(
        request,
        "admin/customers/settings.html",
        status=status,
        title=f"Settings of {organization}",
        organization=organization,
        tab="account",
        form=form,
        others=others,
        zones=USUAL_ZONES,
    )


PAGES = [Page("customers/<id:organization_id>/settings", account_settings, "account_settings")]
