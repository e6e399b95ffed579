"""The books of one customer as files, for the people who may see them."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_safe

from customers.access import Access, Permission
from customers.models import Mode
from customers.pages import page
from customers.services import audit
from ledger.exports.formats import FORMATS, Format, download
from ledger.exports.selection import Selection
from ledger.intervals import NotAnInterval, interval_of
from ledger.models import Entry
from ledger.pages import reached_wallet
from sora2.pages import Page, text_of
from sora2.times import timestamp


class NotUnderstood(Exception):
    """A filter that says nothing. A file without it would hold more than was asked for."""


def export(file_format: Format) -> Callable[..., HttpResponseBase]:
    """Return the view that hands out a customer's entries in this format."""

    @require_safe
    @page(Permission.LEDGER_READ)
    def view(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
        try:
            selection = _selection(request, access, organization_id)
        except NotUnderstood as error:
            return HttpResponse(str(error), status=400, content_type="text/plain; charset=utf-8")
        if request.method == "GET":
            _audit(access, selection, file_format)
        return download(selection.fixed(), file_format)

    return view


def _audit(access: Access, selection: Selection, file_format: Format) -> None:
    wallet = selection.wallet
    filters = {
        "from": timestamp(selection.created_after),
        "until": timestamp(selection.created_before),
        "kind": selection.kind,
        "reference": selection.reference,
    }
    audit(
        actor=access.actor,
        action="ledger.export",
        organization_id=wallet.organization_id,
        mode=wallet.mode,
        subject=wallet.pk,
        detail={"format": file_format.ending, **{name: value for name, value in filters.items() if value}},
    )


def _selection(request: HttpRequest, access: Access, organization_id: str) -> Selection:
    """Return what the query asks for. Raises NotUnderstood, and Http404 for what somebody does not reach."""
    mode, kind = text_of(request, "mode") or Mode.LIVE.value, text_of(request, "kind")
    wallet = reached_wallet(access, organization_id=organization_id, mode=mode)
    if kind and kind not in Entry.Kind.values:
        raise NotUnderstood(f"There is no kind {kind!r}. Choose one of: {', '.join(Entry.Kind.values)}.")
    try:
        interval = interval_of(text_of(request, "created_after"), text_of(request, "created_before"))
    except NotAnInterval as error:
        raise NotUnderstood(str(error)) from error
    return Selection(
        wallet=wallet,
        created_after=interval.starts_at,
        created_before=interval.ends_at,
        kind=kind,
        reference=text_of(request, "reference"),
    )


PAGES = [
    Page(f"ledger/<id:organization_id>/export.{ending}", export(file_format), f"ledger_{ending}")
    for ending, file_format in FORMATS.items()
]
