"""The page of what customers owe, by how long it is overdue, and the same as CSV."""

import csv
from io import StringIO

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from customers.access import Access, Permission
from customers.pages import is_staff, page
from ledger.exports.csv_copy import guarded_text
from ledger.invoices.amounts import decimal_text
from ledger.invoices.receivables import AGES, Receivables
from ledger.invoices.receivables import receivables as read
from ledger.models import Invoice
from sora2.pages import Page, render


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
    found, text = _found(request, access), StringIO()
    writer = csv.writer(text)
    columns = ("not_due", "days_1_30", "days_31_60", "days_61_90", "days_over_90")
    writer.writerow(["organization_id", "organization", "currency", "invoices", *columns, "total"])
    for row in found.rows:
        amounts = [decimal_text(cents, row.currency) for cents in (*row.by_age, row.total_cents)]
        writer.writerow([row.organization_id, guarded_text(row.name), row.currency, row.invoices, *amounts])
    name = f"receivables-{timezone.now():%Y%m%dT%H%M%SZ}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)


PAGES = [
    Page("invoices/receivables", receivables, "receivables"),
    Page("invoices/receivables.csv", receivables_csv, "receivables_csv", cacheable=True),
]


def _found(request: HttpRequest, access: Access) -> Receivables:
    if not is_staff(request):
        raise Http404
    return read(Invoice.objects.within(access), today=timezone.now().date())
