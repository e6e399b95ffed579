"""Why is this amount here? The pages that explain a wallet's figure, a total over wallets, and an entry."""

from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from customers.access import Access, Permission
from customers.modes import mode_of
from customers.pages import page
from ledger import entry_pages, totals_pages, why_pages
from ledger.intervals import NotAnInterval
from sora2.pages import Page, render, text_of


@require_safe
@page(Permission.LEDGER_READ)
def wallet_why(request: HttpRequest, access: Access, organization_id: str, figure: str) -> HttpResponseBase:
    """Explain a figure of a customer's wallet."""
    found = why_pages.wallet_why(access, organization_id=organization_id, mode=mode_of(request), figure=figure)
    return render(
        request,
        "admin/ledger/wallet_why.html",
        title=f"{found.why.label}: why?",
        wallet=found.wallet,
        mode=found.wallet.mode,
        why=found.why,
        figures=list(why_pages.SENTENCES),
    )


@require_safe
@page(Permission.LEDGER_READ)
def totals_why(request: HttpRequest, access: Access, figure: str) -> HttpResponseBase:
    """Explain a figure over all wallets, or over some customers', now or at the end of a month."""
    mode, customer = mode_of(request), text_of(request, "customer")
    try:
        found = totals_pages.totals_why(
            access, mode=mode, customer=customer, month=text_of(request, "month"), figure=figure
        )
    except NotAnInterval as error:
        raise Http404 from error
    return render(
        request,
        "admin/ledger/totals_why.html",
        title=f"{found.why.label}: why?",
        found=found,
        why=found.why,
        mode=mode,
        customer=customer,
    )


@require_safe
@page(Permission.LEDGER_READ)
def entry(request: HttpRequest, access: Access, entry_id: str) -> HttpResponseBase:
    """Show an entry: what it means, what it moved, and how it is sealed."""
    found = entry_pages.entry_page(access, entry_id=entry_id)
    return render(
        request,
        "admin/ledger/entry.html",
        title=f"Entry {found.entry.seq}",
        found=found,
        entry=found.entry,
        wallet=found.entry.wallet,
    )


PAGES = [
    Page("ledger/why/<str:figure>", totals_why, "totals_why"),
    Page("ledger/<id:organization_id>/why/<str:figure>", wallet_why, "wallet_why"),
    Page("ledger/entries/<id:entry_id>", entry, "entry"),
]
