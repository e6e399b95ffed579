"""The pages of invoices: all of them, one of them, and what is done with it. Each part has its own module."""

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from customers.access import Access, Permission
from customers.pages import is_staff, page
from ledger.invoices import admin_billing, admin_credit_notes, admin_drafts, admin_papers, admin_payments
from ledger.models import Invoice
from sora2.pages import Page, render


@require_safe
@page(Permission.LEDGER_READ)
def invoice_list(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show the invoices that somebody reaches, newest first."""
    rows = Invoice.objects.within(access)
    found = rows if is_staff(request) else rows.issued()
    return render(request, "admin/invoices/list.html", title="Invoices", found=found.order_by("-id")[:50])


@require_safe
@page(Permission.LEDGER_READ)
def invoice(request: HttpRequest, access: Access, invoice_id: str) -> HttpResponseBase:
    """Show one invoice: whom it is for, its lines, what was paid, and what can be done."""
    rows = Invoice.objects.within(access)
    found = get_object_or_404(rows if is_staff(request) else rows.issued(), pk=invoice_id)
    return render(request, "admin/invoices/invoice.html", title=str(found), found=found)


PAGES = [
    Page("invoices/", invoice_list, "invoice_list"),
    Page("invoices/<id:invoice_id>", invoice, "invoice"),
    *admin_billing.PAGES,
    *admin_credit_notes.PAGES,
    *admin_drafts.PAGES,
    *admin_papers.PAGES,
    *admin_payments.PAGES,
]
