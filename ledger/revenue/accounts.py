"""The accounts of the company's general ledger: what is booked for which purpose, and which account takes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.db import transaction

from customers.models import User
from customers.services import audit
from ledger.invoices.models import GeneralLedgerAccount
from ledger.services import refuse_unfit


class Purpose(StrEnum):
    """What an amount of the journal is booked for."""

    CASH = "cash"
    RECEIVABLES = "receivables"
    OUTSIDE = "paid_outside"
    BILLED = "billed"
    DEFERRED = "deferred"
    TAX = "tax"
    REFUNDS = "refunds"
    REVENUE = "revenue"
    WITHDRAWN = "withdrawn"
    ALLOWANCES = "allowances"


@dataclass(frozen=True)
class Account:
    """An account as the general ledger knows it."""

    code: str
    name: str

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


@dataclass(frozen=True)
class Use:
    """What is booked for a purpose, in words, and the account that takes it unless somebody says otherwise."""

    meaning: str
    usual: Account


USES: Mapping[Purpose, Use] = {
    Purpose.CASH: Use("Money that came for invoices, less what was given back.", Account("1000", "Cash")),
    Purpose.RECEIVABLES: Use("What customers owe on invoices.", Account("1200", "Receivables")),
    Purpose.OUTSIDE: Use(
        "The other side of credits that two people granted because they were paid outside of these invoices.",
        Account("1900", "Paid outside of invoices (clearing)"),
    ),
    Purpose.BILLED: Use(
        "Net amounts of invoices that were sent, until they are paid and their credits granted.",
        Account("2050", "Billed, not granted yet"),
    ),
    Purpose.DEFERRED: Use("What was paid for credits that are still there.", Account("2100", "Deferred revenue")),
    Purpose.TAX: Use("Tax on invoices, less that on credit notes.", Account("2200", "Tax payable")),
    Purpose.REFUNDS: Use("What credit notes promise to give back.", Account("2300", "Refunds payable")),
    Purpose.REVENUE: Use("What was paid for credits that were used.", Account("4000", "Revenue")),
    Purpose.WITHDRAWN: Use(
        "What was paid for credits that went out by an adjustment of two people.",
        Account("4100", "Income from withdrawn credits"),
    ),
    Purpose.ALLOWANCES: Use(
        "Net amounts of credit notes on paid invoices, less what was paid for the credits that they took back.",
        Account("4900", "Allowances"),
    ),
}


def accounts() -> dict[Purpose, Account]:
    """Return the account of each purpose."""
    mapped = {row.purpose: Account(row.code, row.name) for row in GeneralLedgerAccount.objects.all()}
    return {purpose: mapped.get(purpose.value, use.usual) for purpose, use in USES.items()}


@transaction.atomic
def map_accounts(*, wanted: Mapping[Purpose, Account], by: User) -> list[Purpose]:
    """Let these accounts take what is booked for their purposes; return those for which that changes something.

    Raises InvalidText.
    """
    before = accounts()
    changed = [purpose for purpose, account in wanted.items() if before[purpose] != account]
    for purpose in changed:
        account = wanted[purpose]
        refuse_unfit(GeneralLedgerAccount, code=account.code, name=account.name)
        GeneralLedgerAccount.objects.update_or_create(
            purpose=purpose.value, defaults={"code": account.code, "name": account.name}
        )
    if changed:
        detail = {purpose.value: {"from": str(before[purpose]), "to": str(wanted[purpose])} for purpose in changed}
        audit(actor=by.pk, action="gl_accounts.change", detail=detail)
    return changed
