"""The pages on which our finance closes months: all of them, one with its checklist, and what its run has fixed."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from customers.access import Access, Permission
from customers.models import Mode, User
from customers.pages import page, refuse_customers, refused
from ledger import month_run, periods
from ledger.closing import close_month
from ledger.closing_pages import files_page, month_page
from ledger.intervals import Month, NotAnInterval, month_of
from sora2.pages import Page, render, text_of

# More open reserves than this are counted, not listed.
RESERVES_LISTED = 200


@require_safe
@page(Permission.LEDGER_READ)
def period_list(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show the closed months with their totals, and which one is next."""
    refuse_customers(request)
    mode, now = text_of(request, "mode") or Mode.LIVE.value, timezone.now()
    due = periods.due(now=now)
    return render(
        request,
        "admin/ledger/periods.html",
        title="Months",
        closed=periods.closed_months(mode=mode),
        due=due,
        is_over=_is_over(due),
        may_close=access.may(Permission.PERIODS_CLOSE),
        modes=Mode.values,
        mode=mode,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.LEDGER_READ)
def period(request: HttpRequest, access: Access, month: str) -> HttpResponseBase:
    """Show a month's checklist, and what closing it fixes, or has fixed, in figures; a POST closes it."""
    refuse_customers(request)
    _refuse_no_month(month)
    if request.method == "POST":
        return _close(request, access, month)
    found = month_page(month=month, now=timezone.now())
    return render(
        request,
        "admin/ledger/period.html",
        title=found.month.name,
        found=found,
        is_over=_is_over(found.month),
        may_close=access.may(Permission.PERIODS_CLOSE),
        listed=RESERVES_LISTED,
    )


@require_safe
@page(Permission.LEDGER_READ)
def period_files(request: HttpRequest, access: Access, month: str) -> HttpResponseBase:  # noqa: ARG001 - a view's.
    """Show what the run of a month has fixed for each customer, by its hashes, and how far the run is."""
    refuse_customers(request)
    _refuse_no_month(month)
    found = files_page(month=month, cursor=text_of(request, "after"), now=timezone.now())
    return render(request, "admin/ledger/period_files.html", title=f"Files of {found.month.name}", found=found)


@require_POST
@page(Permission.PERIODS_CLOSE)
def period_run(request: HttpRequest, access: Access, month: str) -> HttpResponseBase:
    """Ask a worker to make what each customer files of a closed month, or to compare it once it is made."""
    refuse_customers(request)
    _refuse_no_month(month)
    try:
        month_run.ask(month=month, by=User.objects.get(pk=access.actor), now=timezone.now())
    except month_run.NotRun as error:
        messages.error(request, f"{error} Nothing was begun.")
    else:
        messages.success(request, f"The run of {month} is asked for: a worker makes about three customers a second.")
    return HttpResponseRedirect(reverse("admin:period", args=[month]))


def _close(request: HttpRequest, access: Access, month: str) -> HttpResponseBase:
    if not access.may(Permission.PERIODS_CLOSE):
        return refused(request, Permission.PERIODS_CLOSE)
    who = User.objects.get(pk=access.actor)
    try:
        close_month(month=month, closed_by=who, now=timezone.now())
    except periods.NotClosed as error:
        messages.error(request, f"{error} Nothing was changed.")
    else:
        messages.success(request, f"{month} is closed: no entry is dated into it any more.")
    return HttpResponseRedirect(reverse("admin:period", args=[month]))


def _refuse_no_month(text: str) -> None:
    try:
        month_of(text)
    except NotAnInterval as error:
        raise Http404 from error


def _is_over(month: Month) -> bool:
    return month.ends_at <= timezone.now()


PAGES = [
    Page("ledger/periods/", period_list, "period_list"),
    Page("ledger/periods/<str:month>", period, "period"),
    Page("ledger/periods/<str:month>/files", period_files, "period_files"),
    Page("ledger/periods/<str:month>/run", period_run, "period_run"),
]
