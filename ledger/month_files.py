"""What a customer files of a closed month, fixed by its hashes: made once, and compared when it is made again."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Sum

from customers.models import User
from ledger.exports.formats import CSV
from ledger.exports.selection import Selection
from ledger.intervals import Month, month_of
from ledger.invoices.usage import make_usage_invoices
from ledger.models import Invoice, InvoiceLine, MonthFile, Period, Wallet
from ledger.papers.statement import statement_paper
from ledger.services import LedgerError
from ledger.statements import Statement, faults_of, statement_of

# Whoever made the same at the same moment was first.
MADE_BEFORE = ("ledger_monthfile_once", "ledger_invoice_usage_once")


class NotFixed(LedgerError):
    """What would be fixed is not right."""

    code = "not_fixed"


@dataclass(frozen=True)
class Files:
    """A customer's files of a month: how many entries there are, and the hashes of the statement and of the CSV."""

    statement: Statement
    entries: int
    statement_sha256: str
    ledger_csv_sha256: str


def make(*, wallet: Wallet, month: Month, now: datetime) -> Files:
    """Make the files of a closed month, and keep nothing. The wallet's organization must be loaded.

    Takes some tenths of a second for the paper, and time by the number of entries for the CSV, which is not held in
    memory. To be called outside of any transaction. Raises NotFixed for a statement that does not add up, and
    PaperUnavailable.
    """
    statement = statement_of(wallet=wallet, interval=month)
    faults = faults_of(statement)
    if faults:
        raise NotFixed(f"The statement does not add up. {' '.join(faults)}")
    entries = Selection(wallet=wallet, created_after=month.starts_at, created_before=month.ends_at).fixed()
    return Files(
        statement=statement,
        entries=statement.count,
        statement_sha256=_sha256([statement_paper(statement, now=now).body]),
        ledger_csv_sha256=_sha256(CSV.blocks(entries)),
    )


def fix(*, period: Period, wallet: Wallet, by: User, now: datetime) -> MonthFile | None:
    """Fix what a customer files of a closed month, with the usage invoice where one is wanted: all, or nothing.

    Returns None if another process has done so meanwhile. Raises NotFixed, PaperUnavailable and InvoiceError.
    """
    month = month_of(period.month)
    files = make(wallet=wallet, month=month, now=now)
    try:
        with transaction.atomic():
            invoices = make_usage_invoices(wallet=wallet, month=month, by=by, now=now)
            return MonthFile.objects.create(
                period=period,
                wallet=wallet,
                entries=files.entries,
                statement_sha256=files.statement_sha256,
                ledger_csv_sha256=files.ledger_csv_sha256,
                usage_invoice=invoices[0] if invoices else None,
                made_at=now,
            )
    except IntegrityError as error:
        diagnosis = getattr(error.__cause__, "diag", None)
        if getattr(diagnosis, "constraint_name", None) in MADE_BEFORE:
            return None
        raise


def differences(file: MonthFile, *, now: datetime) -> list[str]:
    """Make what was fixed again, and say what differs. In right books: nothing.

    Raises NotFixed and PaperUnavailable.
    """
    files = make(wallet=file.wallet, month=month_of(file.period_id), now=now)
    found = []
    if (files.entries, files.ledger_csv_sha256) != (file.entries, file.ledger_csv_sha256):
        found.append("The ledger CSV is another one than was fixed: an entry of the month was changed.")
        if files.statement_sha256 != file.statement_sha256:
            found.append("So is the statement.")
    elif files.statement_sha256 != file.statement_sha256:
        found.append(
            "The statement looks different than when it was fixed, over the same entries: the customer's name or the "
            "paper's form has changed since."
        )
    if file.usage_invoice_id and (said := _invoiced(file)) != files.statement.effect.settled:
        found.append(f"The usage invoice says {said:,} credits, the ledger {files.statement.effect.settled:,}.")
    return found


def _invoiced(file: MonthFile) -> int:
    """Return the credits on the month's usage invoices, one for each currency."""
    lines = InvoiceLine.objects.filter(
        invoice__organization=file.wallet.organization_id,
        invoice__kind=Invoice.Kind.USAGE,
        invoice__month=file.period_id,
        invoice__state=Invoice.State.PAID,
    )
    return int(lines.aggregate(credits=Sum("credits", default=0))["credits"])


def _sha256(blocks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()
