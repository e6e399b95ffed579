"""The page of what customers owe, by how long it is overdue, and the same as CSV."""

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from customers.access import Access, Permission
from customers.pages import page, refuse_customers
from ledger.invoices.receivables import AGES, Receivables, csv_of
from ledger.invoices.receivables import receivables as read
from ledger.models import Invoice
from sora2.pages import Page, file_answer, render


@require_safe
@page(Permission.LEDGER_READ)
def receivables(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show who owes what, for our own people."""
    return render(
        request,
        "admin/invoices/receivables.html",
        title="Receivables",
        found=_found(request, access),
        ages=[label for label, _ in AGES],
        now=timezone.now(),
    )


@require_safe
@page(Permission.LEDGER_READ)
def receivables_csv(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Hand out the same as CSV: a line for each customer and currency."""
    body = csv_of(_found(request, access))
    name = f"receivables-{timezone.now():%Y%m%dT%H%M%SZ}.csv"
    return file_answer(body, content_type="text/csv; charset=utf-8", filename=name)


PAGES = [
    Page("invoices/receivables", receivables, "receivables"),
    Page("invoices/receivables.csv", receivables_csv, "receivables_csv", cacheable=True),
]


def _found(request: HttpRequest, access: Access) -> Receivables:
    refuse_customers(request)
    return read(Invoice.objects.within(access), today=timezone.now().date())
