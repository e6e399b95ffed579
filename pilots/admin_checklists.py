"""The pages of checklists: of a pilot, both sides, and the preflight."""

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from customers.access import Access, Permission
from customers.pages import page
from pilots.pages import reached_pilot
from sora2.pages import Page, render


@require_safe
@page(Permission.PILOTS_READ)
def pilot_checklists(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Show the checklists of both sides."""
    pilot = reached_pilot(access, pilot_id=pilot_id)
    return render(
        request, "admin/pilots/checklists.html", title=f"Pilot of {pilot.organization}", pilot=pilot, tab="checklists"
    )


@require_safe
@page(Permission.PILOTS_READ)
def preflight_list(request: HttpRequest, access: Access) -> HttpResponseBase:  # noqa: ARG001 - every page is given it.
    """Show the runs of the preflight."""
    return render(request, "admin/pilots/preflight_list.html", title="Preflight")


PAGES = [
    Page("pilots/<id:pilot_id>/checklists", pilot_checklists, "pilot_checklists"),
    Page("pilots/preflight", preflight_list, "preflight_list"),
]
