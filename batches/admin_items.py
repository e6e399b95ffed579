"""The page of an item: its video, its poster, and an address that gives somebody the video for a while."""

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from batches import pages
from batches.content import RangeNotSatisfiable, stream
from batches.models import Output
from batches.outputs import Link
from batches.representations import link_of
from customers.access import Access, Permission
from customers.pages import is_staff, page
from customers.services import audit
from sora2.pages import Page, render
from sora2.times import timestamp


@require_safe
@page(Permission.BATCHES_READ)
def item_detail(request: HttpRequest, access: Access, batch_id: str, item_id: str) -> HttpResponseBase:
    """Show an item: its video, why it failed in words, and its attempts. Providers' own words are for staff."""
    return _item_page(request, access, batch_id, item_id)


@never_cache
@require_POST
@page(Permission.BATCHES_READ)
def item_link(request: HttpRequest, access: Access, batch_id: str, item_id: str) -> HttpResponseBase:
    """Make an address that gives whoever has it this one video until it expires, and show it this once."""
    output, item = (
        _kept_output(access, batch_id, item_id),
        pages.reached_item(access, batch_id=batch_id, item_id=item_id),
    )
    link = link_of(item, output, now=timezone.now())
    audit(
        actor=access.actor,
        action="item.link",
        organization_id=item.batch.organization_id,
        mode=item.batch.mode,
        subject=item_id,
        detail={"batch_id": batch_id, "expires_at": timestamp(link.expires_at)},
    )
    return _item_page(request, access, batch_id, item_id, link=link)


@require_safe
@page(Permission.BATCHES_READ)
def item_video(request: HttpRequest, access: Access, batch_id: str, item_id: str) -> HttpResponseBase:
    """Stream an item's video, whole or the range that a player asks for."""
    output = _kept_output(access, batch_id, item_id)
    return _file(request, output.video, output.content_type, etag=output.sha256, filename=f"{item_id}.mp4")


@require_safe
@page(Permission.BATCHES_READ)
def item_poster(request: HttpRequest, access: Access, batch_id: str, item_id: str) -> HttpResponseBase:
    """Stream the first frame of an item's video."""
    output = _kept_output(access, batch_id, item_id)
    return _file(request, output.poster, "image/jpeg", etag=f"{output.sha256}-poster", filename=f"{item_id}.jpg")


def _item_page(
    request: HttpRequest, access: Access, batch_id: str, item_id: str, *, link: Link | None = None
) -> HttpResponseBase:
    found = pages.item_page(access, batch_id=batch_id, item_id=item_id)
    return render(
        request,
        "admin/batches/item.html",
        title=f"Item {found.item.index}",
        found=found,
        item=found.item,
        batch=found.item.batch,
        link=link,
        money=access.may(Permission.LEDGER_READ),
        inside=is_staff(request),
    )


def _kept_output(access: Access, batch_id: str, item_id: str) -> Output:
    output = pages.reached_output(access, batch_id=batch_id, item_id=item_id)
    if output.purged_at is not None:
        raise Http404
    return output


def _file(request: HttpRequest, name: str, content_type: str, *, etag: str, filename: str) -> HttpResponseBase:
    if not name:
        raise Http404
    try:
        return stream(
            name=name,
            content_type=content_type,
            headers=request.headers,
            etag=etag,
            filename=filename,
            head=request.method == "HEAD",
        )
    except RangeNotSatisfiable as error:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{error.size}"})
    except FileNotFoundError as error:
        raise Http404 from error


PAGES = [
    Page("batches/<id:batch_id>/items/<id:item_id>", item_detail, "item"),
    Page("batches/<id:batch_id>/items/<id:item_id>/video", item_video, "item_video", cacheable=True),
    Page("batches/<id:batch_id>/items/<id:item_id>/poster", item_poster, "item_poster", cacheable=True),
    Page("batches/<id:batch_id>/items/<id:item_id>/link", item_link, "item_link"),
]
