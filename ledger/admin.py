"""The ledger's pages, all read-only: wallets, and a customer's entries with the balances after each."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from customers.access import Access, Permission
from customers.models import Mode
from customers.pages import ReadOnlyAdmin, is_staff, page
from ledger import pages
from ledger.models import Entry, ReconciliationRun, Wallet
from sora2.pages import Page, chips, render, text_of


@require_safe
@page(Permission.LEDGER_READ)
def wallet_list(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show the wallets of one mode, all or of some customers, with their totals."""
    mode, customer = text_of(request, "mode") or Mode.LIVE.value, text_of(request, "customer")
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
def statement(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Show the entries of one customer's wallet."""
    mode = text_of(request, "mode") or Mode.LIVE.value
    kind, reference = text_of(request, "kind"), text_of(request, "reference")
    found = pages.statement(
        access,
        organization_id=organization_id,
        mode=mode,
        kind=kind,
        reference=reference,
        cursor=text_of(request, "after"),
    )
    return render(
        request,
        "admin/ledger/statement.html",
        title=f"Ledger of {found.organization}",
        found=found,
        modes=Mode.values,
        mode=mode,
        kinds=Entry.Kind.values,
        kind=kind,
        reference=reference,
        chips=chips(request, {"kind": "Kind", "reference": "Reference"}),
    )


PAGES = [
    Page("ledger/", wallet_list, "wallet_list"),
    Page("ledger/<id:organization_id>", statement, "statement"),
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


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(LedgerAdmin):
    fields = ["started_at", "finished_at", "batches", "entries", "discrepancies"]
    list_display = ["started_at", "finished_at", "batches", "entries", "explained"]
    ordering = ["-started_at"]
