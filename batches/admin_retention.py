"""How long a customer's videos are kept: one small form, for superusers."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from batches import retention
from customers.access import Access, Permission
from customers.models import Organization, User
from customers.pages import page
from customers.services import RETENTION_DAYS_MAX
from sora2.pages import Page, render


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.BATCHES_READ)
def retention_form(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Show for how long a customer's videos are kept, and change it.

    A policy that deletes videos at once is only taken together with their number: nothing brings them back.
    """
    if not (isinstance(request.user, User) and request.user.is_superuser):
        raise Http404
    organization = get_object_or_404(Organization, pk=organization_id)
    if request.method != "POST":
        return _form(request, organization, days=organization.retention_days)
    text = request.POST.get("days", "").strip()
    if text and not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= RETENTION_DAYS_MAX):
        return _form(request, organization, days=text, fault=f"Write 1 to {RETENTION_DAYS_MAX:,} days, or nothing.")
    days = int(text) if text else None
    too_old = retention.kept(organization=organization, days=days, now=timezone.now()).too_old
    if request.POST.get("deletes", "0") != str(too_old):
        return _form(request, organization, days=days, deletes=too_old)
    changed = retention.change_retention(organization=organization, days=days, actor=access.actor)
    messages.success(request, f"Videos are kept {f'for {days:,} days' if days else 'for ever'}: {changed:,} changed.")
    return HttpResponseRedirect(reverse("admin:retention", args=[organization.pk]))


def _form(
    request: HttpRequest, organization: Organization, *, days: int | str | None, fault: str = "", deletes: int = 0
) -> HttpResponseBase:
    return render(
        request,
        "admin/batches/retention.html",
        title="Retention",
        status=422 if fault or deletes else 200,
        organization=organization,
        videos=retention.kept(organization=organization, days=None, now=timezone.now()).videos,
        days=days,
        fault=fault,
        deletes=deletes,
    )


PAGES = [Page("retention/<id:organization_id>", retention_form, "retention")]
