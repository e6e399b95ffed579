"""The pages of invoices: all of them, one of them, and what is done with it. Each part has its own module."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from customers.access import Access, Permission
from customers.contacts import finance_contacts
from customers.pages import is_staff, page, person_of
from ledger.invoices import (
    admin_billing,
    admin_credit_notes,
    admin_drafts,
    admin_papers,
    admin_payments,
    admin_receivables,
)
from ledger.invoices import invoice_pages as pages
from ledger.invoices.invoice_forms import ReasonForm
from ledger.invoices.issuing import seen_of, send_invoice, void_invoice
from ledger.models import Invoice
from ledger.services import LedgerError
from sora2.pages import Page, chips, render, text_of
from sora2.seen import ChangedMeanwhile


@require_safe
@page(Permission.LEDGER_READ)
def invoice_list(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show the invoices that somebody reaches, newest first, with what is open of them."""
    wanted = pages.Wanted(
        state=text_of(request, "state"), kind=text_of(request, "kind"), customer=text_of(request, "customer")
    )
    staff, cursor = is_staff(request), text_of(request, "after")
    found = pages.invoice_list(access, wanted=wanted, cursor=cursor, today=timezone.now().date())
    return render(
        request,
        "admin/invoices/list.html",
        title="Invoices",
        found=found,
        wanted=wanted,
        states=pages.STATES if staff else pages.STATES[1:],
        kinds=pages.KINDS.items(),
        staff=staff,
        chips=chips(request, {"state": "State", "kind": "Kind", "customer": "Customer"}),
    )


@require_safe
@page(Permission.LEDGER_READ)
def invoice(request: HttpRequest, access: Access, invoice_id: str) -> HttpResponseBase:
    """Show one invoice: whom it is for, its lines, what was paid, and what can be done."""
    found = pages.detail(access, invoice_id=invoice_id, today=timezone.now().date())
    return render(
        request,
        "admin/invoices/invoice.html",
        title=str(found.invoice),
        found=found,
        invoice=found.invoice,
        staff=is_staff(request),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.INVOICES_WRITE)
def invoice_send(request: HttpRequest, access: Access, invoice_id: str) -> HttpResponseBase:
    """Show what sending a draft does and to whom it goes; a POST sends it."""
    found = pages.reached(access, invoice_id=invoice_id)
    if found.kind == Invoice.Kind.CREDIT_NOTE:
        raise Http404
    if request.method != "POST":
        return _send_page(request, found)
    seen = request.POST.get("seen", "")
    try:
        sent = send_invoice(invoice=found, by=person_of(request), now=timezone.now(), seen=seen)
    except ChangedMeanwhile:
        return _send_page(request, pages.reached(access, invoice_id=invoice_id), status=409)
    except LedgerError as error:
        messages.error(request, f"Nothing was sent. {error}")
    else:
        messages.success(request, f"Sent as {sent.number}. Once it is paid, somebody else records that here.")
    return _to(found)


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.INVOICES_WRITE)
def invoice_void(request: HttpRequest, access: Access, invoice_id: str) -> HttpResponseBase:
    """Ask why an invoice is to be void; a POST makes it so."""
    found = pages.reached(access, invoice_id=invoice_id)
    form = ReasonForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        status = 422 if request.method == "POST" else 200
        title = f"Void {found}?"
        return render(request, "admin/invoices/void.html", status=status, title=title, invoice=found, form=form)
    try:
        void_invoice(invoice=found, by=person_of(request), reason=form.cleaned_data["reason"], now=timezone.now())
    except LedgerError as error:
        messages.error(request, f"Nothing was changed. {error}")
    else:
        messages.success(request, "It is void: nobody owes anything for it.")
    return _to(found)


PAGES = [
    Page("invoices/", invoice_list, "invoice_list"),
    Page("invoices/<id:invoice_id>", invoice, "invoice"),
    Page("invoices/<id:invoice_id>/send", invoice_send, "invoice_send"),
    Page("invoices/<id:invoice_id>/void", invoice_void, "invoice_void"),
    *admin_billing.PAGES,
    *admin_credit_notes.PAGES,
    *admin_drafts.PAGES,
    *admin_papers.PAGES,
    *admin_payments.PAGES,
    *admin_receivables.PAGES,
]


def _to(found: Invoice) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:invoice", args=[found.pk]))


def _send_page(request: HttpRequest, found: Invoice, status: int = 200) -> HttpResponseBase:
    shown = {"mailed": finance_contacts(found.organization), "seen": seen_of(found), "meanwhile": status == 409}
    return render(request, "admin/invoices/send.html", status=status, title=f"Send {found}?", invoice=found, **shown)
