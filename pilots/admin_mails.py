"""The pages on which mails to leads and customers are written, sent and kept."""

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from customers.access import Access, Permission
from customers.pages import page
from pilots.pages import reached_pilot
from sora2.pages import Page, render


@require_safe
@page(Permission.PILOTS_READ)
def pilot_mails(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Show what was written to the customer, and what can be."""
    pilot = reached_pilot(access, pilot_id=pilot_id)
    return render(request, "admin/pilots/mails.html", title=f"Pilot of {pilot.organization}", pilot=pilot, tab="mails")


PAGES = [
    Page("pilots/<id:pilot_id>/mails", pilot_mails, "pilot_mails"),
]
