"""Amounts of money are whole minor units: written, read, and taxed without a float."""

import pytest

from ledger.invoices.amounts import decimal_text, money, parse_amount, tax_of
from ledger.invoices.faults import InvalidMoney


@pytest.mark.parametrize(
    ("cents", "currency", "read", "typed"),
    [
        (500_000, "USD", "$5,000.00", "5000.00"),
        (-350, "USD", "−$3.50", "-3.50"),
        (5, "EUR", "€0.05", "0.05"),
        (700, "JPY", "JPY 700", "700"),
        (123_456_789, "CNY", "CNY 1,234,567.89", "1234567.89"),
    ],
)
def test_an_amount_reads_as_its_currency_is_written(cents: int, currency: str, read: str, typed: str) -> None:
    assert money(cents, currency) == read
    assert decimal_text(cents, currency) == typed
    assert parse_amount(typed.removeprefix("-"), currency) == abs(cents)


@pytest.mark.parametrize("text", ["", "five", "1.234", "-5", "1e3", "٥", "1.2.3", "5000.", "9" * 16])
def test_what_is_no_amount_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidMoney, match=r"like 5000\.00"):
        parse_amount(text, "USD")


def test_a_currency_without_minor_units_has_no_point() -> None:
    with pytest.raises(InvalidMoney, match="like 5000"):
        parse_amount("7.50", "JPY")


@pytest.mark.parametrize(
    ("subtotal", "rate", "tax"), [(500_000, 1900, 95_000), (1, 5000, 1), (3, 1000, 0), (5, 1000, 1)]
)
def test_half_a_cent_of_tax_is_rounded_up(subtotal: int, rate: int, tax: int) -> None:
    assert tax_of(subtotal, rate) == tax
