"""Acts on a batch: to cancel it, and to retry what failed. Each says first what it does, in figures."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from batches import act_pages as pages
from batches.head_pages import reached
from batches.intake import RequestIdMissing, request_id_of
from batches.models import Batch
from batches.retrying import retry_as_seen
from batches.stopping import BatchFinal, cancel
from customers.access import Access, Permission
from customers.pages import is_staff, page
from sora2.faults import Invalid
from sora2.pages import Page, line_of, render

REASON_MAX = 600


class NotSaid(Exception):
    """Something that the form asks for is missing or too long; the message says what to do."""


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.BATCHES_WRITE)
def batch_cancel(request: HttpRequest, access: Access, batch_id: str) -> HttpResponseBase:
    """Say what a cancel would do, and do it once that is confirmed."""
    batch = reached(access, batch_id=batch_id)
    if batch.is_final or batch.canceled_at is not None:
        messages.info(request, f"Nothing was canceled now: the batch {_has_come_to(batch)}.")
        return _to(batch)
    fault = ""
    if request.method == "POST":
        try:
            canceled = cancel(batch=batch, actor=access.actor, now=timezone.now(), reason=_reason(request))
        except BatchFinal:
            messages.info(request, "Nothing was canceled: the batch ended in the same moment.")
            return _to(batch)
        except NotSaid as error:
            fault = str(error)
        else:
            items = f"{canceled:,} item{' fails' if canceled == 1 else 's fail'} with canceled"
            messages.success(request, f"Canceled: {items}. What a provider has already runs on to its end.")
            return _to(batch)
    found = pages.stopping(access, batch_id=batch_id)
    return _ask(request, access, "cancel", title=f"Cancel {batch.request_id}", found=found, fault=fault)


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.BATCHES_WRITE)
def batch_retry(request: HttpRequest, access: Access, batch_id: str) -> HttpResponseBase:
    """Say what a retry would order, and order it once that is confirmed."""
    batch, money, now, fault = reached(access, batch_id=batch_id), _money(access), timezone.now(), ""
    if request.method == "POST":
        try:
            again, made = retry_as_seen(
                customer=pages.customer_of(access, batch),
                batch=batch,
                request_id=_request_id(request),
                price_version=request.POST.get("price_version", ""),
                reason=_reason(request),
                now=now,
            )
        except NotSaid as error:
            fault = str(error)
        except pages.REFUSALS as error:
            fault = pages.refusal_in_words(error, money=money)
        else:
            said = f"Ordered: {again.total:,} item{'' if again.total == 1 else 's'} again, in this batch."
            messages.success(request, said if made else "This batch was ordered before. Nothing was ordered twice.")
            return _to(again)
    found = pages.retrying(access, batch_id=batch_id, money=money, now=now)
    return _ask(request, access, "retry", title=f"Retry {batch.request_id}", found=found, fault=fault)


def _ask(request: HttpRequest, access: Access, act: str, **context: Any) -> HttpResponseBase:
    return render(
        request,
        f"admin/batches/{act}.html",
        inside=is_staff(request),
        money=_money(access),
        reason_max=REASON_MAX,
        given=request.POST,
        **context,
    )


def _reason(request: HttpRequest) -> str:
    """Return why somebody acts; our staff always say. Raises NotSaid."""
    reason = line_of(request, "reason")
    if is_staff(request) and not reason:
        raise NotSaid("Nothing was done yet. Say why: it is the customer's batch, and the record keeps the reason.")
    if len(reason) > REASON_MAX:
        raise NotSaid(f"Nothing was done yet. A reason has at most {REASON_MAX} characters; yours has {len(reason):,}.")
    return reason


def _request_id(request: HttpRequest) -> str:
    """Return the request id that the form gives the new batch. Raises NotSaid."""
    try:
        return request_id_of({"request_id": request.POST.get("request_id", "").strip()}, {})
    except (RequestIdMissing, Invalid):
        raise NotSaid("Nothing was ordered yet. A request id has 1 to 255 characters.") from None


def _money(access: Access) -> bool:
    return access.may(Permission.LEDGER_READ)


def _has_come_to(batch: Batch) -> str:
    return "has ended" if batch.is_final else "was canceled before"


def _to(batch: Batch) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:batch", args=[batch.pk]))


PAGES = [
    Page("batches/<id:batch_id>/cancel", batch_cancel, "batch_cancel"),
    Page("batches/<id:batch_id>/retry", batch_retry, "batch_retry"),
]
