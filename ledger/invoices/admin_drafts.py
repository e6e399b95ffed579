"""The page on which a draft of an invoice is changed."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from customers.access import Access, Permission
from customers.pages import page, person_of, refuse_customers
from ledger.invoices.draft_forms import DraftForms
from ledger.invoices.drafting import change_draft, draft_of
from ledger.invoices.faults import InvoiceError
from ledger.invoices.models import Invoice
from sora2.pages import Page, render
from sora2.seen import ChangedMeanwhile


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.INVOICES_WRITE)
def invoice_change(request: HttpRequest, access: Access, invoice_id: str) -> HttpResponseBase:
    """Show a draft's lines and terms to be changed: not over somebody else's change that was not seen."""
    refuse_customers(request)
    found = get_object_or_404(Invoice.objects.within(access).select_related("organization"), pk=invoice_id)
    if found.state != Invoice.State.DRAFT or found.kind != Invoice.Kind.CREDITS:
        messages.error(request, f"{found} is {found.state}: only a draft of credits can be changed.")
        return _to(found)
    forms = DraftForms(
        request.POST if request.method == "POST" else None, draft=draft_of(found), currency=found.currency
    )
    return _change(request, found, forms) if request.method == "POST" else _show(request, found, forms)


def _change(request: HttpRequest, found: Invoice, forms: DraftForms) -> HttpResponseBase:
    wanted = forms.draft()
    if wanted is None:
        return _show(request, found, forms, status=422)
    seen = forms.head.cleaned_data["seen"]
    try:
        changed = change_draft(invoice=found, wanted=wanted, seen=seen, by=person_of(request))
    except ChangedMeanwhile:
        found.refresh_from_db()
        anew = DraftForms(None, draft=draft_of(found), currency=found.currency)
        return _show(request, found, anew, status=409)
    except InvoiceError as error:
        forms.fault = str(error)
        return _show(request, found, forms, status=422)
    messages.success(request, "Saved." if changed else "Nothing to change: this is how it is.")
    return _to(found)


def _show(request: HttpRequest, found: Invoice, forms: DraftForms, status: int = 200) -> HttpResponseBase:
    return render(
        request,
        "admin/invoices/change.html",
        status=status,
        title=f"Change {found}",
        found=found,
        forms=forms,
        meanwhile=status == 409,
    )


def _to(found: Invoice) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:invoice", args=[found.pk]))


PAGES = [Page("invoices/<id:invoice_id>/change", invoice_change, "invoice_change")]
