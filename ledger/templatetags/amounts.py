"""How amounts of money read on the pages: `{% load amounts %}`."""

from django import template

from ledger.invoices import amounts

register = template.Library()


@register.filter
def money(cents: int, currency: str) -> str:
    """Return an amount in minor units of a currency, such as `$5,000.00`."""
    return amounts.money(cents, currency)
