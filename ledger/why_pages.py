"""What explains a figure of a wallet: the entries behind it, and whether they make it."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection
from django.http import Http404
from django.urls import reverse

from customers.access import Access
from ledger.days import settled_by_month
from ledger.intervals import interval_of, month_of
from ledger.models import Entry, Wallet
from ledger.pages import reached_wallet
from ledger.reconciliation import at_one_moment
from ledger.statements import Moved, OpenReserve, Statement, statement_of
from ledger.why import ROWS_SHOWN, Row, Term, Why, listed
from sora2.ids import is_id
from sora2.pages import with_query
from sora2.zones import UTC_NAME

Kind = Entry.Kind
# Up to so many, a wallet's entries are added up one by one; more, by the sums of their days.
EXACT_ENTRIES = 20_000
BREAKS_SHOWN = 10

SENTENCES = {
    "available": "What new batches can still hold: all that was brought in, less what is held and what was charged.",
    "reserved": "Held for batches that have not ended: at its end, what was made is charged, and the rest comes back.",
    "settled": "What was charged for videos that were made, over the wallet's whole life.",
    "funded": "All that was ever brought in, less what was taken out.",
}

# The entries of a wallet whose balances do not follow from those before. Asked only where something is wrong.
BREAKS = """
    SELECT c.entry_id, c.seq, c.available_after - c.available_before - m.available * c.amount,
           c.reserved_after - c.reserved_before - m.reserved * c.amount,
           c.settled_after - c.settled_before - m.settled * c.amount, c.seq - c.seq_before - 1
    FROM (
        SELECT e.*, coalesce(lag(e.seq) OVER w, 0) AS seq_before,
               coalesce(lag(e.available_after) OVER w, 0) AS available_before,
               coalesce(lag(e.reserved_after) OVER w, 0) AS reserved_before,
               coalesce(lag(e.settled_after) OVER w, 0) AS settled_before
        FROM credit_ledger e WHERE e.wallet_id = %(wallet)s WINDOW w AS (ORDER BY e.seq)
    ) c
    CROSS JOIN LATERAL ledger_movement(c.kind) m
    WHERE c.available_after <> c.available_before + m.available * c.amount
       OR c.reserved_after <> c.reserved_before + m.reserved * c.amount
       OR c.settled_after <> c.settled_before + m.settled * c.amount
       OR c.seq <> c.seq_before + 1
    ORDER BY c.seq LIMIT %(limit)s
"""


@dataclass(frozen=True)
class WalletWhy:
    """A figure of a wallet, explained."""

    wallet: Wallet
    why: Why


@at_one_moment()
def wallet_why(access: Access, *, organization_id: str, mode: str, figure: str) -> WalletWhy:
    """Explain a figure of a wallet. Raises Http404 for what somebody does not reach, and for what is no figure."""
    if figure not in SENTENCES:
        raise Http404
    wallet = reached_wallet(access, organization_id=organization_id, mode=mode)
    statement = statement_of(wallet=wallet, interval=interval_of("", ""), by_days=wallet.last_seq > EXACT_ENTRIES)
    why = Why(
        label=figure.capitalize(),
        sentence=SENTENCES[figure],
        stored=getattr(wallet, figure),
        terms=tuple(_terms(statement, figure)),
        broken=_unlike_its_last_entry(wallet, statement, figure),
    )
    if why.holds:
        return WalletWhy(wallet, why)
    return WalletWhy(wallet, _with_breaks(why, wallet))


# --- the terms of a wallet's figure --------------------------------------------------------------------------------


def _terms(statement: Statement, figure: str) -> Iterable[Term]:
    moved = {each.kind: each for each in statement.moved}
    if figure in ("available", "funded"):
        yield _entries_term("Grants", statement, moved[Kind.GRANT])
        if moved[Kind.ADJUSTMENT_IN].count:
            yield _entries_term("Adjustments in", statement, moved[Kind.ADJUSTMENT_IN])
        if moved[Kind.ADJUSTMENT_OUT].count:
            yield _entries_term("Adjustments out", statement, moved[Kind.ADJUSTMENT_OUT], sign=-1)
    if figure in ("available", "reserved"):
        yield _held_term(statement, moved, sign=-1 if figure == "available" else 1)
    if figure in ("available", "settled"):
        yield _settled_term(statement, moved[Kind.SETTLE], sign=-1 if figure == "available" else 1)


def _entries_term(label: str, statement: Statement, moved: Moved, *, sign: int = 1) -> Term:
    """Return the entries of a kind, newest first. Served by credit_ledger_by_kind."""
    entries = Entry.objects.filter(wallet=statement.wallet, kind=moved.kind).order_by("-seq")[:ROWS_SHOWN]
    rows = [
        Row(
            label=entry.reason if is_id(entry.reference, "crq") and entry.reason else entry.reference,
            credits=entry.amount,
            address=reverse("admin:entry", args=[entry.pk]),
            note=f"entry {entry.seq:,}, {entry.created_at:%Y-%m-%d}",
        )
        for entry in entries
    ]
    address = statement_address(statement.wallet, month="all", kind=moved.kind.value)
    shown, rest = listed(rows, count=moved.count, credits=moved.credits, address=address)
    return Term(label, moved.credits, shown, rest, sign)


def _held_term(statement: Statement, moved: dict[Kind, Moved], *, sign: int) -> Term:
    """Return the batches that hold credits: what was reserved for each, and neither settled nor refunded."""
    wallet, open_ = statement.wallet, statement.open_reserves
    held = moved[Kind.RESERVE].credits - moved[Kind.SETTLE].credits - moved[Kind.REFUND].credits
    shown, rest = listed(
        [_row_of_reserve(reserve) for reserve in open_],
        count=len(open_),
        credits=sum(reserve.credits for reserve in open_),
        address=with_query("admin:batch_list", state="open", mode=wallet.mode, customer=wallet.organization_id),
    )
    return Term("Reserved", held, shown, rest, sign)


def _row_of_reserve(reserve: OpenReserve) -> Row:
    return Row(
        label=reserve.request_id or reserve.reference,
        credits=reserve.credits,
        address=with_query("admin:find", q=reserve.reference),
        note=f"held since {reserve.since:%Y-%m-%d %H:%M} UTC",
    )


def _settled_term(statement: Statement, moved: Moved, *, sign: int) -> Term:
    """Return what was charged, by months in UTC: the sums of days, which must make the sum of the entries."""
    wallet = statement.wallet
    rows = tuple(
        Row(
            label=month_of(month).label,
            credits=credits,
            address=statement_address(wallet, month=month, tz=UTC_NAME, kind=Kind.SETTLE.value),
            note=f"{count:,} {'batch' if count == 1 else 'batches'}",
        )
        for month, count, credits in settled_by_month(wallet)
    )
    return Term("Settled", moved.credits, rows, sign=sign)


def statement_address(wallet: Wallet, **asked: str) -> str:
    """Return the address of a wallet's entries, as they are asked for."""
    return with_query("admin:statement", wallet.organization_id, mode=wallet.mode, **asked) + "#entries"


# --- where it breaks -----------------------------------------------------------------------------------------------


def _unlike_its_last_entry(wallet: Wallet, statement: Statement, figure: str) -> tuple[Row, ...]:
    stored, after = getattr(wallet, figure), getattr(statement.closing, figure)
    if stored == after:
        return ()
    fault = f"The wallet says {stored:,}; after its last entry, number {statement.through:,}, it was {after:,}."
    return (Row(str(wallet.organization), stored, statement_address(wallet, month="all"), fault=fault),)


def _with_breaks(why: Why, wallet: Wallet) -> Why:
    """Name the entries at which the books break: those that do not follow from the one before."""
    with connection.cursor() as cursor:
        cursor.execute(BREAKS, {"wallet": wallet.pk, "limit": BREAKS_SHOWN})
        found = cursor.fetchall()
    rows = tuple(_row_of_break(entry_id, seq, *by) for entry_id, seq, *by in found)
    return Why(why.label, why.sentence, why.stored, why.terms, (*why.broken, *rows))


def _row_of_break(entry_id: str, seq: int, available: int, reserved: int, settled: int, missing: int) -> Row:
    by = {"available": available, "reserved": reserved, "settled": settled}
    moved = [
        f"{name} by {abs(credits):,} too {'many' if credits > 0 else 'few'}" for name, credits in by.items() if credits
    ]
    said = [f"The balances after it do not follow from those before: {', '.join(moved)}."] if moved else []
    if missing:
        said.append(f"{missing:,} {'number' if missing == 1 else 'numbers'} before it have no entry.")
    largest = max(map(abs, by.values()))
    return Row(f"Entry {seq:,}", largest, reverse("admin:entry", args=[entry_id]), fault=" ".join(said))
