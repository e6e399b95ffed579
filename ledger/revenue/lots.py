"""Lots: which credits were used, what had been paid for them, and what is left. All derived, nothing is stored.

Each inflow of a live wallet (a grant, an adjustment in) is a lot, in the order of the entries. What is used is taken
from the first lots first. Months are those of UTC, in which they are closed.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from ledger.intervals import Month
from ledger.models import Entry, Wallet

# The last entry before each instant, of the wallets that have one: of each some look-ups in credit_ledger_seq_once.
MARKS = """
    SELECT w.id, w.organization_id, i.number - 1, b.through, e.available_after, e.reserved_after, e.settled_after
    FROM ledger_wallet w
    CROSS JOIN unnest(%(instants)s::timestamptz[]) WITH ORDINALITY AS i (at, number)
    CROSS JOIN LATERAL (SELECT ledger_seq_before(w.id, i.at) AS through OFFSET 0) b
    CROSS JOIN LATERAL (
        SELECT available_after, reserved_after, settled_after
        FROM credit_ledger WHERE wallet_id = w.id AND seq = b.through
        OFFSET 0
    ) e
    WHERE w.mode = 'live' AND w.last_seq > 0 AND (%(wallets)s::text[] IS NULL OR w.id = ANY (%(wallets)s::text[]))
    ORDER BY w.id, i.number
"""

# What came in and went out, of each wallet up to an entry, and what was paid. Served by credit_ledger_by_kind,
# ledger_creditrequest_reference_once and the keys of invoices. What lowers an invoice does so before it is paid, so the
# price of its credits is settled when they come in.
FLOWS = """
    SELECT b.wallet_id, e.seq, e.entry_id, e.created_at, e.kind, e.amount, e.settled_after, e.reference, e.reason,
           coalesce(r.about, ''), coalesce(r.basis, ''), coalesce(i.number, ''),
           coalesce(i.subtotal_cents - n.cents, r.paid_cents, 0), coalesce(i.currency, r.currency, '')
    FROM unnest(%(wallets)s::text[], %(throughs)s::bigint[]) AS b (wallet_id, through)
    CROSS JOIN LATERAL (
        SELECT * FROM credit_ledger
        WHERE wallet_id = b.wallet_id AND kind IN ('grant', 'adjustment_in', 'adjustment_out') AND seq <= b.through
        OFFSET 0
    ) e
    LEFT JOIN ledger_creditrequest r ON r.reference = e.reference AND r.kind = e.kind AND r.state = 'approved'
    LEFT JOIN ledger_invoice i ON i.id = e.reference AND i.kind = 'credits' AND r.basis = 'invoice'
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(subtotal_cents), 0)::bigint AS cents
        FROM ledger_invoice WHERE corrects_id = i.id AND applied AND number IS NOT NULL
    ) n
    ORDER BY b.wallet_id, e.seq
"""


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


@dataclass(frozen=True)
class WalletLots:
    """The lots of a wallet as of its last mark, and the wallet at each mark as the ledger says."""

    wallet_id: str
    organization_id: str
    marks: tuple[Mark, ...]
    lots: tuple[Lot, ...]
    missing: int


@dataclass(frozen=True)
class Used:
    """What a wallet used of one of its lots."""

    lot: Lot
    part: Part


def lots_of(*, months: Sequence[Month], wallets: Iterable[Wallet] | None = None) -> list[WalletLots]:
    """Return the lots of live wallets (None: of all) as they were at the end of the last of these consecutive months.

    What was taken before the first month has the month `""`. Wallets without entries are left out. Two queries,
    whatever there is, and their cost does not depend on how many reserves, settles and refunds there are.
    """
    chosen = None if wallets is None else [wallet.pk for wallet in wallets]
    owners, marks = _marks(months, chosen)
    # Entries up to one that was seen are there for good, so the second query sees what the first one did.
    flows = _flows({wallet_id: found[-1].through for wallet_id, found in marks.items()})
    found = []
    for wallet_id, of_wallet in marks.items():
        attribution = attribute(flows[wallet_id], of_wallet)
        found.append(WalletLots(wallet_id, owners[wallet_id], tuple(of_wallet), attribution.lots, attribution.missing))
    return found


def used_in(*, wallet: Wallet, month: Month) -> list[Used]:
    """Return what a live wallet used in a month, by lot, first in first."""
    lots = [lot for found in lots_of(months=[month], wallets=[wallet]) for lot in found.lots]
    used = [Used(lot, lot.used(month.month)) for lot in lots]
    return [each for each in used if each.part.credits]


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


def _marks(months: Sequence[Month], wallets: list[str] | None) -> tuple[dict[str, str], dict[str, list[Mark]]]:
    """Return whose wallets these are, and where they stood before the first month and at the end of each."""
    instants = [months[0].starts_at, *(month.ends_at for month in months)]
    names = ["", *(month.month for month in months)]
    owners: dict[str, str] = {}
    marks: dict[str, list[Mark]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(MARKS, {"instants": instants, "wallets": wallets})
        for wallet_id, organization_id, number, *figures in cursor.fetchall():
            owners[wallet_id] = organization_id
            marks[wallet_id].append(Mark(names[number], *figures))
    return owners, marks


def _flows(throughs: dict[str, int]) -> dict[str, list[Flow]]:
    flows: dict[str, list[Flow]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(FLOWS, {"wallets": list(throughs), "throughs": list(throughs.values())})
        for wallet_id, *row in cursor.fetchall():
            flows[wallet_id].append(Flow(*row))
    return flows
