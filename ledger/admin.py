"""The ledger's pages: wallets, and a customer's books. What else has pages has a module of its own."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from customers.access import Access, Permission
from customers.models import Mode
from customers.modes import mode_of
from customers.pages import ReadOnlyAdmin, is_staff, page
from ledger import (
    admin_credits,
    admin_exports,
    admin_lows,
    admin_periods,
    admin_seals,
    admin_why,
    day_pages,
    pages,
    statement_pages,
)
from ledger.intervals import NotAnInterval
from ledger.models import Entry, Period, PeriodBalance, ReconciliationRun, Wallet
from ledger.paper_answers import paper_answer
from ledger.papers.statement import statement_paper
from sora2.pages import Page, chips, render, text_of
from sora2.zones import USUAL_ZONES


@require_safe
@page(Permission.LEDGER_READ)
def wallet_list(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show the wallets of one mode, all or of some customers, with their totals."""
    mode, customer = mode_of(request), text_of(request, "customer")
    found = pages.wallets(access, mode=mode, customer=customer, cursor=text_of(request, "after"))
    return render(
        request,
        "admin/ledger/wallets.html",
        title="Ledger",
        found=found,
        modes=Mode.values,
        mode=mode,
        customer=customer,
        by_customer=is_staff(request),
        chips=chips(request, {"customer": "Customer"}),
    )


@require_safe
@page(Permission.LEDGER_READ)
def statement_pdf(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Hand out one customer's statement over an interval as a paper."""
    asked, now = _asked(request), timezone.now()
    try:
        found = statement_pages.asked_statement(access, organization_id=organization_id, asked=asked, now=now)
    except NotAnInterval as error:
        return HttpResponse(str(error), status=400, content_type="text/plain; charset=utf-8")
    return paper_answer(lambda: statement_paper(found, now=now))


@require_safe
@page(Permission.LEDGER_READ)
def statement(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Show one customer's statement over a month or another interval, and the entries behind its figures."""
    asked = _asked(request)
    try:
        found = statement_pages.books(access, organization_id=organization_id, asked=asked, now=timezone.now())
    except NotAnInterval as error:
        return render(request, "admin/ledger/no_interval.html", status=400, title="No interval", sentence=str(error))
    return render(
        request,
        "admin/ledger/statement.html",
        title=f"Ledger of {found.organization}",
        found=found,
        asked=asked,
        modes=Mode.values,
        kinds=Entry.Kind.values,
        everything=statement_pages.EVERYTHING,
        zones=USUAL_ZONES,
        by_customer=is_staff(request),
        may_set_threshold=admin_lows.may_set_threshold(access),
        may_ask_credits=access.may(Permission.CREDITS_REQUEST),
        chips=chips(request, {"kind": "Kind", "reference": "Reference"}),
    )


@require_safe
@page(Permission.LEDGER_READ)
def day(request: HttpRequest, access: Access, day: str) -> HttpResponseBase:
    """Show what each customer moved on a day in UTC."""
    mode = mode_of(request)
    found = day_pages.day_page(access, mode=mode, text=day, now=timezone.now())
    return render(
        request,
        "admin/ledger/day.html",
        title=f"Credits of {found.day}",
        found=found,
        modes=Mode.values,
        mode=mode,
        by_customer=is_staff(request),
    )


def _asked(request: HttpRequest) -> statement_pages.Asked:
    return statement_pages.Asked(
        mode=mode_of(request),
        month=text_of(request, "month"),
        start=text_of(request, "from"),
        end=text_of(request, "until"),
        zone=text_of(request, "tz"),
        kind=text_of(request, "kind"),
        reference=text_of(request, "reference"),
        cursor=text_of(request, "after"),
    )


PAGES = [
    Page("ledger/", wallet_list, "wallet_list"),
    Page("ledger/days/<str:day>", day, "ledger_day"),
    Page("ledger/<id:organization_id>", statement, "statement"),
    Page("ledger/<id:organization_id>/statement.pdf", statement_pdf, "statement_pdf"),
    *admin_credits.PAGES,
    *admin_exports.PAGES,
    *admin_lows.PAGES,
    *admin_periods.PAGES,
    *admin_seals.PAGES,
    *admin_why.PAGES,
]


class LedgerAdmin(ReadOnlyAdmin):
    permission = Permission.LEDGER_READ


@admin.register(Wallet)
class WalletAdmin(LedgerAdmin):
    fields = [
        "id", "organization", "mode", "available", "reserved", "settled", "funded", "last_seq", "last_entry_at",
        "head_hash", "created_at",
    ]  # fmt: skip
    list_display = ["id", "organization", "mode", "available", "reserved", "settled", "funded", "last_seq"]
    list_filter = ["mode"]
    list_select_related = ["organization"]
    search_fields = ["id", "organization__id", "organization__name"]
    ordering = ["-id"]


@admin.register(Entry)
class EntryAdmin(LedgerAdmin):
    fields = [
        "id", "wallet", "seq", "created_at", "kind", "amount", "available_after", "reserved_after", "settled_after",
        "reference", "request_id", "actor", "reason", "prev_hash", "hash",
    ]  # fmt: skip
    list_display = ["id", "wallet", "seq", "created_at", "kind", "amount", "reference"]
    list_filter = ["kind"]
    list_select_related = ["wallet"]
    search_fields = ["id", "reference", "request_id"]
    ordering = ["-id"]


@admin.register(Period)
class PeriodAdmin(LedgerAdmin):
    fields = ["month", "starts_at", "ends_at", "closed_at", "closed_by"]
    list_display = ["month", "ends_at", "closed_at", "closed_by"]
    list_select_related = ["closed_by"]
    ordering = ["-month"]


@admin.register(PeriodBalance)
class PeriodBalanceAdmin(LedgerAdmin):
    fields = ["period", "wallet", "available", "reserved", "settled", "last_seq", "head_hash"]
    list_display = ["period", "wallet", "available", "reserved", "settled", "last_seq"]
    list_select_related = ["period", "wallet"]
    search_fields = ["period__month", "wallet__id"]
    ordering = ["-pk"]


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(LedgerAdmin):
    fields = [
        "started_at", "finished_at", "batches", "items", "entries", "figures", "counts", "discrepancies",
    ]  # fmt: skip
    list_display = ["started_at", "finished_at", "batches", "items", "entries", "explained"]
    ordering = ["-started_at"]
