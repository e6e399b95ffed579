"""The pages of a customer's people: who they are, what they may do, and how others come in."""

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from customers.access import Access, Permission
from customers.account_pages import reached_organization
from customers.pages import page
from sora2.pages import Page, render


@require_safe
@page(Permission.ACCOUNT_READ)
def people(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Show a customer's people and their roles."""
    organization = reached_organization(access, organization_id=organization_id)
    return render(
        request,
        "admin/customers/people.html",
        title=f"People of {organization}",
        organization=organization,
        tab="people",
    )


PAGES = [Page("customers/<id:organization_id>/people", people, "people")]
