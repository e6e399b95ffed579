"""The start page of a customer's person, which shows all that the other apps know of them; and the pilots' pages."""

from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from customers.access import Permission
from customers.models import Mode
from customers.modes import mode_of
from customers.pages import access_of, missing, own_organizations, refused
from pilots import (
    admin_checklists,
    admin_handovers,
    admin_leads,
    admin_mails,
    admin_pilots,
    admin_plans,
    admin_provisioning,
    admin_review,
    start_pages,
)
from sora2.pages import render, text_of


@require_safe
def start(request: HttpRequest) -> HttpResponseBase:
    """Show the start page of one's organization, or of the one that is asked for; htmx is given what changes of it."""
    access, own = access_of(request), own_organizations(request)
    try:
        organization, mode = start_pages.chosen(own, text_of(request, "organization")), Mode(mode_of(request))
    except (Http404, ValueError):
        return missing(request)
    given: dict[str, Any] = {"title": "Home", "organization": organization, "access": access}
    if request.headers.get("HX-Request") == "true":
        if not access.may(Permission.BATCHES_READ):
            return refused(request, Permission.BATCHES_READ)
        latest = start_pages.latest(access, organization, mode=mode)
        return render(request, "admin/start/latest.html", latest=latest, mode=mode, **given)
    found = start_pages.start(access, organization, mode=mode, now=timezone.now())
    more = {"home": found.home, "own": own, "support": settings.SUPPORT_EMAIL}
    return render(request, "admin/start.html", found=found, mode=mode, **more, **given)


PAGES = [
    *admin_provisioning.PAGES,
    *admin_handovers.PAGES,
    *admin_pilots.PAGES,
    *admin_checklists.PAGES,
    *admin_mails.PAGES,
    *admin_leads.PAGES,
    *admin_review.PAGES,
    *admin_plans.PAGES,
]
