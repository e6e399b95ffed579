"""The journal of a month as files: CSV for any general ledger, and Beancount, which checks itself.

The same bytes each time for a closed month, as long as its accounts are called the same.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime

from ledger.exports.beancount import quoted
from ledger.exports.csv_copy import guarded_text
from ledger.invoices.amounts import decimal_text
from ledger.revenue.accounts import Account, Purpose
from ledger.revenue.billing import Key
from ledger.revenue.journal import OWN, Booking, Journal

COLUMNS = (
    *("entry", "date", "kind", "account_code", "account_name", "debit", "credit", "currency"),
    *("customer_id", "document", "memo"),
)
# What the accounts are called in Beancount, which has five kinds of them. Those that are the journal's alone are kept
# by customer.
NAMES: Mapping[Purpose, str] = {
    Purpose.CASH: "Assets:Cash",
    Purpose.RECEIVABLES: "Assets:Receivables",
    Purpose.OUTSIDE: "Assets:Paid-Outside-Of-Invoices",
    Purpose.BILLED: "Liabilities:Billed-Not-Granted",
    Purpose.DEFERRED: "Liabilities:Deferred-Revenue",
    Purpose.TAX: "Liabilities:Tax-Payable",
    Purpose.REFUNDS: "Liabilities:Refunds-Payable",
    Purpose.REVENUE: "Income:Revenue",
    Purpose.WITHDRAWN: "Income:Withdrawn-Credits",
    Purpose.ALLOWANCES: "Income:Allowances",
}
OPENING = "Equity:Opening-Balances"


def csv_of(journal: Journal, accounts: Mapping[Purpose, Account]) -> bytes:
    """Return the journal's entries, one row for each line of them, in RFC 4180."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for number, booking in _numbered(journal):
        for line in booking.lines:
            account, key = accounts[line.purpose], booking.key
            amount = decimal_text(abs(line.cents), key.currency)
            sides = (amount, "") if line.cents > 0 else ("", amount)
            named = (guarded_text(account.code), guarded_text(account.name))
            about = (key.organization_id, guarded_text(booking.document), guarded_text(booking.memo))
            writer.writerow((number, _day(booking.at), booking.kind, *named, *sides, key.currency, *about))
    return text.getvalue().encode()


def beancount_of(journal: Journal, accounts: Mapping[Purpose, Account]) -> bytes:
    """Return the journal for Beancount.

    What was owed, billed and deferred before is brought in by one transaction, and asserted after the last one as
    invoices and lots say it: without any one of the entries, `bean-check` fails.
    """
    return "\n".join(_directives(journal, accounts)).encode()


def _directives(journal: Journal, accounts: Mapping[Purpose, Account]) -> Iterator[str]:
    start, end = _day(journal.months[0].starts_at), _day(journal.months[-1].ends_at)
    places = sorted({_place(line.purpose, each.key) for each in journal.bookings for line in each.lines})
    known = sorted({*journal.opening, *journal.closing, *(place for place in places if place[0] in OWN)})
    yield f'option "title" {quoted(f"Journal of {journal.months[0].month}")}'
    for currency in sorted({key.currency for _, key in [*known, *places] if key.currency}):
        yield f'option "operating_currency" "{currency}"'
    yield ""
    names = {_name(*place): place[0] for place in [*known, *places]}
    for name in sorted(names):
        account = accounts[names[name]]
        yield f"{start} open {name}\n  code: {quoted(account.code)}\n  name: {quoted(account.name)}"
    if journal.opening:
        yield f"{start} open {OPENING}\n"
        yield from _opening(start, journal.opening)
    for number, booking in _numbered(journal):
        yield _transaction(number, booking)
    for purpose, key in known:
        amount = decimal_text(journal.closing.get((purpose, key), 0), key.currency)
        # To the cent: Beancount would let one of them pass.
        yield f"{end} balance {_name(purpose, key)}  {amount} ~ 0 {key.currency}"
    yield ""


def _opening(start: date, opening: Mapping[tuple[Purpose, Key], int]) -> Iterator[str]:
    yield f'{start} * "What there was before"'
    totals: dict[str, int] = {}
    for (purpose, key), cents in sorted(opening.items()):
        yield _posting(_name(purpose, key), cents, key.currency)
        totals[key.currency] = totals.get(key.currency, 0) - cents
    for currency, cents in sorted(totals.items()):
        yield _posting(OPENING, cents, currency)
    yield ""


def _transaction(number: str, booking: Booking) -> str:
    lines = (_posting(_name(line.purpose, booking.key), line.cents, booking.key.currency) for line in booking.lines)
    return "\n".join(
        [
            f"{_day(booking.at)} * {quoted(booking.memo)}",
            f"  entry: {quoted(number)}",
            f"  kind: {quoted(booking.kind)}",
            f"  document: {quoted(booking.document)}",
            *lines,
            "",
        ]
    )


def _posting(name: str, cents: int, currency: str) -> str:
    return f"  {name}  {decimal_text(cents, currency)} {currency}"


def _place(purpose: Purpose, key: Key) -> tuple[Purpose, Key]:
    """Return where an amount is kept: of the accounts that others book on too, there is one for all customers."""
    return purpose, key if purpose in OWN else Key("", key.currency)


def _name(purpose: Purpose, key: Key) -> str:
    if purpose not in OWN:
        return NAMES[purpose]
    return f"{NAMES[purpose]}:{key.organization_id.replace('_', '-').capitalize()}"


def _numbered(journal: Journal) -> Iterable[tuple[str, Booking]]:
    """Return the entries with numbers that begin anew in each month."""
    counts: dict[str, int] = {}
    for booking in journal.bookings:
        counts[booking.month] = counts.get(booking.month, 0) + 1
        yield f"{booking.month}-{counts[booking.month]:05}", booking


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()
