"""Credits per day: what the entries of each day (UTC) held, charged and gave back, fast however many there are.

The figures are the sums of entries, and right at every moment. Entries never change, and those of a wallet are numbered
and dated in the order of their commits: so whatever was added up to a number once stays added up, and what follows that
number is all that is left to add. `roll_up` adds up every minute what came since, and keeps the sums by wallet and day;
`DAYS` and `WALLETS` read these and, in the same statement, the entries that are not among them yet. A roll-up that is
late, or never comes, makes reading slower, and no figure wrong.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from customers.access import Access
from ledger.models import Wallet

# How far the entries of each wallet are in its days, and the sums of those that are not. Two look-ups for each wallet,
# in ledger_walletday_once and credit_ledger_seq_once; no entry is read of a wallet that has not moved.
TO_COME = """
    wallet AS (
        SELECT w.id, w.organization_id, w.mode, w.last_seq, coalesce(
            (SELECT d.through_seq FROM ledger_walletday d WHERE d.wallet_id = w.id ORDER BY d.day DESC LIMIT 1), 0
        ) AS through_seq
        FROM ledger_wallet w {where}
    ),
    to_come AS (
        SELECT w.id AS wallet_id, e.*
        FROM wallet w CROSS JOIN LATERAL (
            SELECT (e.created_at AT TIME ZONE 'UTC')::date AS day,
                   min(e.seq) - 1 AS after_seq, max(e.seq) AS through_seq,
                   count(*) FILTER (WHERE e.kind = 'reserve') AS reserves,
                   count(*) FILTER (WHERE e.kind = 'settle') AS settles,
                   count(*) FILTER (WHERE e.kind = 'refund') AS refunds,
                   coalesce(sum(e.amount) FILTER (WHERE e.kind = 'reserve'), 0) AS reserved,
                   coalesce(sum(e.amount) FILTER (WHERE e.kind = 'settle'), 0) AS settled,
                   coalesce(sum(e.amount) FILTER (WHERE e.kind = 'refund'), 0) AS refunded
            FROM credit_ledger e WHERE e.wallet_id = w.id AND e.seq > w.through_seq
            GROUP BY 1
        ) e
        WHERE w.last_seq > w.through_seq
    )
"""

# What continues a row is added to it. Whoever comes second finds that theirs does not.
COLUMNS = "wallet_id, day, after_seq, through_seq, reserves, settles, refunds, reserved, settled, refunded"
ROLL_UP = f"""
    WITH {TO_COME.format(where="")}
    INSERT INTO ledger_walletday AS d ({COLUMNS}) SELECT {COLUMNS} FROM to_come
    ON CONFLICT (wallet_id, day) DO UPDATE
    SET through_seq = EXCLUDED.through_seq, reserves = d.reserves + EXCLUDED.reserves,
        settles = d.settles + EXCLUDED.settles, refunds = d.refunds + EXCLUDED.refunds,
        reserved = d.reserved + EXCLUDED.reserved, settled = d.settled + EXCLUDED.settled,
        refunded = d.refunded + EXCLUDED.refunded
    WHERE d.through_seq = EXCLUDED.after_seq
"""  # noqa: S608 - constants of ours.

# The wallets of a mode: all, or those that are named.
CHOSEN = "WHERE w.mode = %(mode)s AND (%(wallets)s::text[] IS NULL OR w.id = ANY(%(wallets)s))"
# The days from `first` through `last`, of which a wallet has at most two rows: what is rolled up, and what is to come.
MOVED = f"""
    WITH {TO_COME.format(where=CHOSEN)},
    moved AS (
        SELECT d.wallet_id, d.day, d.reserved, d.settled, d.refunded
        FROM ledger_walletday d JOIN wallet w ON w.id = d.wallet_id
        WHERE d.day BETWEEN %(first)s AND %(last)s
        UNION ALL
        SELECT wallet_id, day, reserved, settled, refunded FROM to_come WHERE day BETWEEN %(first)s AND %(last)s
    )
"""  # noqa: S608 - constants of ours.
DAYS = f"""
    {MOVED}
    SELECT day, sum(reserved)::bigint, sum(settled)::bigint, sum(refunded)::bigint FROM moved GROUP BY day
"""  # noqa: S608 - constants of ours.
WALLETS = f"""
    {MOVED}
    SELECT o.id, o.name, sum(m.reserved)::bigint, sum(m.settled)::bigint, sum(m.refunded)::bigint
    FROM moved m JOIN wallet w ON w.id = m.wallet_id JOIN customers_organization o ON o.id = w.organization_id
    GROUP BY o.id, o.name HAVING sum(m.reserved + m.settled + m.refunded) > 0
    ORDER BY sum(m.reserved + m.settled + m.refunded) DESC, o.name, o.id
"""  # noqa: S608 - constants of ours.
# What a wallet's entries past `before`, through `through` moved, by kind: the sums of whole days, and the entries
# before and after those; what comes in and goes out is not among those sums, and rare. Served by ledger_walletday_once,
# credit_ledger_seq_once and credit_ledger_by_kind.
MOVED_BY_DAYS = """
    WITH whole AS MATERIALIZED (
        SELECT d.* FROM ledger_walletday d
        WHERE d.wallet_id = %(wallet)s AND d.after_seq >= %(before)s AND d.through_seq <= %(through)s
    ),
    part AS MATERIALIZED (
        SELECT coalesce(min(after_seq), %(through)s) AS first, coalesce(max(through_seq), %(through)s) AS last
        FROM whole
    ),
    moved AS (
        SELECT k.* FROM whole d CROSS JOIN LATERAL (
            VALUES ('reserve', d.reserves, d.reserved),
                   ('settle', d.settles, d.settled),
                   ('refund', d.refunds, d.refunded)
        ) k (kind, count, credits)
        UNION ALL
        SELECT e.kind, 1, e.amount FROM credit_ledger e
        WHERE e.wallet_id = %(wallet)s AND e.seq > %(before)s AND e.seq <= (SELECT first FROM part)
        UNION ALL
        SELECT e.kind, 1, e.amount FROM credit_ledger e
        WHERE e.wallet_id = %(wallet)s AND e.seq > (SELECT last FROM part) AND e.seq <= %(through)s
        UNION ALL
        SELECT e.kind, 1, e.amount FROM credit_ledger e
        WHERE e.wallet_id = %(wallet)s AND e.kind IN ('grant', 'adjustment_in', 'adjustment_out')
          AND e.seq > (SELECT first FROM part) AND e.seq <= (SELECT last FROM part)
    )
    SELECT g.kind, g.count, g.credits, m.available * g.credits, m.reserved * g.credits, m.settled * g.credits
    FROM (
        SELECT kind, sum(count)::bigint AS count, sum(credits)::bigint AS credits FROM moved
        GROUP BY kind HAVING sum(count) > 0
    ) g
    CROSS JOIN LATERAL ledger_movement(g.kind) m
"""

# How many entries some wallets had at a moment, and how many of them hold credits for a batch: those of whole days, and
# the others. Served by the same indexes.
EXTENT = """
    SELECT coalesce(sum(s.seq), 0)::bigint, coalesce(sum(d.reserves + e.reserves), 0)::bigint
    FROM unnest(%(wallets)s::text[]) w (id)
    CROSS JOIN LATERAL (SELECT ledger_seq_before(w.id, %(at)s) AS seq OFFSET 0) s
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(d.reserves), 0) AS reserves, coalesce(max(d.through_seq), 0) AS through_seq
        FROM ledger_walletday d WHERE d.wallet_id = w.id AND d.through_seq <= s.seq
    ) d
    CROSS JOIN LATERAL (
        SELECT count(*) AS reserves FROM credit_ledger e
        WHERE e.wallet_id = w.id AND e.kind = 'reserve' AND e.seq > d.through_seq AND e.seq <= s.seq
    ) e
"""

# What a wallet was charged in each month (UTC), newest first. Served by the same indexes.
SETTLED_BY_MONTH = f"""
    WITH {TO_COME.format(where="WHERE w.id = %(wallet)s")},
    moved AS (
        SELECT d.day, d.settles, d.settled FROM ledger_walletday d WHERE d.wallet_id = %(wallet)s
        UNION ALL
        SELECT day, settles, settled FROM to_come
    )
    SELECT to_char(day, 'YYYY-MM'), sum(settles)::bigint, sum(settled)::bigint FROM moved
    GROUP BY 1 HAVING sum(settles) > 0 ORDER BY 1 DESC
"""  # noqa: S608 - constants of ours.


@dataclass(frozen=True)
class Day:
    """The credits of one day in UTC: held for new batches, charged, and given back."""

    day: date
    reserved: int = 0
    settled: int = 0
    refunded: int = 0


@dataclass(frozen=True)
class Share:
    """What one customer had of a day."""

    organization_id: str
    name: str
    reserved: int
    settled: int
    refunded: int


def roll_up() -> int:
    """Add to the figures of days what was posted since the last time; return how many of them that changed."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('ledger_days'))")
        cursor.execute(ROLL_UP)
        changed: int = cursor.rowcount
    return changed


def days_until(access: Access, *, mode: str, last: date, count: int) -> list[Day]:
    """Return the last `count` days of all wallets of a mode that somebody reaches, oldest first, through `last`."""
    first = last - timedelta(days=count - 1)
    with connection.cursor() as cursor:
        cursor.execute(DAYS, _given(access, mode=mode, first=first, last=last))
        found = {day: Day(day, *figures) for day, *figures in cursor.fetchall()}
    every = (first + timedelta(days=number) for number in range(count))
    return [found.get(day, Day(day)) for day in every]


def shares_of(access: Access, *, mode: str, day: date) -> list[Share]:
    """Return which customers that somebody reaches moved credits on a day, and how many; most first."""
    with connection.cursor() as cursor:
        cursor.execute(WALLETS, _given(access, mode=mode, first=day, last=day))
        return [Share(*row) for row in cursor.fetchall()]


def settled_by_month(wallet: Wallet) -> list[tuple[str, int, int]]:
    """Return for each month in which a wallet was charged, such as 2026-10, for how many batches and how much."""
    with connection.cursor() as cursor:
        cursor.execute(SETTLED_BY_MONTH, {"wallet": wallet.pk})
        return [(month, batches, credits) for month, batches, credits in cursor.fetchall()]


def extent_before(access: Access, *, at: datetime) -> tuple[int, int]:
    """Return how many entries the wallets that somebody reaches had, of both modes, and for how many batches."""
    wallets = list(Wallet.objects.within(access).values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(EXTENT, {"wallets": wallets, "at": at})
        entries, batches = cursor.fetchone()
    return entries, batches


def _given(access: Access, *, mode: str, first: date, last: date) -> dict[str, Any]:
    own = None
    if access.organization_ids is not None:
        own = list(Wallet.objects.within(access).filter(mode=mode).values_list("pk", flat=True))
    return {"mode": mode, "wallets": own, "first": first, "last": last}
