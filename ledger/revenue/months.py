"""Deferred and recognized revenue by month (of UTC), customer and currency, and whether it equals the ledger.

deferred at the start + granted − recognized − withdrawn = deferred at the end
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import add

from ledger.intervals import Month
from ledger.invoices.amounts import money
from ledger.reconciliation import at_one_moment
from ledger.revenue import journal as journals
from ledger.revenue.accounts import Purpose
from ledger.revenue.billing import Happened, Key, Paid, paid_before
from ledger.revenue.journal import Booking, Journal, journal_of
from ledger.revenue.lots import NOTHING, Lot, Part
from ledger.revenue.wallet_lots import WalletLots


@dataclass(frozen=True)
class Roll:
    """Credits and what was paid for them, over a month; each figure is read by itself."""

    opening: Part = NOTHING
    granted: Part = NOTHING
    recognized: Part = NOTHING
    withdrawn: Part = NOTHING
    closing: Part = NOTHING

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return its figures in the order in which they are read: opening, movements, closing."""
        return self.opening, self.granted, self.recognized, self.withdrawn, self.closing

    @property
    def difference(self) -> Part:
        """Return by how much the end differs from what the start and the movements say: by nothing, in right books."""
        return self.opening + self.granted - self.recognized - self.withdrawn - self.closing

    def __add__(self, other: "Roll") -> "Roll":
        return Roll(*map(add, self.parts, other.parts))


@dataclass(frozen=True)
class Billed:
    """What happened to invoices in a month, net of tax but for `received` and `repaid`, which are money that moved.

    `lowered` is what credit notes took off invoices that were owed, and what was left of voided ones; `allowed` is what
    credit notes on paid invoices give back, less what was paid for the credits that they took back.
    """

    sent: int = 0
    lowered: int = 0
    tax: int = 0
    received: int = 0
    allowed: int = 0
    repaid: int = 0

    def __add__(self, other: "Billed") -> "Billed":
        return Billed(*map(add, vars(self).values(), vars(other).values()))


@dataclass(frozen=True)
class MonthRevenue:
    """A month: what it did to what was deferred, by customer and currency (empty: promotional), and its invoices."""

    month: Month
    rolls: Mapping[Key, Roll]
    billed: Mapping[Key, Billed]
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Revenue:
    """Consecutive months, oldest first, and what does not add up over all of them."""

    months: tuple[MonthRevenue, ...]
    faults: tuple[str, ...]
    journal: Journal


def revenue_of(months: Sequence[Month]) -> Revenue:
    """Return the revenue of consecutive months, oldest first, all seen at one moment. Six queries at most."""
    with at_one_moment():
        journal = journal_of(months)
        paid = paid_before(months[-1].ends_at)
    rolls = {month.month: _rolls(journal.wallets, month.month, _before(months, month)) for month in months}
    billed = _billed(journal.bookings)
    found = tuple(
        MonthRevenue(
            month=month,
            rolls=rolls[month.month],
            billed=billed.get(month.month, {}),
            faults=tuple(_faults_of_month(journal.wallets, month.month, rolls[month.month])),
        )
        for month in months
    )
    return Revenue(found, (*_faults_of_lots(journal.wallets, paid), *journals.faults_of(journal)), journal)


def faults_of(month: Month) -> list[str]:
    """Say what of a month's revenue does not equal the ledger, the invoices or the journal. In right books: nothing."""
    found = revenue_of([month])
    return [*found.faults, *(fault for each in found.months for fault in each.faults)]


def _before(months: Sequence[Month], month: Month) -> set[str]:
    """Return the names under which all that came before a month is found."""
    return {"", *(each.month for each in months if each.ends_at <= month.starts_at)}


def _rolls(wallets: Iterable[WalletLots], month: str, before: set[str]) -> dict[Key, Roll]:
    found: dict[Key, Roll] = defaultdict(Roll)
    for wallet in wallets:
        for lot in wallet.lots:
            roll = _roll(lot, month, before)
            if roll != Roll():
                found[Key(wallet.organization_id, lot.currency)] += roll
    return found


def _roll(lot: Lot, month: str, before: set[str]) -> Roll:
    if lot.month not in before and lot.month != month:
        return Roll()
    earlier = [taken for taken in lot.taken if taken.month in before]
    during = [taken for taken in lot.taken if taken.month == month]
    whole = Part(lot.flow.credits, lot.flow.cents)
    return Roll(
        opening=lot.left_after(earlier) if lot.month in before else NOTHING,
        granted=whole if lot.month == month else NOTHING,
        recognized=lot.used(month),
        withdrawn=lot.withdrawn(month),
        closing=lot.left_after([*earlier, *during]),
    )


def _billed(bookings: Iterable[Booking]) -> dict[str, dict[Key, Billed]]:
    found: dict[str, dict[Key, Billed]] = defaultdict(lambda: defaultdict(Billed))
    for booking in bookings:
        part = _billed_by(booking)
        if part != Billed():
            found[booking.month][booking.key] += part
    return found


def _billed_by(booking: Booking) -> Billed:
    billed, cash = booking.on(Purpose.BILLED), booking.on(Purpose.CASH)
    lowers = booking.kind in (Happened.VOIDED, Happened.APPLIED)
    return Billed(
        sent=-billed if booking.kind == Happened.SENT else 0,
        lowered=billed if lowers else 0,
        tax=-booking.on(Purpose.TAX),
        received=cash if booking.kind == Happened.PAID else 0,
        allowed=booking.on(Purpose.ALLOWANCES),
        repaid=-cash if booking.kind == Happened.REPAID else 0,
    )


def _faults_of_month(wallets: Iterable[WalletLots], month: str, rolls: Mapping[Key, Roll]) -> Iterator[str]:
    for key, roll in rolls.items():
        if roll.difference != NOTHING:
            by = f"{roll.difference.credits:,} credits and {roll.difference.cents:,} minor units"
            yield f"{key.organization_id}: its lots do not add up over {month}, by {by}."
    for wallet in wallets:
        yield from faults_at(wallet, month)


def faults_at(wallet: WalletLots, month: str) -> Iterator[str]:
    """Compare a wallet's lots at the end of a month with what the ledger says that it then held."""
    names = [mark.month for mark in wallet.marks]
    if month not in names:
        return
    place = names.index(month)
    mark, within = wallet.marks[place], {"", *names[: place + 1]}
    taken = [taken for lot in wallet.lots for taken in lot.taken if taken.month in within]
    used = sum(each.credits for each in taken if each.by is None)
    came = sum(lot.flow.credits for lot in wallet.lots if lot.month in within)
    left, there = came - sum(each.credits for each in taken), mark.available + mark.reserved
    if used != mark.settled:
        yield f"{wallet.wallet_id}: its lots say that {used:,} credits were used, the ledger {mark.settled:,}."
    if left != there:
        yield f"{wallet.wallet_id}: its lots have {left:,} credits left, the ledger {there:,}."


def _faults_of_lots(wallets: Iterable[WalletLots], paid: Mapping[str, Paid]) -> Iterator[str]:
    """Compare the lots with what was taken of them, and the prices of those of invoices with the invoices."""
    prices: dict[str, int] = defaultdict(int)
    for wallet in wallets:
        if wallet.missing:
            yield f"{wallet.wallet_id}: {wallet.missing:,} credits were taken that never came in."
        for lot in wallet.lots:
            if lot.flow.number:
                prices[lot.flow.currency] += lot.flow.cents
    for currency in sorted(prices.keys() | paid.keys()):
        billed = paid.get(currency, Paid(0, ()))
        if prices[currency] != billed.cents:
            lots, invoices = money(prices[currency], currency), money(billed.cents, currency)
            yield f"The credits of paid invoices cost {lots} by their lots, and {invoices} by the invoices."
        for number in billed.without_credits:
            yield f"Invoice {number} is paid, and its credits were not granted."
