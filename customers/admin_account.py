"""The pages of customers: the list of them, and an account with its settings."""

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from customers import account_pages as pages
from customers.access import Access, Permission
from customers.pages import is_staff, own_organizations, page
from sora2.pages import Page, chips, render, text_of


@require_safe
@page(Permission.ACCOUNT_READ)
def customer_list(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show the customers that somebody reaches; whoever reaches one only is led to its account."""
    own = [] if is_staff(request) else own_organizations(request)
    if len(own) == 1:
        return HttpResponseRedirect(reverse("admin:account", args=[own[0].pk]))
    name = text_of(request, "customer")
    return render(
        request,
        "admin/customers/list.html",
        title="Customers",
        found=pages.customer_list(access, name=name, cursor=text_of(request, "after")),
        name=name,
        chips=chips(request, {"customer": "Customer"}),
    )


@require_safe
@page(Permission.ACCOUNT_READ)
def account(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Show an account: what it is, its limits, whom to tell, and its time zone."""
    found = pages.account(access, organization_id=organization_id)
    return render(
        request,
        "admin/customers/account.html",
        title=f"Account of {found.organization}",
        found=found,
        organization=found.organization,
        tab="account",
    )


PAGES = [
    Page("customers/", customer_list, "customer_list"),
    Page("customers/<id:organization_id>", account, "account"),
]
