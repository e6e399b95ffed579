"""The month-end checklist of a customer: line by line what has to be so before a month is filed, as records say it now.

What stands here is live mode's: test credits are play money.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from django.urls import reverse

from batches import month_lines as lines
from batches.month_figures import LISTED, MonthFigures, month_figures
from batches.quick_reference import QuickReference, quick_reference
from batches.reconciliation_pages import last_check
from customers.access import Access
from customers.models import Mode, Organization
from ledger import month_end as ledger
from ledger.checklists import Line, Standing
from ledger.intervals import Month, month_after, month_at, month_before, month_of
from ledger.models import MonthFile, SealLeaf
from ledger.statement_pages import Asked, asked_statement, exported, printed
from ledger.statements import Statement


@dataclass(frozen=True)
class Files:
    """The queries for the month's papers and files, and for the entries that its seal can be compared with.

    `fixed` is what the run of the month has fixed, of the month in UTC, and the queries that give the same files.
    """

    statement: str
    entries: str
    sealed: str
    fixed: MonthFile | None
    fixed_statement: str
    fixed_entries: str


@dataclass(frozen=True)
class MonthEnd:
    """A customer's month: each line of the checklist, and what is to be kept. `seal` is over the month's last entry."""

    organization: Organization
    month: Month
    statement: Statement
    lines: list[Line]
    files: Files
    seal: SealLeaf | None
    reference: QuickReference | None
    earlier: Month | None
    later: Month | None

    @property
    def missing(self) -> list[str]:
        """Return what keeps the month from being filed, in words."""
        return [line.missing for line in self.lines if line.missing]

    @property
    def is_wrong(self) -> bool:
        """Say whether something of it must not be filed as it is."""
        return any(line.standing == Standing.WRONG for line in self.lines)


def month_end(access: Access, organization: Organization, *, month: str, now: datetime) -> MonthEnd:
    """Return the checklist of a month such as 2026-10, else of the one before the current, in the customer's time zone.

    Raises Http404 without a wallet, NotAnInterval for what is no month.
    """
    wanted = _month(organization, month, now)
    asked = Asked(mode=Mode.LIVE.value, month=wanted.month, zone=wanted.zone)
    shown = replace(access, organization_ids=frozenset([organization.pk]), mode=Mode.LIVE.value)
    statement = asked_statement(shown, organization_id=organization.pk, asked=asked, now=now, by_days=True)
    figures = month_figures(shown, starts_at=wanted.starts_at, ends_at=wanted.ends_at)
    seal = ledger.sealed_by(statement)
    in_utc, wallet = month_of(wanted.month), statement.wallet
    files = Files(
        printed(asked, wanted),
        exported(asked, wanted),
        ledger.entries_through(seal, statement) if seal else "",
        ledger.fixed(wallet, wanted),
        printed(asked, in_utc),
        exported(asked, in_utc),
    )
    return MonthEnd(
        organization=organization,
        month=wanted,
        statement=statement,
        lines=list(_lines(shown, wanted, statement, figures, seal, files, now)),
        files=files,
        seal=seal,
        reference=quick_reference(shown, starts_at=wanted.starts_at, ends_at=wanted.ends_at),
        earlier=month_before(wanted) if statement.before else None,
        later=_later(wanted, now),
    )


def _month(organization: Organization, text: str, now: datetime) -> Month:
    zone = organization.time_zone
    if text:
        return month_of(text, zone)
    current = month_at(now, zone)
    return month_before(current) or current


def _later(month: Month, now: datetime) -> Month | None:
    later = month_after(month)
    return later if later and later.starts_at <= now else None


def _lines(
    shown: Access,
    month: Month,
    statement: Statement,
    figures: MonthFigures,
    seal: SealLeaf | None,
    files: Files,
    now: datetime,
) -> Iterable[Line]:
    check = last_check(shown, now=now)
    page = reverse("admin:statement", args=[statement.wallet.organization_id]) + files.statement
    yield lines.of_over(month, now)
    yield lines.of_open(month, figures)
    yield lines.of_held(month, statement, page, now)
    yield lines.of_equations(month, figures, check)
    yield lines.of_statement(statement, page)
    yield lines.of_check(month, check)
    yield lines.of_refunds(figures, page)
    yield lines.of_adjustments(statement, ledger.adjustments(statement, limit=LISTED), page)
    yield lines.of_closing(month, statement, page)
    if (files.fixed and files.fixed.usage_invoice) or ledger.wants_usage_invoice(statement.wallet):
        yield lines.of_usage_invoice(month, files.fixed)
    yield lines.of_seal(statement, seal)
    yield lines.of_sign_offs(figures)
