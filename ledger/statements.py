"""Statements: what a wallet held at the start of an interval, what moved, what it held at the end.

Balances are what the entries at both ends say themselves; movements are added up from the entries between. Neither is
made of the other, so that a statement checks itself: opening + movements = closing.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from ledger.days import MOVED_BY_DAYS
from ledger.intervals import Interval, Month, months_between
from ledger.models import Entry, Wallet

NO_HASH = "0" * 64
# How far back open reserves are looked for first; each time that this is not far enough, so many times as far.
REACH_ENTRIES, REACH_FACTOR = 1000, 8

# Entries of a wallet are dated in the order of their numbers, so an interval of time is one of numbers. Whether it is
# closed is read by the same statement: a close that is seen here has let in whatever comes before its end.
ENDS = """
    SELECT coalesce(%(ends_at)s::timestamptz <= w.closed_until, false), b.before, b.through,
           coalesce(o.available_after, 0), coalesce(o.reserved_after, 0), coalesce(o.settled_after, 0),
           coalesce(c.available_after, 0), coalesce(c.reserved_after, 0), coalesce(c.settled_after, 0),
           coalesce(c.hash, %(no_hash)s)
    FROM ledger_wallet w
    CROSS JOIN LATERAL (
        SELECT CASE WHEN %(starts_at)s::timestamptz IS NOT NULL
                    THEN ledger_seq_before(w.id, %(starts_at)s::timestamptz) ELSE 0 END AS before,
               ledger_seq_before(w.id, %(ends_at)s::timestamptz) AS through
        OFFSET 0
    ) b
    LEFT JOIN credit_ledger o ON o.wallet_id = w.id AND o.seq = b.before
    LEFT JOIN credit_ledger c ON c.wallet_id = w.id AND c.seq = b.through
    WHERE w.id = %(wallet)s
"""

# Served by credit_ledger_seq_once.
MOVED = """
    SELECT g.kind, g.count, g.credits, m.available * g.credits, m.reserved * g.credits, m.settled * g.credits
    FROM (
        SELECT e.kind, count(*) AS count, sum(e.amount)::bigint AS credits FROM credit_ledger e
        WHERE e.wallet_id = %(wallet)s AND e.seq > %(before)s AND e.seq <= %(through)s
        GROUP BY e.kind
    ) g
    CROSS JOIN LATERAL ledger_movement(g.kind) m
"""

# A reference whose reserve lies before the reach has only settles and refunds within it, and is not among these.
OPEN_RESERVES = """
    SELECT e.wallet_id, e.reference, max(e.request_id) FILTER (WHERE e.kind = 'reserve'),
           min(e.created_at) FILTER (WHERE e.kind = 'reserve'),
           sum(CASE e.kind WHEN 'reserve' THEN e.amount ELSE -e.amount END)::bigint
    FROM unnest(%(wallets)s::text[], %(throughs)s::bigint[]) AS b (wallet_id, through)
    JOIN credit_ledger e ON e.wallet_id = b.wallet_id AND e.seq > b.through - %(reach)s AND e.seq <= b.through
    WHERE e.kind IN ('reserve', 'settle', 'refund')
    GROUP BY e.wallet_id, e.reference
    HAVING sum(CASE e.kind WHEN 'reserve' THEN e.amount ELSE -e.amount END) > 0
    ORDER BY e.wallet_id, min(e.seq)
"""


# Which of some intervals have entries of a wallet. Two look-ups in credit_ledger_seq_once for each.
WITH_ENTRIES = """
    SELECT i.number - 1
    FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) WITH ORDINALITY AS i (starts_at, ends_at, number)
    WHERE ledger_seq_before(%(wallet)s, i.starts_at) < ledger_seq_before(%(wallet)s, i.ends_at)
"""


@dataclass(frozen=True)
class Balances:
    """What a wallet holds at a moment; or, with signs, by how much that changes."""

    available: int = 0
    reserved: int = 0
    settled: int = 0

    @property
    def funded(self) -> int:
        """Return everything brought in."""
        return self.available + self.reserved + self.settled

    def __add__(self, other: "Balances") -> "Balances":
        return Balances(self.available + other.available, self.reserved + other.reserved, self.settled + other.settled)

    def __sub__(self, other: "Balances") -> "Balances":
        return Balances(self.available - other.available, self.reserved - other.reserved, self.settled - other.settled)


@dataclass(frozen=True)
class Moved:
    """The entries of one kind in an interval: how many, their credits, and what they did to the balances."""

    kind: Entry.Kind
    count: int = 0
    credits: int = 0
    effect: Balances = Balances()


@dataclass(frozen=True)
class OpenReserve:
    """Credits that were held for a reference (a batch) at the end of an interval."""

    wallet_id: str
    reference: str
    request_id: str
    since: datetime
    credits: int


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A wallet over an interval.

    Its entries are those past `before`, up to and including `through`; `head_hash` is the hash of the latter. `closed`
    says that no entry can be dated into the interval any more.
    """

    wallet: Wallet
    interval: Interval
    closed: bool
    before: int
    through: int
    opening: Balances
    moved: tuple[Moved, ...]
    closing: Balances
    head_hash: str
    open_reserves: tuple[OpenReserve, ...]

    @property
    def count(self) -> int:
        """Return how many entries there are."""
        return sum(moved.count for moved in self.moved)

    @property
    def effect(self) -> Balances:
        """Return what all entries did to the balances."""
        return sum((moved.effect for moved in self.moved), Balances())

    @property
    def first_seq(self) -> int | None:
        """Return the number of the first entry, if there is one."""
        return self.before + 1 if self.through > self.before else None

    @property
    def last_seq(self) -> int | None:
        """Return the number of the last entry, if there is one."""
        return self.through if self.through > self.before else None

    @property
    def unexplained(self) -> Balances:
        """Return by how much the closing balances differ from the opening ones with what moved."""
        return self.closing - (self.opening + self.effect)

    @property
    def missing(self) -> int:
        """Return how many numbers of the interval have no entry."""
        return self.through - self.before - self.count

    @property
    def unexplained_reserved(self) -> int:
        """Return by how much the closing reserved credits differ from the reserves that are open."""
        return self.closing.reserved - sum(reserve.credits for reserve in self.open_reserves)

    @property
    def balanced(self) -> bool:
        """Say whether opening + movements = closing, no entry is missing, and all that is reserved is for something."""
        return self.unexplained == Balances() and not self.missing and not self.unexplained_reserved


class End(NamedTuple):
    """Where a wallet stands at an end: its last entry, and what it holds reserved."""

    wallet_id: str
    through: int
    reserved: int


def statement_of(*, wallet: Wallet, interval: Interval, by_days: bool = False) -> Statement:
    """Return the statement of a wallet over an interval, as its entries are now.

    A paper's movements are added up from every entry. `by_days` takes the sums of whole days, for who waits.
    """
    given = {
        "wallet": wallet.pk,
        "starts_at": interval.starts_at,
        "ends_at": interval.ends_at,
        "no_hash": NO_HASH,
    }
    with connection.cursor() as cursor:
        cursor.execute(ENDS, given)
        closed, before, through, *figures, head_hash = cursor.fetchone()
    opening, closing = Balances(*figures[:3]), Balances(*figures[3:])
    return Statement(
        wallet=wallet,
        interval=interval,
        closed=closed,
        before=before,
        through=through,
        opening=opening,
        moved=_moved(MOVED_BY_DAYS if by_days else MOVED, wallet, before, through),
        closing=closing,
        head_hash=head_hash,
        open_reserves=tuple(open_reserves([End(wallet.pk, through, closing.reserved)])),
    )


def faults_of(statement: Statement) -> list[str]:
    """Say what of a statement does not add up. In right books: nothing."""
    unexplained = statement.unexplained
    by_bucket = {
        "available": unexplained.available,
        "reserved": unexplained.reserved,
        "settled": unexplained.settled,
    }
    faults = [
        f"Opening and movements differ from the closing {bucket} credits by {abs(credits):,}."
        for bucket, credits in by_bucket.items()
        if credits
    ]
    if statement.missing:
        faults.append(f"{statement.missing:,} of the entries' numbers have no entry.")
    if statement.unexplained_reserved:
        faults.append(f"{abs(statement.unexplained_reserved):,} reserved credits differ from the open reserves.")
    return faults


def months_with_entries(*, wallet: Wallet, zone: str) -> list[Month]:
    """Return the months, by the zone's calendar, in which a wallet has entries; oldest first."""
    first = Entry.objects.filter(wallet=wallet).order_by("seq").values_list("created_at", flat=True).first()
    if first is None:
        return []
    months = months_between(first, wallet.last_entry_at or first, zone)
    starts, ends = [month.starts_at for month in months], [month.ends_at for month in months]
    with connection.cursor() as cursor:
        cursor.execute(WITH_ENTRIES, {"wallet": wallet.pk, "starts": starts, "ends": ends})
        return [months[number] for (number,) in sorted(cursor.fetchall())]


def open_reserves(ends: Iterable[End]) -> list[OpenReserve]:
    """Return the reserves that were open at these ends, by wallet and then oldest first.

    Most are young: the search goes back from the end only until all that a wallet holds is found.
    """
    found: list[OpenReserve] = []
    sought, reach = [end for end in ends if end.reserved], REACH_ENTRIES
    while sought:
        rows, further = _open_within(sought, reach), []
        for end in sought:
            held = rows[end.wallet_id]
            if reach >= end.through or sum(reserve.credits for reserve in held) >= end.reserved:
                found += held
            else:
                further.append(end)
        sought, reach = further, reach * REACH_FACTOR
    return sorted(found, key=lambda reserve: (reserve.wallet_id, reserve.since))


def _moved(query: str, wallet: Wallet, before: int, through: int) -> tuple[Moved, ...]:
    with connection.cursor() as cursor:
        cursor.execute(query, {"wallet": wallet.pk, "before": before, "through": through})
        rows = {kind: (count, credits, Balances(*effect)) for kind, count, credits, *effect in cursor.fetchall()}
    return tuple(Moved(kind, *rows.get(kind, ())) for kind in Entry.Kind)


def _open_within(ends: Iterable[End], reach: int) -> dict[str, list[OpenReserve]]:
    wallets, throughs, _ = zip(*ends, strict=True)
    rows: dict[str, list[OpenReserve]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(OPEN_RESERVES, {"wallets": list(wallets), "throughs": list(throughs), "reach": reach})
        for row in cursor.fetchall():
            reserve = OpenReserve(*row)
            rows[reserve.wallet_id].append(reserve)
    return rows
