"""The pages of leads, of signals, of the review after a pilot, and the help for sales."""

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from customers.access import Access, Permission
from customers.pages import page
from pilots.pages import reached_pilot
from sora2.pages import Page, render


@require_safe
@page(Permission.PILOTS_READ)
def lead_list(request: HttpRequest, access: Access) -> HttpResponseBase:  # noqa: ARG001 - every page is given it.
    """Show the leads by their stages."""
    return render(request, "admin/pilots/lead_list.html", title="Leads")


@require_safe
@page(Permission.PILOTS_READ)
def pilot_review(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Show the review after a pilot, and the signals."""
    pilot = reached_pilot(access, pilot_id=pilot_id)
    return render(
        request, "admin/pilots/review.html", title=f"Pilot of {pilot.organization}", pilot=pilot, tab="review"
    )


@require_safe
@page(Permission.PILOTS_READ)
def sales_help(request: HttpRequest, access: Access) -> HttpResponseBase:  # noqa: ARG001 - every page is given it.
    """Show what to say, and what not."""
    return render(request, "admin/pilots/sales_help.html", title="What to say")


PAGES = [
    Page("leads/", lead_list, "lead_list"),
    Page("pilots/<id:pilot_id>/review", pilot_review, "pilot_review"),
    Page("pilots/help", sales_help, "sales_help"),
]
