"""Signing a batch off: one form on its Billing tab."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from batches.finding import sign_off_address
from batches.head_pages import reached
from batches.signing_off import SignOffRefused, sign_off, signer_of
from customers.access import Access, Permission
from customers.pages import page, person_of, refused
from sora2.pages import Page


@require_POST
@page(Permission.LEDGER_READ)
def batch_sign_off(request: HttpRequest, access: Access, batch_id: str) -> HttpResponseBase:
    """Sign a batch off, as what the person is to this batch's customer."""
    batch = reached(access, batch_id=batch_id)
    signer = signer_of(person_of(request), batch)
    if signer is None:
        return refused(request, Permission.BATCHES_SIGN_OFF)
    if request.POST.get("confirmed") != "yes":
        messages.error(request, "Nothing was signed: say that you have compared the figures.")
        return _to(batch_id)
    try:
        signed, made = sign_off(batch=batch, signer=signer, note=request.POST.get("note", ""), now=timezone.now())
    except SignOffRefused as error:
        messages.error(request, f"Nothing was signed. {error}")
        return _to(batch_id)
    figures = f"{signed.reserved:,} = {signed.settled:,} + {signed.refunded:,}"
    if made:
        messages.success(request, f"Signed off: {figures}.")
    else:
        messages.info(request, f"It was signed off before: {figures}. That stands; nothing was added.")
    return _to(batch_id)


def _to(batch_id: str) -> HttpResponseRedirect:
    return HttpResponseRedirect(sign_off_address(batch_id))


PAGES = [Page("batches/<id:batch_id>/sign-off", batch_sign_off, "batch_sign_off")]
