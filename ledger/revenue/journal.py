"""The double-entry journal of some months: invoices, payments, and what became of the credits that were paid for.

Each entry adds up to nothing: a debit is positive, a credit negative, in minor units of the entry's currency. Entries
are dated by when we recorded what they say, so that nothing comes into a month that is over.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.intervals import Month, month_at
from ledger.revenue.accounts import Purpose
from ledger.revenue.billing import Event, Happened, Key, Standing, events_between, standings_at
from ledger.revenue.lots import Lot, Part, Taken
from ledger.revenue.wallet_lots import WalletLots, lots_of

# Accounts of the journal alone, so that what is on them is known: by invoices and lots, and not only by the entries.
OWN = (Purpose.RECEIVABLES, Purpose.BILLED, Purpose.DEFERRED, Purpose.REFUNDS)


@dataclass(frozen=True)
class Line:
    """An amount that an entry books on the account of a purpose."""

    purpose: Purpose
    cents: int


@dataclass(frozen=True)
class Booking:
    """One entry of the journal. `kind` says what happened, `document` is the id of what stands behind it."""

    at: datetime
    kind: str
    key: Key
    document: str
    memo: str
    lines: tuple[Line, ...]

    @property
    def difference(self) -> int:
        """Return by how much debits and credits differ."""
        return sum(line.cents for line in self.lines)

    @property
    def month(self) -> str:
        """Return the month that it belongs to."""
        return month_at(self.at).month

    def on(self, purpose: Purpose) -> int:
        """Return what it books for a purpose."""
        return sum(line.cents for line in self.lines if line.purpose == purpose)


@dataclass(frozen=True)
class Sum:
    """All debits and all credits of one account in one currency."""

    purpose: Purpose
    currency: str
    debits: int
    credits: int


Balances = Mapping[tuple[Purpose, Key], int]


@dataclass(frozen=True)
class Journal:
    """Consecutive months of the journal, and what was on its own accounts before the first and after the last."""

    months: tuple[Month, ...]
    bookings: tuple[Booking, ...]
    opening: Balances
    closing: Balances
    wallets: tuple[WalletLots, ...]


def journal_of(months: Sequence[Month]) -> Journal:
    """Return the journal of consecutive months. A constant number of queries; see them at one moment to compare."""
    wallets = lots_of(months=months)
    events = events_between(months[0].starts_at, months[-1].ends_at)
    before, after = standings_at([months[0].starts_at, months[-1].ends_at])
    bookings = [*map(_of_event, events), *_of_lots(months, wallets)]
    return Journal(
        months=tuple(months),
        bookings=tuple(sorted(bookings, key=lambda each: (each.at, each.kind, each.document, each.key))),
        opening=_balances(before, _deferred(wallets, at_start=True)),
        closing=_balances(after, _deferred(wallets, at_start=False)),
        wallets=tuple(wallets),
    )


def faults_of(journal: Journal) -> list[str]:
    """Say which entries do not balance, and which accounts do not end with what invoices and lots say."""
    moved = defaultdict(int, journal.opening)
    faults = []
    for booking in journal.bookings:
        if booking.difference:
            faults.append(f"Debits and credits of {booking.kind} {booking.document} differ by {booking.difference:,}.")
        for purpose in OWN:
            moved[purpose, booking.key] += booking.on(purpose)
    for purpose, key in sorted(moved.keys() | journal.closing.keys()):
        difference = moved[purpose, key] - journal.closing.get((purpose, key), 0)
        if difference:
            faults.append(
                f"The entries of {purpose.value} of {key.organization_id} differ from what is there by "
                f"{difference:,} minor units of {key.currency}."
            )
    return faults


def trial_balance(journal: Journal) -> list[Sum]:
    """Return what the entries book on each account in each currency."""
    found: dict[tuple[str, Purpose], list[int]] = defaultdict(lambda: [0, 0])
    for booking in journal.bookings:
        for line in booking.lines:
            found[booking.key.currency, line.purpose][line.cents < 0] += abs(line.cents)
    order = list(Purpose)
    places = sorted(found, key=lambda place: (place[0], order.index(place[1])))
    return [Sum(purpose, currency, *found[currency, purpose]) for currency, purpose in places]


def _of_event(event: Event) -> Booking:
    lines, memo = _LINES[event.happened](event), _MEMOS[event.happened].format(event=event)
    return Booking(event.at, event.happened.value, event.key, event.document, memo, lines)


def _sent(event: Event) -> tuple[Line, ...]:
    return _lines((Purpose.RECEIVABLES, event.net + event.tax), (Purpose.BILLED, -event.net), (Purpose.TAX, -event.tax))


def _taken_back(event: Event) -> tuple[Line, ...]:
    """Reverse an invoice, or the part of it that a credit note takes off while it is owed."""
    return _lines((Purpose.BILLED, event.net), (Purpose.TAX, event.tax), (Purpose.RECEIVABLES, -event.net - event.tax))


def _paid(event: Event) -> tuple[Line, ...]:
    return _lines((Purpose.CASH, event.net), (Purpose.RECEIVABLES, -event.net))


def _credited(event: Event) -> tuple[Line, ...]:
    return _lines((Purpose.ALLOWANCES, event.net), (Purpose.TAX, event.tax), (Purpose.REFUNDS, -event.net - event.tax))


def _repaid(event: Event) -> tuple[Line, ...]:
    return _lines((Purpose.REFUNDS, event.net), (Purpose.CASH, -event.net))


_LINES = {
    Happened.SENT: _sent,
    Happened.VOIDED: _taken_back,
    Happened.APPLIED: _taken_back,
    Happened.PAID: _paid,
    Happened.CREDITED: _credited,
    Happened.REPAID: _repaid,
}
_MEMOS = {
    Happened.SENT: "Invoice {event.number} to {event.buyer}",
    Happened.VOIDED: "Invoice {event.number} is void",
    Happened.APPLIED: "Credit note {event.number} lowers what is owed",
    Happened.PAID: "Invoice {event.number}: {event.reference}, received {event.day}",
    Happened.CREDITED: "Credit note {event.number} on a paid invoice",
    Happened.REPAID: "Credit note {event.number}: {event.reference}, given back {event.day}",
}


def _lines(*amounts: tuple[Purpose, int]) -> tuple[Line, ...]:
    return tuple(Line(purpose, cents) for purpose, cents in amounts if cents)


def _of_lots(months: Sequence[Month], wallets: Iterable[WalletLots]) -> Iterator[Booking]:
    """Yield what became of paid credits: granted, used (by customer and month), and gone out."""
    # Within the month, and after all else in it.
    ends = {month.month: month.ends_at - timedelta(microseconds=1) for month in months}
    for wallet in wallets:
        used: dict[tuple[str, Key], Part] = defaultdict(Part)
        for lot in wallet.lots:
            if not lot.paid:
                continue
            key = Key(wallet.organization_id, lot.currency)
            if lot.month:
                yield _granted(lot, key)
            for taken in lot.taken:
                if taken.month and taken.by:
                    yield from _gone(taken, key)
                elif taken.month:
                    used[taken.month, key] += Part(taken.credits, taken.cents)
        for (month, key), part in used.items():
            yield from _used(ends[month], key, month, part)


def _granted(lot: Lot, key: Key) -> Booking:
    flow = lot.flow
    source, said = (Purpose.BILLED, f"invoice {flow.number}") if flow.number else (Purpose.OUTSIDE, flow.reference)
    lines = _lines((source, flow.cents), (Purpose.DEFERRED, -flow.cents))
    return Booking(flow.at, "grant", key, flow.reference, f"{flow.credits} credits granted: {said}", lines)


def _gone(taken: Taken, key: Key) -> Iterator[Booking]:
    """Credits that a credit note takes back lower what it allows; others that go out leave what was paid for them."""
    flow = taken.by
    if flow is None or not taken.cents:
        return
    by_note = flow.basis == "invoice"
    target = Purpose.ALLOWANCES if by_note else Purpose.WITHDRAWN
    lines = _lines((Purpose.DEFERRED, taken.cents), (target, -taken.cents))
    memo = f"{taken.credits} credits {'taken back by a credit note' if by_note else 'withdrawn'}"
    yield Booking(flow.at, "withdrawal", key, flow.reference, memo, lines)


def _used(at: datetime, key: Key, month: str, part: Part) -> Iterator[Booking]:
    if part.cents:
        lines = _lines((Purpose.DEFERRED, part.cents), (Purpose.REVENUE, -part.cents))
        yield Booking(at, "use", key, f"{key.organization_id}/{month}", f"{part.credits} credits used", lines)


def _deferred(wallets: Iterable[WalletLots], *, at_start: bool) -> dict[Key, int]:
    """Return what was paid for credits that were still there, at the first mark or the last one."""
    found: dict[Key, int] = defaultdict(int)
    for wallet in wallets:
        for lot in wallet.lots:
            if lot.paid:
                left = _left_at_start(lot) if at_start else lot.remaining
                found[Key(wallet.organization_id, lot.currency)] += left.cents
    return found


def _left_at_start(lot: Lot) -> Part:
    return Part() if lot.month else lot.left_after(taken for taken in lot.taken if not taken.month)


def _balances(standings: Mapping[Key, Standing], deferred: Mapping[Key, int]) -> Balances:
    found: dict[tuple[Purpose, Key], int] = {}
    for key, standing in standings.items():
        found[Purpose.RECEIVABLES, key] = standing.receivables
        found[Purpose.BILLED, key] = -standing.billed
        found[Purpose.REFUNDS, key] = -standing.refunds
    for key, cents in deferred.items():
        found[Purpose.DEFERRED, key] = -cents
    return {place: cents for place, cents in found.items() if cents}
