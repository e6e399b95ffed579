"""The lots of live wallets, read from the ledger: by two queries, whatever there is."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection

from ledger.intervals import Month
from ledger.models import Wallet
from ledger.revenue.lots import Flow, Lot, Mark, Part, attribute

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
