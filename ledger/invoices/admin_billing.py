"""The page of whom an invoice is made out to, changed by a customer's administrator and by our own people."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from customers.access import Access, Permission
from customers.account_pages import reached_organization
from customers.models import Organization
from customers.pages import is_staff, page, person_of, refused
from ledger.invoices.billing import change_details, details_of
from ledger.invoices.billing_forms import BillingForm
from sora2.countries import countries
from sora2.pages import Page, render
from sora2.seen import ChangedMeanwhile


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.LEDGER_READ)
def billing_details(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Show whom a customer's invoices are made out to, and change it: not over a change that was not seen."""
    organization = reached_organization(access, organization_id=organization_id)
    wanted = Permission.INVOICES_WRITE if is_staff(request) else Permission.ACCOUNT_WRITE
    if request.method == "POST":
        return _change(request, organization) if access.may(wanted) else refused(request, wanted)
    details = details_of(organization)
    form = BillingForm(details=details, ours=is_staff(request)) if access.may(wanted) else None
    return _show(request, organization, form)


def _change(request: HttpRequest, organization: Organization) -> HttpResponseBase:
    form = BillingForm(request.POST, details=details_of(organization), ours=is_staff(request))
    if not form.is_valid():
        return _show(request, organization, form, status=422)
    try:
        changed = change_details(
            organization=organization,
            buyer=form.buyer(),
            terms=form.terms(),
            seen=form.cleaned_data["seen"],
            by=person_of(request),
            now=timezone.now(),
        )
    except ChangedMeanwhile:
        form.show_again(details_of(organization))
        return _show(request, organization, form, status=409)
    drafts = " Drafts have this tax line now." if is_staff(request) else ""
    done = f"Saved.{drafts} Invoices that were sent stay as they are."
    messages.success(request, done if changed else "Nothing to change: this is how it is.")
    return HttpResponseRedirect(reverse("admin:billing_details", args=[organization.pk]))


def _show(
    request: HttpRequest, organization: Organization, form: BillingForm | None, status: int = 200
) -> HttpResponseBase:
    details = details_of(organization)
    return render(
        request,
        "admin/invoices/billing.html",
        status=status,
        title=f"Billing details of {organization}",
        organization=organization,
        tab="billing",
        details=details,
        country=countries().get(details.buyer.country, details.buyer.country) if details else "",
        form=form,
        ours=is_staff(request),
        meanwhile=status == 409,
    )


PAGES = [Page("invoices/billing/<id:organization_id>", billing_details, "billing_details")]
