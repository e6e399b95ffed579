"""How amounts of money read on the pages: `{% load amounts %}`."""

from django import template

from ledger.invoices import amounts

register = template.Library()


@register.filter
def money(cents: int, currency: str) -> str:
    """Return an amount in minor units of a currency, such as `$5,000.00`."""
    return amounts.money(cents, currency)


@register.filter
def percent(basis_points: int) -> str:
    """Return a rate in hundredths of a percent, such as `19 %` or `8.25 %`."""
    return amounts.percent(basis_points)
