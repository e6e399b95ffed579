"""Which entries of a wallet are meant: by time, kind and reference."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from ledger.models import Entry, EntryQuerySet, Wallet

PAGE_ROWS = 2000

# Entries of a wallet are dated in the order of their numbers, so an interval of time is one of numbers.
# Served by credit_ledger_seq_once; without an end it is that of the last entry.
NUMBERS = """
    SELECT ledger_seq_before(%(wallet)s, coalesce(%(after)s::timestamptz, '-infinity')),
           ledger_seq_before(%(wallet)s, %(before)s::timestamptz)
"""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Entries as they are asked for; what is not given does not narrow them."""

    wallet: Wallet
    created_after: datetime | None = None  # inclusive
    created_before: datetime | None = None  # exclusive
    kind: str = ""
    reference: str = ""

    def fixed(self) -> "Selected":
        """Return the entries that there are now; later ones are not among them."""
        given = {"wallet": self.wallet.pk, "after": self.created_after, "before": self.created_before}
        with connection.cursor() as cursor:
            cursor.execute(NUMBERS, given)
            after, through = cursor.fetchone()
        return Selected(self.wallet, after=after, through=through, kind=self.kind, reference=self.reference)


@dataclass(frozen=True)
class Selected:
    """Entries by their numbers: past `after`, up to and including `through`.

    Entries never change, so these can be read again and again, and a piece at a time, without a transaction.
    """

    wallet: Wallet
    after: int
    through: int
    kind: str = ""
    reference: str = ""

    @property
    def whole(self) -> bool:
        """Say whether this is every entry of its numbers, so that balances continue from one to the next."""
        return not (self.kind or self.reference)

    def entries(self) -> EntryQuerySet:
        """Return the entries, in no order."""
        rows = Entry.objects.filter(wallet=self.wallet, seq__gt=self.after, seq__lte=self.through)
        if self.kind:
            rows = rows.filter(kind=self.kind)
        if self.reference:
            rows = rows.filter(reference=self.reference)
        return rows

    def before(self) -> Entry | None:
        """Return the entry that all of these follow, whose balances are the opening ones."""
        return Entry.objects.filter(wallet=self.wallet, seq=self.after).first()

    def in_order(self) -> Iterator[Entry]:
        """Yield the entries, oldest first, some thousands in memory at a time and no cursor open between them."""
        seen = self.after
        while page := list(self.entries().filter(seq__gt=seen).order_by("seq")[:PAGE_ROWS]):
            yield from page
            seen = page[-1].seq
