"""The seals over HTTP, and for everybody the public keys that they are checked with."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from rest_framework.request import Request
from rest_framework.response import Response

from customers.access import Permission
from customers.api import EnterpriseView
from ledger import seal_keys, seals
from ledger.models import Seal, Wallet
from ledger.seals_schemas import LIST_SEALS, SHOW_SEAL
from sora2.api import JSON_TYPE, not_found
from sora2.listing import page_of
from sora2.operations import documented
from sora2.times import timestamp


class SealsView(EnterpriseView):
    scope = Permission.LEDGER_READ

    @documented(LIST_SEALS)
    def get(self, request: Request) -> Response:
        """Answer a page of the seals, which are over everybody's wallets and name none of them."""
        return Response(page_of(request, Seal.objects.all(), key="-number", represent=_seals_json))


class SealView(EnterpriseView):
    scope = Permission.LEDGER_READ

    @documented(SHOW_SEAL)
    def get(self, _request: Request, number: str) -> HttpResponse:
        """Answer a seal with the path of the key's wallet, as the file that the verifier takes."""
        is_number = number.isascii() and number.isdigit() and len(number) < 19
        seal = Seal.objects.filter(number=number).first() if is_number else None
        wallet = Wallet.objects.within(self.access).first()
        said = seals.own(seal, wallet_id=wallet.pk) if seal and wallet else None
        if said is None:
            raise not_found()
        return HttpResponse(seals.file_text(said), content_type=JSON_TYPE)


@require_safe
def seal_keys_json(_request: HttpRequest) -> JsonResponse:
    """Answer the public keys of the seals, to anybody."""
    keys = [{"key_id": key.id, "algorithm": "Ed25519", "public_key": key.text} for key in seal_keys.public_keys()]
    return JsonResponse({"keys": keys}, headers={"Access-Control-Allow-Origin": "*"})


def _seals_json(rows: Sequence[Seal]) -> list[dict[str, Any]]:
    return [
        {
            "number": seal.number,
            "sealed_at": timestamp(seal.sealed_at),
            "wallets": seal.wallets,
            "root": seal.root,
            "previous": seal.previous,
            "key_id": seal.key_id,
        }
        for seal in rows
    ]
