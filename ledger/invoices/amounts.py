"""Amounts of money: whole minor units of a currency, how they are written, and the tax on them."""

import re

from ledger.invoices.faults import InvalidMoney
from ledger.invoices.models import CURRENCIES
from ledger.packages import MICROS

# What stands in front of an amount; other currencies are named by their code.
SIGNS = {"USD": "$", "EUR": "€", "GBP": "£"}
WRITTEN = re.compile(r"\d{1,15}(?:\.(\d{1,2}))?", re.ASCII)
# The whole: 100 %.
BASIS_POINTS = 10_000


def money(cents: int, currency: str) -> str:
    """Return an amount in minor units as it is read, such as `$5,000.00`, `−$3.50` or `JPY 700`."""
    digits = CURRENCIES[currency]
    whole, part = divmod(abs(cents), 10**digits)
    return f"{'−' if cents < 0 else ''}{_sign(currency)}{whole:,}{f'.{part:0{digits}}' if digits else ''}"


def unit_price(micros: int, currency: str) -> str:
    """Return what one credit costs, given in millionths of the currency, such as `$0.04902`."""
    whole, part = divmod(micros, MICROS)
    digits = f"{part:06}".rstrip("0").ljust(CURRENCIES[currency], "0")
    return f"{_sign(currency)}{whole:,}{f'.{digits}' if digits else ''}"


def decimal_text(cents: int, currency: str) -> str:
    """Return an amount for programs and for forms, such as `-3.50`: no sign of the currency, no thousands."""
    digits = CURRENCIES[currency]
    whole, part = divmod(abs(cents), 10**digits)
    return f"{'-' if cents < 0 else ''}{whole}{f'.{part:0{digits}}' if digits else ''}"


def parse_amount(text: str, currency: str) -> int:
    """Return what somebody wrote, such as `5,000.00`, in minor units. Raises InvalidMoney."""
    digits = CURRENCIES[currency]
    found = WRITTEN.fullmatch(text.strip().removeprefix(SIGNS.get(currency, "")).replace(",", ""))
    if found is None or len(found[1] or "") > digits:
        example = f"5000{f'.{0:0{digits}}' if digits else ''}"
        raise InvalidMoney(f"Write an amount of {currency} like {example}.")
    whole, _, part = found[0].partition(".")
    return int(whole + part.ljust(digits, "0"))


def tax_of(subtotal_cents: int, basis_points: int) -> int:
    """Return the tax on an amount at a rate in hundredths of a percent, half a cent and more rounded up."""
    return (2 * subtotal_cents * basis_points + BASIS_POINTS) // (2 * BASIS_POINTS)


def percent(basis_points: int) -> str:
    """Return a rate in hundredths of a percent as it is read, such as `8.25 %`."""
    whole, part = divmod(basis_points, 100)
    return f"{whole}{f'.{part:02}'.rstrip('0') if part else ''} %"


def _sign(currency: str) -> str:
    return SIGNS.get(currency) or f"{currency} "
