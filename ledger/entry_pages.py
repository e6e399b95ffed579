"""What an entry's own page shows: what it means, what it did to the balances, and its place in the chain."""

from dataclasses import dataclass

from django.db import connection
from django.shortcuts import get_object_or_404
from django.urls import reverse

from customers.access import Access
from ledger.models import OUTSIDE_KINDS, CreditRequest, Entry
from ledger.pages import Line, lines, makers_of
from ledger.statements import NO_HASH
from sora2.ids import is_id

MEANINGS = {
    Entry.Kind.GRANT: "Credits were brought in: from then on they were available for batches.",
    Entry.Kind.RESERVE: "A batch was accepted: its whole cost is held until its end, and not available for others.",
    Entry.Kind.SETTLE: "A batch ended: what was held for the videos that were made is charged.",
    Entry.Kind.REFUND: "A batch ended: what was held for the items that failed came back, and is available again.",
    Entry.Kind.ADJUSTMENT_IN: "Two people brought credits in, to correct something or as goodwill.",
    Entry.Kind.ADJUSTMENT_OUT: "Two people took credits out, to correct something.",
}

# The figure of its batch that an entry is.
FIGURES = {Entry.Kind.RESERVE: "reserved", Entry.Kind.SETTLE: "settled", Entry.Kind.REFUND: "refunded"}

# The hash that an entry's fields make, and what its kind does to the balances.
SEAL = """
    SELECT ledger_entry_hash(e.prev_hash, e.wallet_id, e.seq, e.entry_id, e.created_at, e.kind, e.amount,
                             e.available_after, e.reserved_after, e.settled_after,
                             e.reference, e.request_id, e.actor, e.reason),
           m.available, m.reserved, m.settled
    FROM credit_ledger e CROSS JOIN LATERAL ledger_movement(e.kind) m WHERE e.entry_id = %s
"""


@dataclass(frozen=True)
class Balance:
    """A balance before an entry, what the entry does to it, and what it is afterwards, as the entry says."""

    label: str
    before: int
    change: int
    after: int

    @property
    def unexplained(self) -> int:
        """Return by how much the balance afterwards is not what follows from the one before."""
        return self.after - self.before - self.change


@dataclass(frozen=True)
class EntryPage:
    """An entry, what it means, its balances, its neighbours, where its amount is explained, and whether its seal holds.

    `fits_hash` says that its fields make its hash, `continues` that it is chained to the entry before.
    """

    entry: Entry
    line: Line
    meaning: str
    why: str
    balances: tuple[Balance, ...]
    before: Entry | None
    after: Entry | None
    fits_hash: bool
    continues: bool


def entry_page(access: Access, *, entry_id: str) -> EntryPage:
    """Return what an entry's page shows. Raises Http404 for what somebody does not reach."""
    entry = get_object_or_404(Entry.objects.within(access).select_related("wallet__organization"), pk=entry_id)
    near = Entry.objects.filter(wallet=entry.wallet_id, seq__in=[entry.seq - 1, entry.seq + 1])
    by_seq = {each.seq: each for each in near}
    before = by_seq.get(entry.seq - 1)
    with connection.cursor() as cursor:
        cursor.execute(SEAL, [entry.pk])
        made_hash, *moves = cursor.fetchone()
    return EntryPage(
        entry=entry,
        line=lines([entry], requests=_request(access, entry), names=makers_of(access, [entry]))[0],
        meaning=MEANINGS[Entry.Kind(entry.kind)],
        why=_why(entry),
        balances=_balances(entry, before, moves),
        before=before,
        after=by_seq.get(entry.seq + 1),
        fits_hash=made_hash == entry.hash,
        continues=entry.prev_hash == (before.hash if before else NO_HASH),
    )


def _why(entry: Entry) -> str:
    """Return where the amount of a batch's entry is explained by its items; empty for what no batch moved."""
    figure = FIGURES.get(Entry.Kind(entry.kind))
    is_batch = figure and is_id(entry.reference, "bat")
    return reverse("admin:batch_why", args=[entry.reference, figure]) if is_batch else ""


def _balances(entry: Entry, before: Entry | None, moves: list[int]) -> tuple[Balance, ...]:
    names = ("available", "reserved", "settled")
    return tuple(
        Balance(
            name.capitalize(),
            before=getattr(before, f"{name}_after") if before else 0,
            change=move * entry.amount,
            after=getattr(entry, f"{name}_after"),
        )
        for name, move in zip(names, moves, strict=True)
    )


def _request(access: Access, entry: Entry) -> dict[str, str]:
    """Return the request behind a grant or an adjustment, to our staff."""
    if access.organization_ids is not None or entry.kind not in OUTSIDE_KINDS:
        return {}
    approved = CreditRequest.objects.filter(reference=entry.reference, state=CreditRequest.State.APPROVED)
    return dict(approved.values_list("reference", "pk"))
