"""The pages of a customer's API keys: which there are, and how they are made, rotated and revoked."""

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from customers.access import Access, Permission
from customers.account_pages import reached_organization
from customers.pages import page
from sora2.pages import Page, render


@require_safe
@page(Permission.ACCOUNT_READ)
def key_list(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Show a customer's API keys."""
    organization = reached_organization(access, organization_id=organization_id)
    return render(
        request,
        "admin/customers/keys.html",
        title=f"API keys of {organization}",
        organization=organization,
        tab="keys",
    )


PAGES = [Page("customers/<id:organization_id>/keys", key_list, "key_list")]
