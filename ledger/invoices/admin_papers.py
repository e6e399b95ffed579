"""The files of invoices, and what of a customer's papers can be had where."""

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe

from customers.access import Access, Permission
from customers.pages import page
from ledger.invoices import paper_pages
from ledger.invoices.paper import invoice_paper
from ledger.models import Invoice
from ledger.paper_answers import paper_answer
from sora2.pages import Page, render, text_of


@require_safe
@page(Permission.LEDGER_READ)
def invoice_pdf(_request: HttpRequest, access: Access, invoice_id: str) -> HttpResponseBase:
    """Hand out one invoice as a paper; a customer's people get what was sent to them."""
    found = get_object_or_404(Invoice.objects.visible(access).select_related("corrects"), pk=invoice_id)
    return paper_answer(lambda: invoice_paper(found))


@require_safe
@page(Permission.LEDGER_READ)
def papers(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Show what a customer files: the invoices that were sent, and the statements of the last months."""
    found = paper_pages.papers(
        access, organization_id=organization_id, cursor=text_of(request, "after"), now=timezone.now()
    )
    return render(request, "admin/invoices/papers.html", title=f"Papers of {found.organization}", found=found)


PAGES = [
    Page("invoices/<id:invoice_id>/invoice.pdf", invoice_pdf, "invoice_pdf"),
    Page("invoices/papers/<id:organization_id>", papers, "papers"),
]
