"""The audit log, for our people who read everything."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from batches import audit_pages
from batches.audit_pages import SeveralCustomers, Wanted
from batches.audit_words import ACTS
from customers.access import Access, Permission
from customers.pages import page
from customers.services import audit
from ledger.intervals import NotAnInterval, interval_of
from sora2.pages import Page, chips, render, text_of

FILTERS = {
    "person": "By",
    "customer": "Customer",
    "action": "Act",
    "outcome": "Outcome",
    "subject": "On",
    "from": "From",
    "until": "Until",
}


@require_safe
@page(Permission.AUDIT_READ)
def audit_log(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show who did what, by person, customer, act, outcome, time and subject."""
    shown: dict[str, Any] = {"log": None, "fault": "", "several": []}
    try:
        shown["log"] = audit_pages.log(access, wanted=_wanted(request), cursor=text_of(request, "after"))
    except NotAnInterval as error:
        shown["fault"] = str(error)
    except SeveralCustomers as error:
        shown["several"] = error.found
    return render(
        request,
        "admin/audit.html",
        title="Audit log",
        filters={name: text_of(request, name) for name in FILTERS},
        acts=ACTS,
        not_done=audit_pages.NOT_DONE,
        chips=chips(request, FILTERS),
        **shown,
    )


@require_safe
@page(Permission.AUDIT_READ)
def audit_csv(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Hand out exactly what the page shows with these filters, all of it. That too is written down."""
    try:
        found = audit_pages.events(access, _wanted(request))
    except (NotAnInterval, SeveralCustomers) as error:
        return HttpResponse(f"{error} Nothing was exported.", status=400, content_type="text/plain; charset=utf-8")
    if request.method == "GET":
        filters = {name: text_of(request, name) for name in FILTERS if text_of(request, name)}
        audit(actor=access.actor, action="audit.export", detail={"filters": filters})
    name = f"audit-{timezone.now():%Y%m%d-%H%M%S}.csv"
    return StreamingHttpResponse(
        audit_pages.csv_lines(found),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _wanted(request: HttpRequest) -> Wanted:
    """Return what the query asks for. Raises NotAnInterval."""
    interval = interval_of(text_of(request, "from"), text_of(request, "until"))
    names = ("person", "customer", "action", "outcome", "subject")
    return Wanted(since=interval.starts_at, until=interval.ends_at, **{name: text_of(request, name) for name in names})


PAGES = [Page("audit/", audit_log, "audit_log"), Page("audit/export.csv", audit_csv, "audit_csv")]
