"""The pages of customers that show batches and credits too: the list of them, and an account."""

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from batches import account_pages as pages
from customers.access import Access, Permission
from customers.pages import is_staff, own_organizations, page, person_of
from ledger.admin_lows import may_set_threshold
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
        found=pages.customer_list(access, name=name, cursor=text_of(request, "after"), now=timezone.now()),
        name=name,
        money=access.may(Permission.LEDGER_READ),
        chips=chips(request, {"customer": "Customer"}),
    )


@require_safe
@page(Permission.ACCOUNT_READ)
def account(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Show an account: what it is, its limits, whom to tell, its time zone, and when its wallets are low."""
    found = pages.account(access, organization_id=organization_id, now=timezone.now())
    return render(
        request,
        "admin/customers/account.html",
        title=f"Account of {found.organization}",
        found=found,
        organization=found.organization,
        tab="account",
        money=access.may(Permission.LEDGER_READ),
        by_customer=is_staff(request),
        may_change=access.may(Permission.ACCOUNT_WRITE),
        may_set_threshold=may_set_threshold(access),
        may_ask_credits=access.may(Permission.CREDITS_REQUEST),
        may_set_retention=person_of(request).is_superuser,
        support=settings.SUPPORT_EMAIL,
    )


PAGES = [
    Page("customers/", customer_list, "customer_list"),
    Page("customers/<id:organization_id>", account, "account"),
]
