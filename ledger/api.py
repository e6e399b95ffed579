"""The wallet and its entries over HTTP, a page at a time or as a file."""

from typing import ClassVar

from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from customers.access import Permission
from customers.api import EnterpriseView
from ledger.exports.formats import BEANCOUNT, CSV, XLSX, Format, download
from ledger.exports.selection import Selected, Selection
from ledger.models import Entry, Wallet
from ledger.representations import entry_json, wallet_json
from ledger.schemas import EXPORT_BEANCOUNT, EXPORT_CSV, EXPORT_XLSX, LIST_ENTRIES, SHOW_WALLET
from sora2.api import not_found
from sora2.listing import choice_of, instant_of, page_of, text_of
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
        entries = _selected(self).entries()
        page = page_of(request, entries, key="-seq", represent=lambda rows: [entry_json(row) for row in rows])
        return Response(page)


class LedgerFileView(EnterpriseView):
    """The wallet's entries as a file, oldest first."""

    scope = Permission.LEDGER_READ
    file_format: ClassVar[Format]

    def file(self) -> HttpResponseBase:
        """Answer with the file."""
        return download(_selected(self), self.file_format)


class LedgerCsvView(LedgerFileView):
    file_format = CSV

    @documented(EXPORT_CSV)
    def get(self, _request: Request) -> HttpResponseBase:
        """Stream the entries as CSV."""
        return self.file()


class LedgerXlsxView(LedgerFileView):
    file_format = XLSX

    @documented(EXPORT_XLSX)
    def get(self, _request: Request) -> HttpResponseBase:
        """Stream the entries as a workbook."""
        return self.file()


class LedgerBeancountView(LedgerFileView):
    file_format = BEANCOUNT

    @documented(EXPORT_BEANCOUNT)
    def get(self, _request: Request) -> HttpResponseBase:
        """Stream the entries as plain-text double entry."""
        return self.file()


def _selected(view: EnterpriseView) -> Selected:
    """Return the entries that the query asks for, all of one wallet: the key's. Raises Problem 404 or 422."""
    return Selection(
        wallet=_wallet_of(view),
        created_after=instant_of(view.request, "created_after"),
        created_before=instant_of(view.request, "created_before"),
        kind=choice_of(view.request, "kind", Entry.Kind.values) or "",
        reference=text_of(view.request, "batch_id") or "",
    ).fixed()


def _wallet_of(view: EnterpriseView) -> Wallet:
    wallet = Wallet.objects.within(view.access).first()
    if wallet is None:
        raise not_found()
    return wallet
