"""The pages on which a pilot is provisioned, and its secrets are handed over."""

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from customers.access import Access, Permission
from customers.pages import page
from sora2.pages import Page, render


@require_safe
@page(Permission.PILOTS_WRITE)
def pilot_new(request: HttpRequest, access: Access) -> HttpResponseBase:  # noqa: ARG001 - every page is given it.
    """Show the form for a new pilot."""
    return render(request, "admin/pilots/pilot_new.html", title="Provision a pilot")


PAGES = [
    Page("pilots/new", pilot_new, "pilot_new"),
]
