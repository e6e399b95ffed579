"""The page of a customer's month-end checklist."""

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from batches.month_end import month_end
from customers.access import Access, Permission
from customers.account_pages import reached_organization
from customers.models import Mode
from customers.pages import page
from ledger.intervals import NotAnInterval
from sora2.pages import Page, render, text_of


@require_safe
@page(Permission.LEDGER_READ)
def month_end_page(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Show whether a customer's month can be filed, line by line; without a month, the one that ended last."""
    organization = reached_organization(access, organization_id=organization_id)
    try:
        found = month_end(access, organization, month=text_of(request, "month"), now=timezone.now())
    except NotAnInterval as error:
        return render(request, "admin/ledger/no_interval.html", status=400, title="No month", sentence=str(error))
    return render(
        request, "admin/month_end.html", title=f"Month-end of {organization}", found=found, mode=Mode.LIVE.value
    )


PAGES = [Page("ledger/<id:organization_id>/month-end", month_end_page, "month_end")]
