"""Closing months: what closing one would fix, closing it, and what was closed.

Months close in UTC, for all wallets at once and in order. Inserting a row into `ledger_period` does it: the database
(migration 0011) locks the wallets, waits for postings that are under way, and dates later ones past the month.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.db.models import Count, Max, Min, OuterRef, Q, Subquery, Sum

from customers.models import Mode, User
from customers.services import audit
from ledger.intervals import Month, month_at, month_of
from ledger.models import Entry, Period, PeriodBalance, PeriodBalanceQuerySet, Wallet
from ledger.services import LedgerError
from ledger.statements import Balances, End, OpenReserve, open_reserves


class NotClosed(LedgerError):
    """The month was not closed."""


class NotOver(NotClosed):
    """The month is not over yet."""

    code = "not_over"


class NotInOrder(NotClosed):
    """A month before this one has to be closed first."""

    code = "not_in_order"


class AlreadyClosed(NotClosed):
    """The month has been closed before, or lies before the first that was."""

    code = "already_closed"


@dataclass(frozen=True)
class Totals:
    """The wallets of one mode at the end of a month: how many, the entries of the month, what they hold together."""

    mode: str
    wallets: int
    entries: int
    closing: Balances


@dataclass(frozen=True)
class HeldReserve:
    """A reserve that was open at the end of a month, and whose it is."""

    reserve: OpenReserve
    wallet: Wallet


@dataclass(frozen=True)
class Effect:
    """A month in figures: what closing it fixes, or has fixed."""

    month: Month
    totals: tuple[Totals, ...]
    reserves: tuple[HeldReserve, ...]


@dataclass(frozen=True)
class ClosedMonth:
    """A closed month, and what the wallets of one mode held at its end."""

    period: Period
    wallets: int
    closing: Balances


# Wallets with entries at both ends of an interval, by mode; and those of them that hold something at its end. Two
# look-ups in credit_ledger_seq_once for each wallet.
ENDS = """
    SELECT w.mode, count(*), sum(b.through - b.before),
           sum(e.available_after), sum(e.reserved_after), sum(e.settled_after),
           array_agg(w.id) FILTER (WHERE e.reserved_after > 0),
           array_agg(b.through) FILTER (WHERE e.reserved_after > 0),
           array_agg(e.reserved_after) FILTER (WHERE e.reserved_after > 0)
    FROM ledger_wallet w
    CROSS JOIN LATERAL (
        SELECT ledger_seq_before(w.id, %(starts_at)s) AS before, ledger_seq_before(w.id, %(ends_at)s) AS through
        OFFSET 0
    ) b
    JOIN credit_ledger e ON e.wallet_id = w.id AND e.seq = b.through
    GROUP BY w.mode
"""


def close_period(*, month: str, closed_by: User, now: datetime) -> Period:
    """Close a month such as 2026-10: no entry is dated into it any more.

    Raises NotOver, NotInOrder and AlreadyClosed, which the audit log keeps; NotAnInterval for what is no month.
    """
    wanted = month_of(month)
    try:
        with transaction.atomic():
            period = Period.objects.create(
                month=month, starts_at=wanted.starts_at, ends_at=wanted.ends_at, closed_at=now, closed_by=closed_by
            )
            _audit(month, closed_by, detail=_figures(period))
    except DatabaseError as error:
        refusal = _refusal_of(error, wanted)
        if refusal is None:
            raise
        _audit(month, closed_by, outcome=refusal.code)
        raise refusal from error
    return period


def due(*, now: datetime) -> Month:
    """Return the month to close next: after the last closed one; before any is, the first with entries."""
    last = _last_end()
    return month_at(last or _first_entry_at() or now)


def effect(*, month: Month) -> Effect:
    """Return what a month fixes, or has fixed: totals by mode, and the reserves that were open at its end."""
    with connection.cursor() as cursor:
        cursor.execute(ENDS, {"starts_at": month.starts_at, "ends_at": month.ends_at})
        rows = {mode: rest for mode, *rest in cursor.fetchall()}
    totals = tuple(_totals(mode, *rows.get(mode, [0] * 5)[:5]) for mode in Mode)
    ends = [End(*end) for row in rows.values() if row[5] for end in zip(*row[5:], strict=True)]
    return Effect(month, totals, _with_wallets(open_reserves(ends)))


def closed_months(*, mode: str) -> list[ClosedMonth]:
    """Return the closed months, newest first, with what the wallets of one mode held at their ends."""
    sums = _sums(PeriodBalance.objects.filter(wallet__mode=mode), "period_id")
    periods = Period.objects.select_related("closed_by").order_by("-ends_at")
    return [ClosedMonth(period, *sums.get(period.pk, (0, Balances()))) for period in periods]


def is_closed(*, month: Month) -> bool:
    """Say whether a month is closed, by itself or as one that lies before the first that was."""
    last = _last_end()
    return last is not None and month.ends_at <= last


def _last_end() -> datetime | None:
    last: datetime | None = Period.objects.aggregate(at=Max("ends_at"))["at"]
    return last


def _first_entry_at() -> datetime | None:
    # Of each wallet its first entry, served by credit_ledger_seq_once.
    entry = Entry.objects.filter(wallet=OuterRef("pk"), seq=1).values("created_at")
    first: datetime | None = Wallet.objects.annotate(first=Subquery(entry)).aggregate(at=Min("first"))["at"]
    return first


def _refusal_of(error: DatabaseError, month: Month) -> NotClosed | None:
    """Return the domain error for a refusal that we know by its constraint."""
    diagnosis = getattr(error.__cause__, "diag", None)
    constraint = getattr(diagnosis, "constraint_name", None)
    if constraint == "ledger_period_is_over":
        return NotOver(f"{month.name} is not over: it can be closed from {month.ends_at:%Y-%m-%d %H:%M} UTC on.")
    if constraint != "ledger_period_in_order":
        return None
    last = _last_end()
    if last is not None and not is_closed(month=month):
        return NotInOrder(f"Months close in order: {month_at(last).name} comes before {month.name}.")
    return AlreadyClosed(f"{month.name} is closed already.")


def _totals(mode: str, wallets: int, entries: int, *figures: int) -> Totals:
    return Totals(mode, wallets, int(entries), Balances(*map(int, figures)))


def _with_wallets(reserves: Iterable[OpenReserve]) -> tuple[HeldReserve, ...]:
    reserves = list(reserves)
    wallets = Wallet.objects.select_related("organization").in_bulk({reserve.wallet_id for reserve in reserves})
    return tuple(HeldReserve(reserve, wallets[reserve.wallet_id]) for reserve in reserves)


def _sums(balances: PeriodBalanceQuerySet, by: str) -> dict[str, tuple[int, Balances]]:
    """Return how many wallets with entries there are, and what all hold together."""
    rows = balances.values(by).annotate(
        wallets=Count("pk", filter=Q(last_seq__gt=0)),
        available=Sum("available"),
        reserved=Sum("reserved"),
        settled=Sum("settled"),
    )
    return {
        row[by]: (row["wallets"], Balances(int(row["available"]), int(row["reserved"]), int(row["settled"])))
        for row in rows
    }


def _figures(period: Period) -> dict[str, dict[str, int]]:
    sums = _sums(PeriodBalance.objects.filter(period=period), "wallet__mode")
    return {mode: {"wallets": wallets, **asdict(closing)} for mode, (wallets, closing) in sums.items()}


def _audit(month: str, actor: User, *, outcome: str = "done", detail: Mapping[str, Any] | None = None) -> None:
    audit(actor=actor.pk, action="period.close", subject=month, outcome=outcome, detail=detail)
