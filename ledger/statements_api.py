"""The statement of a month over HTTP, as JSON, as CSV, and as a paper."""

import csv
import io
from collections.abc import Iterator
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from customers.access import Permission
from customers.api import EnterpriseView
from customers.models import Mode
from ledger.exports.csv_copy import guarded_text
from ledger.exports.formats import CSV
from ledger.intervals import Month, NotAnInterval, month_of
from ledger.models import Wallet
from ledger.papers.setting import CONTENT_TYPE, PaperUnavailable
from ledger.papers.statement import statement_paper
from ledger.statements import Balances, Moved, OpenReserve, Statement, statement_of
from ledger.statements_schemas import CSV_COLUMNS, SHOW_STATEMENT, SHOW_STATEMENT_CSV, SHOW_STATEMENT_PDF
from sora2.api import RETRY_SECONDS, Problem, not_found
from sora2.listing import invalid_parameter, text_of
from sora2.operations import documented
from sora2.times import timestamp
from sora2.zones import UTC_NAME


class StatementView(EnterpriseView):
    scope = Permission.LEDGER_READ

    @documented(SHOW_STATEMENT)
    def get(self, _request: Request, month: str) -> Response:
        """Answer the statement of a month."""
        return Response(statement_json(_statement(self, month)))


class StatementCsvView(EnterpriseView):
    scope = Permission.LEDGER_READ

    @documented(SHOW_STATEMENT_CSV)
    def get(self, _request: Request, month: str) -> HttpResponse:
        """Answer the statement of a month as CSV."""
        found = _statement(self, month)
        name = f"statement-{found.wallet.pk}-{month}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return HttpResponse(statement_csv(found), content_type=CSV.content_type, headers=headers)


class StatementPdfView(EnterpriseView):
    scope = Permission.LEDGER_READ

    @documented(SHOW_STATEMENT_PDF)
    def get(self, _request: Request, month: str) -> HttpResponse:
        """Answer the statement of a month as a paper."""
        found = _statement(self, month)
        try:
            paper = statement_paper(found, now=timezone.now())
        except PaperUnavailable as error:
            detail = "The paper cannot be set for the moment. Ask again; the JSON and the CSV are there."
            raise Problem("service_unavailable", detail, headers={"Retry-After": str(RETRY_SECONDS)}) from error
        headers = {"Content-Disposition": f'attachment; filename="{paper.filename}"'}
        return HttpResponse(paper.body, content_type=CONTENT_TYPE, headers=headers)


def statement_json(statement: Statement) -> dict[str, Any]:
    """Return a statement: `balanced` once opening + movements = closing, and nothing is missing between."""
    interval = statement.interval
    return {
        "ok": True,
        "month": interval.month if isinstance(interval, Month) else None,
        "tz": interval.zone,
        "from": timestamp(interval.starts_at),
        "until": timestamp(interval.ends_at),
        "wallet_id": statement.wallet.pk,
        "livemode": statement.wallet.mode == Mode.LIVE,
        "closed": statement.closed,
        "opening": balances_json(statement.opening),
        "movements": [moved_json(moved) for moved in statement.moved],
        "closing": balances_json(statement.closing),
        "balanced": statement.balanced,
        "entries": statement.count,
        "first_seq": statement.first_seq,
        "last_seq": statement.last_seq,
        "head_hash": statement.head_hash,
        "open_reserves": [open_reserve_json(reserve) for reserve in statement.open_reserves],
    }


def balances_json(balances: Balances) -> dict[str, int]:
    """Return balances, or by how much they change."""
    return {
        "funded": balances.funded,
        "available": balances.available,
        "reserved": balances.reserved,
        "settled": balances.settled,
    }


def moved_json(moved: Moved) -> dict[str, Any]:
    """Return the entries of one kind: how many, their credits, and what they did to the balances."""
    return {"kind": moved.kind, "count": moved.count, "credits": moved.credits, "effect": balances_json(moved.effect)}


def open_reserve_json(reserve: OpenReserve) -> dict[str, Any]:
    """Return a reserve that was open at the end."""
    return {
        "reference": reserve.reference,
        "request_id": reserve.request_id,
        "since": timestamp(reserve.since),
        "credits": reserve.credits,
    }


def statement_csv(statement: Statement) -> str:
    """Return a statement by RFC 4180, the same text each time for an interval that no entry can enter any more."""
    file = io.StringIO()
    rows = csv.DictWriter(file, CSV_COLUMNS, restval="", lineterminator="\r\n")
    rows.writeheader()
    rows.writerows({"wallet_id": statement.wallet.pk, **row} for row in _csv_rows(statement))
    return file.getvalue()


def _csv_rows(statement: Statement) -> Iterator[dict[str, Any]]:
    interval = statement.interval
    yield {"section": "opening", "at": timestamp(interval.starts_at), "seq": statement.before or ""} | balances_json(
        statement.opening
    )
    for moved in statement.moved:
        counted = {"section": "movement", "kind": moved.kind, "count": moved.count, "credits": moved.credits}
        yield counted | balances_json(moved.effect)
    yield {
        "section": "closing",
        "at": timestamp(interval.ends_at),
        "seq": statement.through or "",
        "hash": statement.head_hash,
        "count": statement.count,
    } | balances_json(statement.closing)
    for reserve in statement.open_reserves:
        yield {
            "section": "open_reserve",
            "at": timestamp(reserve.since),
            "reference": guarded_text(reserve.reference),
            "request_id": guarded_text(reserve.request_id),
            "credits": reserve.credits,
        }


def _statement(view: EnterpriseView, month: str) -> Statement:
    """Return the statement that the address and `tz` name, of the key's wallet. Raises Problem 404 or 422."""
    zone = text_of(view.request, "tz") or UTC_NAME
    try:
        interval = month_of(month, zone)
    except NotAnInterval as error:
        if error.name == "month":
            raise Problem("not_found", str(error)) from error
        raise invalid_parameter(error.name, str(error)) from error
    wallet = Wallet.objects.within(view.access).select_related("organization").first()
    if wallet is None:
        raise not_found()
    return statement_of(wallet=wallet, interval=interval)
