"""The wallet and its entries over HTTP."""

from rest_framework.request import Request
from rest_framework.response import Response

from customers.access import Permission
from customers.api import EnterpriseView
from ledger.models import Entry, Wallet
from ledger.representations import entry_json, wallet_json
from ledger.schemas import LIST_ENTRIES, SHOW_WALLET
from sora2.api import not_found
from sora2.listing import choice_of, created_between, page_of, text_of
from sora2.operations import documented


class WalletView(EnterpriseView):
    scope = Permission.LEDGER_READ

    @documented(SHOW_WALLET)
    def get(self, _request: Request) -> Response:
        """Answer the figures of the key's wallet."""
        return Response(wallet_json(_wallet_of(self)))


class LedgerView(EnterpriseView):
    scope = Permission.LEDGER_READ

    @documented(LIST_ENTRIES)
    def get(self, request: Request) -> Response:
        """Answer a page of the wallet's entries, newest first."""
        # One wallet, named: its index on (wallet, seq) is the order of the page.
        entries = Entry.objects.within(self.access).filter(wallet=_wallet_of(self))
        entries = created_between(request, entries)
        if kind := choice_of(request, "kind", Entry.Kind.values):
            entries = entries.filter(kind=kind)
        if batch_id := text_of(request, "batch_id"):
            entries = entries.filter(reference=batch_id)
        page = page_of(request, entries, key="-seq", represent=lambda rows: [entry_json(row) for row in rows])
        return Response(page)


def _wallet_of(view: EnterpriseView) -> Wallet:
    wallet = Wallet.objects.within(view.access).first()
    if wallet is None:
        raise not_found()
    return wallet
