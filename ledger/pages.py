"""What the ledger's pages show: wallets, entries, and the equations that every credit must satisfy."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from django.db.models import Count, Q, Sum

from customers.access import Access
from customers.models import ApiKey, User
from ledger.models import OUTSIDE_KINDS, CreditRequest, Entry, Wallet, WalletQuerySet
from sora2.ids import is_id
from sora2.pages import Rows, rows_after

WALLETS_SHOWN = 50

# What an entry does to the available credits; a settle takes from the reserved ones.
SIGNS = {
    Entry.Kind.GRANT: "+",
    Entry.Kind.ADJUSTMENT_IN: "+",
    Entry.Kind.REFUND: "+",
    Entry.Kind.RESERVE: "−",
    Entry.Kind.ADJUSTMENT_OUT: "−",
    Entry.Kind.SETTLE: "",
}


@dataclass(frozen=True)
class Part:
    """One figure of an equation, and the tone that its bar is drawn in."""

    label: str
    value: int
    tone: str


@dataclass(frozen=True)
class Equation:
    """A figure that must be the sum of others."""

    label: str
    total: int
    parts: tuple[Part, ...]

    @property
    def unexplained(self) -> int:
        """Return how much of the total its parts leave unexplained; below zero when they are too much."""
        return self.total - sum(part.value for part in self.parts)

    @property
    def excess(self) -> int:
        """Return by how much the parts are more than the total."""
        return -self.unexplained

    @property
    def holds(self) -> bool:
        """Say whether the parts make the total."""
        return not self.unexplained


@dataclass(frozen=True)
class Line:
    """An entry with its sign, what it is about, the id that has a page of that, and who made it, if told."""

    entry: Entry
    sign: str
    about: str
    target: str
    who: str = ""


@dataclass(frozen=True)
class Wallets:
    """Some wallets, the totals of all that were asked for, and how many credit requests wait, to our staff."""

    page: Rows[Wallet]
    count: int
    equation: Equation
    waiting: int


def funded(*, available: int, reserved: int, settled: int, total: int) -> Equation:
    """Return the equation of a wallet, or of the totals of several."""
    parts = (
        Part("Available", available, "quiet"),
        Part("Reserved", reserved, "held"),
        Part("Settled", settled, "accent"),
    )
    return Equation("Funded", total, parts)


def all_funds(access: Access, *, mode: str) -> Equation:
    """Return the equation over all wallets of a mode that somebody reaches."""
    return _totals(access, mode=mode, customer="")[1]


def wallets(access: Access, *, mode: str, customer: str, cursor: str) -> Wallets:
    """Return the wallets that somebody reaches, newest first, by mode and customer (a name's part, or an id)."""
    count, equation = _totals(access, mode=mode, customer=customer)
    rows = _chosen(access, mode=mode, customer=customer).select_related("organization")
    page = rows_after(rows, key="-id", cursor=cursor, size=WALLETS_SHOWN)
    return Wallets(page, count, equation, waiting=_waiting(access, mode))


def wallet_equation(wallet: Wallet) -> Equation:
    """Return `funded = available + reserved + settled` of one wallet."""
    return funded(available=wallet.available, reserved=wallet.reserved, settled=wallet.settled, total=wallet.funded)


def lines(
    entries: Iterable[Entry], *, requests: Mapping[str, str] | None = None, names: Mapping[str, str] | None = None
) -> list[Line]:
    """Return entries as the pages show them.

    `requests` are the ids of credit requests by reference, `names` those of who made the entries by their opaque ids.
    """
    return [replace(_line(entry, requests or {}), who=(names or {}).get(entry.actor, "")) for entry in entries]


def names_of(access: Access, entries: Iterable[Entry]) -> dict[str, str]:
    """Return the names of the people and keys that made entries by their opaque ids, to our staff."""
    if access.organization_ids is not None:
        return {}
    actors = {entry.actor for entry in entries}
    people = User.objects.filter(pk__in=actors).values_list("pk", "username")
    return {**dict(people), **dict(ApiKey.objects.filter(pk__in=actors).values_list("pk", "name"))}


def held_equation(entries: Iterable[Entry], *, final: bool) -> Equation:
    """Return `reserved = settled + refunded` of one reference's entries; what is still held counts until the end."""
    made = {kind: sum(entry.amount for entry in entries if entry.kind == kind) for kind in Entry.Kind}
    reserved = made[Entry.Kind.RESERVE]
    settled, refunded = made[Entry.Kind.SETTLE], made[Entry.Kind.REFUND]
    parts: tuple[Part, ...] = (Part("Settled", settled, "accent"), Part("Refunded", refunded, "quiet"))
    if not final:
        parts = (*parts, Part("Held", reserved - settled - refunded, "held"))
    return Equation("Reserved", reserved, parts)


def _line(entry: Entry, requests: Mapping[str, str]) -> Line:
    kind = Entry.Kind(entry.kind)
    if kind in OUTSIDE_KINDS:
        return Line(entry, SIGNS[kind], about=entry.reference, target=requests.get(entry.reference, ""))
    target = entry.reference if is_id(entry.reference, entry.reference[:3]) else ""
    return Line(entry, SIGNS[kind], about=entry.request_id or entry.reference, target=target)


def _chosen(access: Access, *, mode: str, customer: str) -> WalletQuerySet:
    rows = Wallet.objects.within(access).filter(mode=mode)
    if customer:
        rows = rows.filter(Q(organization_id=customer) | Q(organization__name__icontains=customer))
    return rows


def _waiting(access: Access, mode: str) -> int:
    if access.organization_ids is not None:
        return 0
    return CreditRequest.objects.filter(wallet__mode=mode, state=CreditRequest.State.REQUESTED).count()


def _totals(access: Access, *, mode: str, customer: str) -> tuple[int, Equation]:
    totals = _chosen(access, mode=mode, customer=customer).aggregate(
        count=Count("pk"),
        available=Sum("available", default=0),
        reserved=Sum("reserved", default=0),
        settled=Sum("settled", default=0),
        funded=Sum("funded", default=0),
    )
    equation = funded(
        available=int(totals["available"]),
        reserved=int(totals["reserved"]),
        settled=int(totals["settled"]),
        total=int(totals["funded"]),
    )
    return totals["count"], equation
