"""The form of the general ledger's accounts."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.forms import BoundField

from ledger.invoices.models import GeneralLedgerAccount
from ledger.revenue.accounts import USES, Account, Purpose, Use, accounts
from sora2.forms import OneLine, PlainForm, text_input

CODE_LENGTH = GeneralLedgerAccount._meta.get_field("code").max_length
NAME_LENGTH = GeneralLedgerAccount._meta.get_field("name").max_length


class AccountsForm(PlainForm):
    """Which account takes what is booked for which purpose."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        for purpose, account in accounts().items():
            meaning = USES[purpose].meaning
            self.fields[f"{purpose}_code"] = _field(f"Code: {meaning}", account.code, CODE_LENGTH)
            self.fields[f"{purpose}_name"] = _field(f"Name: {meaning}", account.name, NAME_LENGTH)

    @property
    def rows(self) -> Iterator[tuple[Use, BoundField, BoundField]]:
        """Yield each purpose with its fields."""
        for purpose, use in USES.items():
            yield use, self[f"{purpose}_code"], self[f"{purpose}_name"]

    def wanted(self) -> dict[Purpose, Account]:
        """Return the accounts as they were written."""
        given = self.cleaned_data
        return {purpose: Account(given[f"{purpose}_code"], given[f"{purpose}_name"]) for purpose in Purpose}


def _field(label: str, initial: str, longest: int | None) -> forms.CharField:
    return OneLine(label=label, initial=initial, max_length=longest, widget=text_input())
