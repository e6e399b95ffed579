"""The pages on which our own people quote credits to a customer, and draft the invoice of what was quoted."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from batches.quote_forms import DraftButton, QuoteForm
from batches.quoting import quote_of
from customers.access import Access, Permission
from customers.account_pages import reached_organization
from customers.models import Organization
from customers.pages import page, person_of, refuse_customers, refused
from ledger.invoices.drafting import draft_invoice
from ledger.invoices.faults import InvoiceError
from sora2.pages import Page, render, rows_after, text_of

CUSTOMERS_SHOWN = 20


@require_safe
@page(Permission.LEDGER_READ)
def quote_list(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Let somebody choose the customer of a quote, the newest first."""
    refuse_customers(request)
    name, rows = text_of(request, "customer"), Organization.objects.within(access)
    found = rows_after(
        rows.matching(name) if name else rows, key="-id", cursor=text_of(request, "after"), size=CUSTOMERS_SHOWN
    )
    return render(request, "admin/quotes/choose.html", title="New quote", found=found, name=name)


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.LEDGER_READ)
def quote(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Show what credits cost a customer and what they buy; a POST drafts the invoice of what the address names."""
    refuse_customers(request)
    organization = reached_organization(access, organization_id=organization_id)
    if request.method != "POST":
        return _show(request, access, organization)
    if not access.may(Permission.INVOICES_WRITE):
        return refused(request, Permission.INVOICES_WRITE)
    return _draft(request, access, organization)


PAGES = [
    Page("quotes/", quote_list, "quote_list"),
    Page("quotes/<id:organization_id>", quote, "quote"),
]


def _draft(request: HttpRequest, access: Access, organization: Organization) -> HttpResponseBase:
    button, offer = DraftButton(request.POST), QuoteForm(request.GET).offer(now=timezone.now())
    if offer is None or not button.is_valid():
        messages.error(request, "Nothing was drafted: say what is to be bought, and press the button again.")
        return _show(request, access, organization, status=422)
    try:
        made = draft_invoice(
            organization=organization,
            lines=[offer.line],
            package=offer.package.code,
            by=person_of(request),
            pk=button.cleaned_data["pk"],
        )
    except InvoiceError as error:
        messages.error(request, f"Nothing was drafted. {error}")
        return _show(request, access, organization, status=409)
    messages.success(request, "Drafted. Look at it, change it where needed, and send it.")
    return HttpResponseRedirect(reverse("admin:invoice", args=[made.pk]))


def _show(request: HttpRequest, access: Access, organization: Organization, status: int = 200) -> HttpResponseBase:
    form = QuoteForm(request.GET)
    offer = form.offer(now=timezone.now())
    mail = {
        "offer": offer,
        "organization": organization,
        "prices": f"{settings.PUBLIC_BASE_URL}/docs/pricing",
    }
    return render(
        request,
        "admin/quotes/quote.html",
        status=status if offer else 422,
        title=f"Quote for {organization}",
        organization=organization,
        form=form,
        quote=quote_of(organization, offer) if offer else None,
        mail=render_to_string("mail/prepaid.txt", mail) if offer else "",
        button=DraftButton() if access.may(Permission.INVOICES_WRITE) else None,
    )
