"""The fields of forms about money: an amount, and a rate of tax."""

import re
from typing import Any

from django import forms

from ledger.invoices.amounts import BASIS_POINTS, decimal_text, parse_amount
from ledger.invoices.faults import InvalidMoney
from ledger.invoices.models import CENTS_MOST
from sora2.forms import text_input

RATE = re.compile(r"(\d{1,3})(?:\.(\d{1,2}))?", re.ASCII)


class AmountField(forms.CharField):
    """An amount of money of a currency; its value is in minor units."""

    def __init__(self, *, currency: str, **more: Any) -> None:
        self.currency = currency
        super().__init__(label=f"Amount, {currency}", widget=text_input(inputmode="decimal"), **more)

    def clean(self, value: Any) -> int:
        """Return the amount."""
        try:
            cents = parse_amount(super().clean(value), self.currency)
        except InvalidMoney as error:
            raise forms.ValidationError(str(error), code="invalid") from error
        if not 0 < cents <= CENTS_MOST:
            most = decimal_text(CENTS_MOST, self.currency)
            raise forms.ValidationError(f"More than nothing, and at most {most}.", code="invalid")
        return cents

    def prepare_value(self, value: Any) -> Any:
        """Return an amount as it is written here."""
        return decimal_text(value, self.currency) if isinstance(value, int) else value


class RateField(forms.CharField):
    """A rate in percent with up to two digits behind the point; its value is in hundredths of a percent."""

    default_error_messages = {"invalid": "Write a rate from 0 to 100 with up to two digits, such as 19 or 8.25."}

    def clean(self, value: Any) -> int:
        """Return the rate; nothing is 0."""
        text = str(super().clean(value) or "0").removesuffix("%").strip()
        found = RATE.fullmatch(text)
        rate = int(found[1] + (found[2] or "").ljust(2, "0")) if found else BASIS_POINTS + 1
        if rate > BASIS_POINTS:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return rate

    def prepare_value(self, value: Any) -> Any:
        """Return a rate as it is written here."""
        return f"{value // 100}.{value % 100:02}" if isinstance(value, int) else value
