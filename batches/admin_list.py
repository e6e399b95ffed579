"""The list of batches, and what is chosen of it as a file."""

from django.contrib import messages
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_safe

from batches import export_csv, list_pages
from batches.models import State
from customers.access import Access, Permission
from customers.models import Mode
from customers.modes import chips_of, listed_mode
from customers.pages import is_staff, page
from ledger.exports.formats import CSV
from ledger.intervals import NotAnInterval, interval_of
from sora2.pages import Page, render, text_of, with_query

CHIPS = {
    "customer": "Customer",
    "state": "State",
    "mode": "Mode",
    "from": "Created from, included,",
    "until": "Created before, not included,",
    "q": "Id begins with",
    "custom_id": "custom_id",
    "by": "Ordered by",
}


@require_safe
@page(Permission.BATCHES_READ)
def batch_list(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show the batches that are asked for, newest first, with their totals by mode."""
    found, fault = None, None
    try:
        found = list_pages.batch_list(access, wanted=wanted_of(request), cursor=text_of(request, "after"))
    except NotAnInterval as error:
        fault = error
    return render(
        request,
        "admin/batches/list.html",
        title="Batches",
        found=found,
        fault=fault,
        asked={**{name: text_of(request, name) for name in CHIPS}, "mode": listed_mode(request)},
        filtered=urlencode(filters_of(request)),
        states=State.values,
        modes=Mode.values,
        by_customer=is_staff(request),
        money=access.may(Permission.LEDGER_READ),
        may_order=access.may(Permission.BATCHES_WRITE),
        chips=chips_of(request, CHIPS),
    )


@require_GET
@page(Permission.BATCHES_READ)
def batch_export(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Hand out the batches that are asked for, or those of them that were ticked, as CSV."""
    if "ticked" in request.GET and not request.GET.getlist("pick"):
        messages.error(request, "No file was made: no batch is ticked. Tick some, or take the CSV of all.")
        return HttpResponseRedirect(with_query("admin:batch_list", **filters_of(request)))
    try:
        wanted = wanted_of(request)
    except NotAnInterval as error:
        return HttpResponse(str(error), status=400, content_type="text/plain; charset=utf-8")
    name = f"batches-{timezone.now():%Y%m%dT%H%M%SZ}.csv"
    return StreamingHttpResponse(
        export_csv.export(access, wanted=wanted),
        content_type=CSV.content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def wanted_of(request: HttpRequest) -> list_pages.Wanted:
    """Return what the query asks for. Raises NotAnInterval."""
    interval = interval_of(text_of(request, "from"), text_of(request, "until"))
    return list_pages.Wanted(
        state=text_of(request, "state"),
        mode=listed_mode(request),
        customer=text_of(request, "customer"),
        text=text_of(request, "q"),
        custom_id=text_of(request, "custom_id"),
        maker=text_of(request, "by"),
        starts_at=interval.starts_at,
        ends_at=interval.ends_at,
        picked=tuple(pick.replace("\0", "") for pick in request.GET.getlist("pick")),
    )


def filters_of(request: HttpRequest) -> dict[str, str]:
    """Return the query's filters alone: not the page that is shown, nor what is ticked there."""
    given = {name: text for name in CHIPS if (text := text_of(request, name))}
    mode = listed_mode(request)
    return {**given, "mode": mode} if mode else given


PAGES = [
    Page("batches/", batch_list, "batch_list"),
    Page("batches/export.csv", batch_export, "batch_export"),
]
