"""A customer's papers: the invoices that were sent to it, and its statements of the last months."""

from dataclasses import dataclass
from datetime import datetime

from customers.access import Access
from customers.models import Mode, Organization
from ledger.intervals import Month, month_at
from ledger.invoices.invoice_pages import state_of
from ledger.models import Invoice
from ledger.pages import reached_wallet
from ledger.statement_pages import Asked, printed
from ledger.statements import months_with_entries
from sora2.pages import Rows, rows_after

INVOICES_SHOWN, MONTHS_SHOWN = 50, 12


@dataclass(frozen=True)
class StatementPaper:
    """The statement of a month: the query for it as a page and as a paper, and where the month stands."""

    month: Month
    query: str
    is_over: bool
    is_closed: bool


@dataclass(frozen=True)
class Papers:
    """What a customer can file: its invoices, newest first, with their states, and its last months' statements."""

    organization: Organization
    page: Rows[Invoice]
    invoices: list[tuple[Invoice, str]]
    statements: list[StatementPaper]


def papers(access: Access, *, organization_id: str, cursor: str, now: datetime) -> Papers:
    """Return a customer's papers. Raises Http404 for one that somebody does not reach."""
    wallet = reached_wallet(access, organization_id=organization_id, mode=Mode.LIVE)
    invoices = Invoice.objects.filter(organization=wallet.organization).issued().with_open().select_related("corrects")
    page = rows_after(invoices, key="-id", cursor=cursor, size=INVOICES_SHOWN)
    zone = wallet.organization.time_zone
    known = {month.month: month for month in [*months_with_entries(wallet=wallet, zone=zone), month_at(now, zone)]}
    months = [known[name] for name in sorted(known, reverse=True)[:MONTHS_SHOWN]]
    return Papers(
        organization=wallet.organization,
        page=page,
        invoices=[(invoice, state_of(invoice, today=now.date())) for invoice in page.rows],
        statements=[_statement(month, wallet.closed_until, now) for month in months],
    )


def _statement(month: Month, closed_until: datetime | None, now: datetime) -> StatementPaper:
    return StatementPaper(
        month=month,
        query=printed(Asked(mode=Mode.LIVE), month),
        is_over=month.ends_at <= now,
        is_closed=closed_until is not None and month.ends_at <= closed_until,
    )
