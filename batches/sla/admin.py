"""The pages of what was promised under a contract and what was kept."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from batches.sla import pages
from batches.sla.paper import report_paper
from batches.sla.report import Report, overview, report
from customers.access import Access, Permission
from customers.pages import is_staff, page, refuse_customers
from ledger.intervals import NotAnInterval
from ledger.paper_answers import paper_answer
from sora2.pages import Page, file_answer, render, text_of

PLAIN = "text/plain; charset=utf-8"


@require_safe
@page(Permission.BATCHES_READ)
def sla_list(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show our people the availability of the service by month, and each customer's under contract."""
    refuse_customers(request)
    found = overview(access, cursor=text_of(request, "after"), now=timezone.now())
    return render(request, "admin/sla/list.html", title="Service levels", found=found, target=pages.TARGET_WORDS)


@require_safe
@page(Permission.BATCHES_READ)
def sla(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Show a customer's month: what was promised and kept, day by day, and when the system was down."""
    try:
        found = _report(request, access, organization_id)
    except NotAnInterval as error:
        return render(request, "admin/ledger/no_interval.html", status=400, title="No month", sentence=str(error))
    listed = pages.shown(found.downtimes)
    return render(
        request,
        "admin/sla/report.html",
        title=f"Service levels of {found.organization}",
        found=found,
        chart=pages.chart_of(found),
        downtimes=listed,
        more=len(found.downtimes) - len(listed),
        target=pages.TARGET_WORDS,
        money=access.may(Permission.LEDGER_READ),
        staff=is_staff(request),
    )


@require_safe
@page(Permission.BATCHES_READ)
def sla_csv(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Hand out the same as a file."""
    try:
        found = _report(request, access, organization_id)
    except NotAnInterval as error:
        return HttpResponse(str(error), status=400, content_type=PLAIN)
    body = pages.file_of(found, money=access.may(Permission.LEDGER_READ)).encode()
    name = f"service-levels-{organization_id}-{found.month.month}.csv"
    return file_answer(body, content_type="text/csv; charset=utf-8", filename=name)


@require_safe
@page(Permission.BATCHES_READ)
def sla_pdf(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Hand out the same as a paper."""
    try:
        found = _report(request, access, organization_id)
    except NotAnInterval as error:
        return HttpResponse(str(error), status=400, content_type=PLAIN)
    money, now = access.may(Permission.LEDGER_READ), timezone.now()
    return paper_answer(lambda: report_paper(found, money=money, now=now))


def _report(request: HttpRequest, access: Access, organization_id: str) -> Report:
    return report(access, organization_id=organization_id, month=text_of(request, "month"), now=timezone.now())


PAGES = [
    Page("sla/", sla_list, "sla_list"),
    Page("sla/<id:organization_id>", sla, "sla"),
    Page("sla/<id:organization_id>/report.csv", sla_csv, "sla_csv"),
    Page("sla/<id:organization_id>/report.pdf", sla_pdf, "sla_pdf"),
]
