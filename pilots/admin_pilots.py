"""The pages of pilots: the list, one pilot by its criteria, its failures, its end."""

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from customers.access import Access, Permission
from customers.pages import page
from pilots.pages import reached_pilot
from sora2.pages import Page, render


@require_safe
@page(Permission.PILOTS_READ)
def pilot_list(request: HttpRequest, access: Access) -> HttpResponseBase:  # noqa: ARG001 - every page is given it.
    """Show the pilots."""
    return render(request, "admin/pilots/pilot_list.html", title="Pilots")


@require_safe
@page(Permission.PILOTS_READ)
def pilot(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Show one pilot."""
    pilot = reached_pilot(access, pilot_id=pilot_id)
    return render(request, "admin/pilots/pilot.html", title=f"Pilot of {pilot.organization}", pilot=pilot, tab="pilot")


PAGES = [
    Page("pilots/", pilot_list, "pilot_list"),
    Page("pilots/<id:pilot_id>", pilot, "pilot"),
]
