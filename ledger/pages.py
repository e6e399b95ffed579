"""What the ledger's pages show: wallets, entries, and the equations that every credit must satisfy."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from django.db.models import Count, Q, Sum
from django.http import Http404
from django.shortcuts import get_object_or_404

from customers.access import Access
from customers.models import Mode
from customers.naming import names_for_staff
from ledger.models import OUTSIDE_KINDS, CreditRequest, Entry, Wallet, WalletQuerySet
from sora2.ids import is_id
from sora2.pages import Rows, rows_after, with_query

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


# Where a figure of this name is explained.
Where = Callable[[str], str]


def nowhere(figure: str) -> str:  # noqa: ARG001 - the shape of what says where.
    """Say that a figure is explained nowhere: what is past has no rows any more."""
    return ""


@dataclass(frozen=True)
class Part:
    """One figure of an equation, the tone that its bar is drawn in, and where it is explained."""

    label: str
    value: int
    tone: str
    address: str = ""


@dataclass(frozen=True)
class Equation:
    """A figure that must be the sum of others, and where it is explained."""

    label: str
    total: int
    parts: tuple[Part, ...]
    address: str = ""

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


def funded(*, available: int, reserved: int, settled: int, total: int, where: Where = nowhere) -> Equation:
    """Return the equation of a wallet, or of the totals of several; `where` says where each figure is explained."""
    parts = (
        Part("Available", available, "quiet", where("available")),
        Part("Reserved", reserved, "held", where("reserved")),
        Part("Settled", settled, "accent", where("settled")),
    )
    return Equation("Funded", total, parts, where("funded"))


def all_funds(access: Access, *, mode: str) -> Equation:
    """Return the equation over all wallets of a mode that somebody reaches."""
    return _totals(access, mode=mode, customer="")[1]


def wallets(access: Access, *, mode: str, customer: str, cursor: str) -> Wallets:
    """Return the wallets that somebody reaches, newest first, by mode and customer (a name's part, or an id)."""
    count, equation = _totals(access, mode=mode, customer=customer)
    rows = chosen_wallets(access, mode=mode, customer=customer).select_related("organization")
    page = rows_after(rows, key="-id", cursor=cursor, size=WALLETS_SHOWN)
    return Wallets(page, count, equation, waiting=_waiting(access, mode))


def chosen_wallets(access: Access, *, mode: str, customer: str) -> WalletQuerySet:
    """Return the wallets that somebody reaches, by mode and customer (a name's part, or an id)."""
    rows = Wallet.objects.within(access).filter(mode=mode)
    if customer:
        rows = rows.filter(Q(organization_id=customer) | Q(organization__name__icontains=customer))
    return rows


def reached_wallet(access: Access, *, organization_id: str, mode: str) -> Wallet:
    """Return a customer's wallet that somebody reaches, its organization loaded. Raises Http404."""
    if mode not in Mode.values:
        raise Http404
    wallets = Wallet.objects.within(access).select_related("organization")
    return get_object_or_404(wallets, organization_id=organization_id, mode=mode)


def wallet_equation(wallet: Wallet) -> Equation:
    """Return `funded = available + reserved + settled` of one wallet."""
    figures = {"available": wallet.available, "reserved": wallet.reserved, "settled": wallet.settled}
    return funded(
        **figures,
        total=wallet.funded,
        where=lambda figure: wallet_why_address(wallet.organization_id, wallet.mode, figure),
    )


def wallet_why_address(organization_id: str, mode: str, figure: str) -> str:
    """Return the page that explains a figure of a wallet."""
    return with_query("admin:wallet_why", organization_id, figure, mode=mode)


def lines(
    entries: Iterable[Entry], *, requests: Mapping[str, str] | None = None, names: Mapping[str, str] | None = None
) -> list[Line]:
    """Return entries as the pages show them.

    `requests` are the ids of credit requests by reference, `names` those of who made the entries by their opaque ids.
    """
    return [replace(_line(entry, requests or {}), who=(names or {}).get(entry.actor, "")) for entry in entries]


def makers_of(access: Access, entries: Iterable[Entry]) -> dict[str, str]:
    """Return the names of the people and keys that made entries by their opaque ids, to our staff."""
    return {} if access.organization_ids is not None else names_for_staff(entry.actor for entry in entries)


def held_equation(entries: Iterable[Entry], *, final: bool, where: Where = nowhere) -> Equation:
    """Return `reserved = settled + refunded` of one reference's entries; what is still held counts until the end."""
    made = {kind: sum(entry.amount for entry in entries if entry.kind == kind) for kind in Entry.Kind}
    reserved = made[Entry.Kind.RESERVE]
    settled, refunded = made[Entry.Kind.SETTLE], made[Entry.Kind.REFUND]
    parts: tuple[Part, ...] = (
        Part("Settled", settled, "accent", where("settled")),
        Part("Refunded", refunded, "quiet", where("refunded")),
    )
    if not final:
        parts = (*parts, Part("Held", reserved - settled - refunded, "held", where("held")))
    return Equation("Reserved", reserved, parts, where("reserved"))


def _line(entry: Entry, requests: Mapping[str, str]) -> Line:
    kind = Entry.Kind(entry.kind)
    if kind in OUTSIDE_KINDS:
        return Line(entry, SIGNS[kind], about=entry.reference, target=requests.get(entry.reference, ""))
    target = entry.reference if is_id(entry.reference, entry.reference[:3]) else ""
    return Line(entry, SIGNS[kind], about=entry.request_id or entry.reference, target=target)


def _waiting(access: Access, mode: str) -> int:
    if access.organization_ids is not None:
        return 0
    return CreditRequest.objects.filter(wallet__mode=mode, state=CreditRequest.State.REQUESTED).count()


def _totals(access: Access, *, mode: str, customer: str) -> tuple[int, Equation]:
    totals = chosen_wallets(access, mode=mode, customer=customer).aggregate(
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
        where=_where(access, mode=mode, customer=customer),
    )
    return totals["count"], equation


def _where(access: Access, *, mode: str, customer: str) -> Where:
    """Return where each total is explained: to who belongs to one customer, by their wallet at once."""
    own = access.organization_ids or ()
    asked = {"mode": mode, "customer": customer} if customer else {"mode": mode}

    def where(figure: str) -> str:
        if len(own) == 1:
            return wallet_why_address(next(iter(own)), mode, figure)
        return with_query("admin:totals_why", figure, **asked)

    return where
