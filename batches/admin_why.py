"""Why is this amount here? The pages that explain a batch's figure, and a total over a list of batches."""

from dataclasses import replace

from django.http import Http404, HttpRequest, HttpResponseBase
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from batches import list_pages, why_pages
from batches.admin_list import CHIPS, filters_of, wanted_of
from customers.access import Access, Permission
from customers.modes import chips_of, mode_of
from customers.pages import page
from ledger.intervals import NotAnInterval
from sora2.pages import Page, render


@require_safe
@page(Permission.LEDGER_READ)
def batch_why(request: HttpRequest, access: Access, batch_id: str, figure: str) -> HttpResponseBase:
    """Explain a figure of a batch."""
    found = why_pages.batch_why(access, batch_id=batch_id, figure=figure)
    return render(
        request,
        "admin/batches/batch_why.html",
        title=f"{found.why.label}: why?",
        found=found,
        batch=found.batch,
        mode=found.batch.mode,
        why=found.why,
        figures=why_pages.FIGURES,
    )


@require_safe
@page(Permission.LEDGER_READ)
def batch_totals_why(request: HttpRequest, access: Access, figure: str) -> HttpResponseBase:
    """Explain a total over the batches of one mode that a list's filters leave."""
    mode = mode_of(request)
    asked = {**filters_of(request), "mode": mode}
    try:
        wanted = replace(wanted_of(request), mode=mode)
        why = list_pages.totals_why(access, wanted=wanted, asked=asked, figure=figure)
    except NotAnInterval as error:
        raise Http404 from error
    return render(
        request,
        "admin/batches/totals_why.html",
        title=f"{why.label}: why?",
        why=why,
        mode=mode,
        asked=urlencode(asked),
        chips=chips_of(request, CHIPS),
    )


PAGES = [
    Page("batches/why/<str:figure>", batch_totals_why, "batch_totals_why"),
    Page("batches/<id:batch_id>/why/<str:figure>", batch_why, "batch_why"),
]
