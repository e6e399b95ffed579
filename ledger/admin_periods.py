"""The pages on which our finance closes months: all of them, and one in figures before it is closed for good."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from customers.access import Access, Permission
from customers.models import Mode, User
from customers.pages import is_staff, page, refused
from ledger import periods
from ledger.intervals import Month, NotAnInterval, month_of
from sora2.pages import Page, render, text_of

# More open reserves than this are counted, not listed.
RESERVES_LISTED = 200


@require_safe
@page(Permission.LEDGER_READ)
def period_list(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show the closed months with their totals, and which one is next."""
    _for_staff(request)
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
    """Show what closing a month fixes, or has fixed, in figures; a POST closes it."""
    _for_staff(request)
    try:
        wanted = month_of(month)
    except NotAnInterval as error:
        raise Http404 from error
    if request.method == "POST":
        return _close(request, access, month)
    return render(
        request,
        "admin/ledger/period.html",
        title=wanted.name,
        effect=periods.effect(month=wanted),
        is_closed=periods.is_closed(month=wanted),
        is_due=wanted == periods.due(now=timezone.now()),
        is_over=_is_over(wanted),
        may_close=access.may(Permission.PERIODS_CLOSE),
        listed=RESERVES_LISTED,
    )


def _close(request: HttpRequest, access: Access, month: str) -> HttpResponseBase:
    if not access.may(Permission.PERIODS_CLOSE):
        return refused(request, Permission.PERIODS_CLOSE)
    who = User.objects.get(pk=access.actor)
    try:
        periods.close_period(month=month, closed_by=who, now=timezone.now())
    except periods.NotClosed as error:
        messages.error(request, f"{error} Nothing was changed.")
    else:
        messages.success(request, f"{month} is closed: no entry is dated into it any more.")
    return HttpResponseRedirect(reverse("admin:period", args=[month]))


def _for_staff(request: HttpRequest) -> None:
    """Refuse customers' people: a month is closed for all customers at once."""
    if not is_staff(request):
        raise Http404


def _is_over(month: Month) -> bool:
    return month.ends_at <= timezone.now()


PAGES = [
    Page("ledger/periods/", period_list, "period_list"),
    Page("ledger/periods/<str:month>", period, "period"),
]
