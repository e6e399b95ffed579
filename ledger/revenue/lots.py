"""Lots: which credits were used, what had been paid for them, and what is left. All derived, nothing is stored.

Each inflow of a live wallet (a grant, an adjustment in) is a lot, in the order of the entries. What is used is taken
from the first lots first. Months are those of UTC, in which they are closed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ledger.invoices.models import CURRENCIES
from ledger.models import Entry
from ledger.packages import MICROS


@dataclass(frozen=True)
class Flow:
    """Credits that came in or went out with an entry; `settled` is what had been used until then.

    `cents` is what was paid for them, net of tax, in minor units of `currency`; 0 for promotional ones. `about` is what
    an outflow is about, and `number` that of the invoice that was paid.
    """

    seq: int
    entry_id: str
    at: datetime
    kind: str
    credits: int
    settled: int
    reference: str
    reason: str = ""
    about: str = ""
    basis: str = ""
    number: str = ""
    cents: int = 0
    currency: str = ""

    @property
    def unit_micros(self) -> int:
        """Return what one of the credits cost, in millionths of the currency, half and more rounded up."""
        micros = self.cents * MICROS // 10 ** CURRENCIES[self.currency] if self.cents else 0
        return (2 * micros + self.credits) // (2 * self.credits)


@dataclass(frozen=True)
class Mark:
    """A wallet at the end of a month (empty: before the first month): its last entry, and what that left."""

    month: str
    through: int
    available: int
    reserved: int
    settled: int


@dataclass(frozen=True)
class Taken:
    """Credits of a lot that were used in a month, or went out with an entry (`by`); and their part of its price."""

    month: str
    credits: int
    cents: int
    by: Flow | None = None


@dataclass(frozen=True)
class Lot:
    """Credits that came in together, the month in which they did, and what was taken of them since."""

    flow: Flow
    month: str
    taken: tuple[Taken, ...]

    @property
    def paid(self) -> bool:
        """Say whether something was paid for it; else it is promotional."""
        return self.flow.cents != 0

    @property
    def currency(self) -> str:
        """Return the currency that it was paid in; empty for a promotional one."""
        return self.flow.currency if self.paid else ""

    def used(self, month: str | None = None) -> "Part":
        """Return what was used of it, in one month or in all."""
        return _sum(each for each in self.taken if each.by is None and month in (None, each.month))

    def withdrawn(self, month: str | None = None) -> "Part":
        """Return what went out of it, in one month or in all."""
        return _sum(each for each in self.taken if each.by is not None and month in (None, each.month))

    @property
    def remaining(self) -> "Part":
        """Return what is left of it."""
        return self.left_after(self.taken)

    def left_after(self, taken: Iterable[Taken]) -> "Part":
        """Return what some of what was taken left: read from the other end of its price, not by taking away."""
        gone = sum(each.credits for each in taken)
        return Part(self.flow.credits - gone, value(self.flow, gone, self.flow.credits))


@dataclass(frozen=True)
class Part:
    """Some credits of a lot, and their part of its price."""

    credits: int = 0
    cents: int = 0

    def __add__(self, other: "Part") -> "Part":
        return Part(self.credits + other.credits, self.cents + other.cents)

    def __sub__(self, other: "Part") -> "Part":
        return Part(self.credits - other.credits, self.cents - other.cents)


NOTHING = Part()


@dataclass(frozen=True)
class Attribution:
    """The lots of a wallet, and how many credits were taken that no lot has: none, in right books."""

    lots: tuple[Lot, ...]
    missing: int


def attribute(flows: Iterable[Flow], marks: Sequence[Mark]) -> Attribution:
    """Attribute what was used and what went out, first in first out; both arguments by the order of their entries.

    What goes out is taken first from the lot that it is about: credits that a credit note takes back are those of the
    invoice that it corrects.
    """
    books, ahead = _Books(), list(reversed(marks))
    for flow in flows:
        while ahead and ahead[-1].through < flow.seq:
            mark = ahead.pop()
            books.use(mark.settled, mark.month)
        month = ahead[-1].month if ahead else ""
        books.use(flow.settled, month)
        if flow.kind == Entry.Kind.ADJUSTMENT_OUT:
            books.withdraw(flow, month)
        else:
            books.bring(flow, month)
    for mark in reversed(ahead):
        books.use(mark.settled, mark.month)
    return Attribution(books.lots(), books.missing)


def value(flow: Flow, start: int, end: int) -> int:
    """Return the price of the credits of a lot from one position to another, such that parts add up to the whole."""
    return _price_until(flow, end) - _price_until(flow, start)


class _Books:
    """The lots of a wallet while its entries are gone through."""

    def __init__(self) -> None:
        self.missing = 0
        self._used = 0
        self._flows: list[tuple[Flow, str]] = []
        self._taken: list[list[Taken]] = []
        self._gone: list[int] = []
        # Lots before this one are empty.
        self._first = 0

    def bring(self, flow: Flow, month: str) -> None:
        self._flows.append((flow, month))
        self._taken.append([])
        self._gone.append(0)

    def use(self, settled: int, month: str) -> None:
        """Take what was used since, first in first out."""
        self._take_in_order(settled - self._used, month, None)
        self._used = settled

    def withdraw(self, flow: Flow, month: str) -> None:
        """Take what goes out from the lot that it is about, then first in first out."""
        left = flow.credits
        for number, (lot, _) in enumerate(self._flows):
            if flow.about and lot.reference == flow.about:
                left -= self._take(number, left, month, flow)
        self._take_in_order(left, month, flow)

    def lots(self) -> tuple[Lot, ...]:
        return tuple(Lot(*flow, tuple(taken)) for flow, taken in zip(self._flows, self._taken, strict=True))

    def _take_in_order(self, credits: int, month: str, by: Flow | None) -> None:
        while credits and self._first < len(self._flows):
            credits -= self._take(self._first, credits, month, by)
            if credits:
                self._first += 1
        self.missing += credits

    def _take(self, number: int, most: int, month: str, by: Flow | None) -> int:
        flow, gone = self._flows[number][0], self._gone[number]
        credits = min(most, flow.credits - gone)
        if credits:
            self._taken[number].append(Taken(month, credits, value(flow, gone, gone + credits), by))
            self._gone[number] = gone + credits
        return credits


def _price_until(flow: Flow, position: int) -> int:
    """Return the price of the first credits of a lot, half a minor unit and more rounded up."""
    return (2 * position * flow.cents + flow.credits) // (2 * flow.credits)


def _sum(parts: Iterable[Taken]) -> Part:
    return sum((Part(each.credits, each.cents) for each in parts), NOTHING)
