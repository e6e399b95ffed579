"""The seals in the admin: a list for everybody who may see credits, and the files with the path of one's own wallet."""

from pathlib import Path

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from customers.access import Access, Permission
from customers.models import Mode
from customers.pages import ReadOnlyAdmin, is_staff, page
from ledger import seal_keys, seals, verify_ledger
from ledger.models import Seal, SealLeaf, Wallet
from ledger.pages import reached_wallet
from sora2.pages import Page, chips, file_answer, render, rows_after, text_of

SEALS_SHOWN = 50


@require_safe
@page(Permission.LEDGER_READ)
def seal_list(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show the seals, with the files for the wallets of one's own organization, or of the customer that staff chose."""
    customer = text_of(request, "customer")
    wallets = Wallet.objects.within(access).select_related("organization").order_by("organization__name", "mode")
    if is_staff(request):
        wallets = wallets.filter(organization_id=customer)
    return render(
        request,
        "admin/ledger/seals.html",
        title="Seals",
        found=rows_after(Seal.objects.all(), key="-number", cursor=text_of(request, "after"), size=SEALS_SHOWN),
        wallets=list(wallets),
        keys=seal_keys.public_keys(),
        customer=customer,
        by_customer=is_staff(request),
        chips=chips(request, {"customer": "Customer"}),
    )


@require_safe
@page(Permission.LEDGER_READ)
def seal_file(_request: HttpRequest, _access: Access, number: int) -> HttpResponseBase:
    """Hand out the file of a seal as it is shipped."""
    return _download(seals.shipped(_seal(number)), f"seal-{number:08}.json")


@require_safe
@page(Permission.LEDGER_READ)
def own_seal_file(request: HttpRequest, access: Access, organization_id: str, number: int) -> HttpResponseBase:
    """Hand out a seal with the path of one wallet."""
    mode = text_of(request, "mode") or Mode.LIVE.value
    wallet = reached_wallet(access, organization_id=organization_id, mode=mode)
    said = seals.own(_seal(number), wallet_id=wallet.pk)
    if said is None:
        raise Http404
    return _download(said, f"seal-{number:08}-{wallet.pk}.json")


@require_safe
@page(Permission.LEDGER_READ)
def verifier_file(_request: HttpRequest, _access: Access) -> HttpResponseBase:
    """Hand out the program that checks the books offline."""
    file = Path(verify_ledger.__file__)
    return file_answer(file.read_bytes(), content_type="text/x-python; charset=utf-8", filename=file.name)


def _seal(number: int) -> Seal:
    return get_object_or_404(Seal, number=number)


def _download(said: dict[str, object], filename: str) -> HttpResponse:
    return file_answer(seals.file_text(said).encode(), content_type="application/json", filename=filename)


PAGES = [
    Page("ledger/verify_ledger.py", verifier_file, "verifier_file", cacheable=True),
    Page("ledger/seals/", seal_list, "seal_list"),
    Page("ledger/seals/<int:number>", seal_file, "seal_file", cacheable=True),
    Page("ledger/<id:organization_id>/seals/<int:number>", own_seal_file, "own_seal_file", cacheable=True),
]


@admin.register(Seal)
class SealAdmin(ReadOnlyAdmin):
    permission = Permission.LEDGER_READ
    fields = ["number", "sealed_at", "wallets", "root", "previous", "body", "signature", "key_id"]
    list_display = ["number", "sealed_at", "wallets", "root", "key_id"]
    ordering = ["-number"]


@admin.register(SealLeaf)
class SealLeafAdmin(ReadOnlyAdmin):
    permission = Permission.LEDGER_READ
    fields = ["seal", "wallet", "seq", "head_hash"]
    list_display = ["seal", "wallet", "seq", "head_hash"]
    search_fields = ["wallet__id"]
    ordering = ["-pk"]
