"""The pages of lots, deferred and recognized revenue, for our own people: the live wallets of all customers."""

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from customers.access import Access, Permission
from customers.pages import page, person_of, refuse_customers, refused
from customers.services import audit
from ledger.intervals import Month, NotAnInterval, month_of
from ledger.reconciliation import at_one_moment
from ledger.revenue import files, lot_pages, pages
from ledger.revenue.accounts import USES, Account, Purpose, accounts, map_accounts
from ledger.revenue.forms import AccountsForm
from ledger.revenue.journal import Journal, journal_of
from sora2.pages import Page, file_answer, render, text_of

CSV = ("csv", "text/csv; charset=utf-8", files.csv_of)
BEANCOUNT = ("beancount", "text/plain; charset=utf-8", files.beancount_of)


@require_safe
@page(Permission.LEDGER_READ)
def revenue(request: HttpRequest, access: Access) -> HttpResponseBase:  # noqa: ARG001 - the guard's signature.
    """Show the months, newest first: what was deferred, what became revenue, and whether it equals the ledger."""
    refuse_customers(request)
    try:
        found = pages.month_list(until=text_of(request, "until"), now=timezone.now())
    except NotAnInterval as error:
        raise Http404 from error
    return render(request, "admin/revenue/months.html", title="Revenue", found=found)


@require_safe
@page(Permission.LEDGER_READ)
def revenue_month(request: HttpRequest, access: Access, month: str) -> HttpResponseBase:  # noqa: ARG001 - the guard's signature.
    """Show a month by customer, what happened to invoices in it, and what its journal books."""
    refuse_customers(request)
    found = pages.month_page(month=_month(month), now=timezone.now())
    return render(request, "admin/revenue/month.html", title=f"Revenue of {found.month.name}", found=found)


@require_safe
@page(Permission.LEDGER_READ)
def revenue_lots(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Show a customer's lots: what was paid for them, what was used of each, and what is left."""
    refuse_customers(request)
    found = lot_pages.lots_page(access, organization_id=organization_id, now=timezone.now())
    return render(request, "admin/revenue/lots.html", title=f"Lots of {found.organization}", found=found)


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.LEDGER_READ)
def gl_accounts(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show which account of the general ledger takes what; a POST changes that."""
    refuse_customers(request)
    may_change = access.may(Permission.PERIODS_CLOSE)
    if request.method != "POST":
        return _accounts_page(request, AccountsForm() if may_change else None)
    if not may_change:
        return refused(request, Permission.PERIODS_CLOSE)
    form = AccountsForm(request.POST)
    if not form.is_valid():
        return _accounts_page(request, form, status=422)
    changed = map_accounts(wanted=form.wanted(), by=person_of(request))
    messages.success(request, f"{len(changed)} changed." if changed else "Nothing was to be changed.")
    return HttpResponseRedirect(reverse("admin:gl_accounts"))


def journal_file(
    ending: str, content_type: str, made: Callable[[Journal, dict[Purpose, Account]], bytes]
) -> Callable[..., HttpResponseBase]:
    """Return the view that hands out a month's journal in this format."""

    @require_safe
    @page(Permission.LEDGER_READ)
    def view(request: HttpRequest, access: Access, month: str) -> HttpResponseBase:
        refuse_customers(request)
        wanted = _month(month)
        with at_one_moment():
            body = made(journal_of([wanted]), accounts())
        if request.method == "GET":
            audit(actor=access.actor, action="revenue.export", subject=wanted.month, detail={"format": ending})
        return file_answer(body, content_type=content_type, filename=f"journal-{wanted.month}.{ending}")

    return view


PAGES = [
    Page("revenue/", revenue, "revenue"),
    Page("revenue/accounts", gl_accounts, "gl_accounts"),
    Page("revenue/lots/<id:organization_id>", revenue_lots, "revenue_lots"),
    Page("revenue/<str:month>", revenue_month, "revenue_month"),
    Page("revenue/<str:month>/journal.csv", journal_file(*CSV), "revenue_journal_csv"),
    Page("revenue/<str:month>/journal.beancount", journal_file(*BEANCOUNT), "revenue_journal_beancount"),
]


def _month(text: str) -> Month:
    """Return a month that has begun. Raises Http404."""
    try:
        month = month_of(text)
    except NotAnInterval as error:
        raise Http404 from error
    if month.starts_at > timezone.now():
        raise Http404
    return month


def _accounts_page(request: HttpRequest, form: AccountsForm | None, status: int = 200) -> HttpResponseBase:
    uses = [(USES[purpose], account) for purpose, account in accounts().items()]
    return render(request, "admin/revenue/accounts.html", status=status, title="Accounts", form=form, rows=uses)
