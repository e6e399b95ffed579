"""The pages on which a pilot becomes an enterprise, with the history of its terms."""

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from customers.access import Access, Permission
from customers.pages import page
from pilots.pages import reached_pilot
from sora2.pages import Page, render


@require_safe
@page(Permission.PILOTS_READ)
def pilot_plan(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Show the plan, its terms and how they came about."""
    pilot = reached_pilot(access, pilot_id=pilot_id)
    return render(request, "admin/pilots/plan.html", title=f"Pilot of {pilot.organization}", pilot=pilot, tab="plan")


PAGES = [
    Page("pilots/<id:pilot_id>/plan", pilot_plan, "pilot_plan"),
]
