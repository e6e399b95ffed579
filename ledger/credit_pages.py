"""What the pages of credit requests show: the list, one request with its effect and its history, and who may decide."""

from dataclasses import dataclass

from django.db.models import Case, Count, F, Q, Sum, Value, When
from django.db.models.functions import Concat
from django.shortcuts import get_object_or_404

from customers.access import Access, Permission
from customers.trail import Step, trail
from ledger.approvals import WEB_ADDRESS, entries_of
from ledger.models import CreditRequest, CreditRequestQuerySet, Entry, Wallet
from sora2.pages import Rows, rows_after

REQUESTS_SHOWN = 50
State = CreditRequest.State
Kind = Entry.Kind


@dataclass(frozen=True)
class Wanted:
    """Which requests to list; the empty text is no restriction. `customer` is part of a name, or an id."""

    mode: str
    state: str = ""
    customer: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Total:
    """All requests in one state: how many, and the credits that they bring in and take out."""

    state: str
    count: int
    brings: int
    takes: int


@dataclass(frozen=True)
class RequestList:
    """Some requests, those that wait for a decision first, and the totals of all that were asked for, by state."""

    page: Rows[CreditRequest]
    totals: list[Total]


@dataclass(frozen=True)
class Figure:
    """A figure of a wallet before and after."""

    label: str
    before: int
    after: int


@dataclass(frozen=True)
class Effect:
    """What a request does to its wallet, or what its entry did."""

    figures: tuple[Figure, ...]

    @property
    def possible(self) -> bool:
        """Say whether no figure falls below zero."""
        return all(figure.after >= 0 for figure in self.figures)


@dataclass(frozen=True)
class Detail:
    """One request, what it does, and what happened to it. `why_not` says why the reader cannot decide what is open."""

    request: CreditRequest
    entry: Entry | None
    effect: Effect | None
    evidence_link: str
    history: list[Step]
    may_decide: bool
    why_not: str


def request_list(access: Access, *, wanted: Wanted, cursor: str) -> RequestList:
    """Return the requests that somebody reaches and wants, open ones first, each group newest first."""
    chosen = _chosen(access, wanted)
    # Made by people, so there are few: sorting them costs less than an index that would have to be kept.
    first = Case(When(state=State.REQUESTED, then=Value("1")), default=Value("0"))
    rows = chosen.annotate(place=Concat(first, F("id")))
    related = ("wallet__organization", "requested_by", "decided_by")
    return RequestList(
        page=rows_after(rows.select_related(*related), key="-place", cursor=cursor, size=REQUESTS_SHOWN),
        totals=_totals(chosen),
    )


def reached(access: Access, *, request_id: str) -> CreditRequest:
    """Return a request that somebody reaches. Raises Http404."""
    related = ("wallet__organization", "requested_by", "decided_by")
    return get_object_or_404(CreditRequest.objects.within(access).select_related(*related), pk=request_id)


def detail(access: Access, *, request_id: str) -> Detail:
    """Return what a request's page shows. Raises Http404 for what somebody does not reach."""
    request = reached(access, request_id=request_id)
    entry = entries_of([request]).get(request.pk)
    why_not, owner = _why_not(access, request), request.wallet.organization_id
    return Detail(
        request=request,
        entry=entry,
        effect=_effect_of(request, entry),
        evidence_link=request.evidence_url if WEB_ADDRESS.fullmatch(request.evidence_url) else "",
        history=trail(request.pk, organization_id=owner, since=request.requested_at),
        may_decide=request.state == State.REQUESTED and not why_not,
        why_not=why_not if request.state == State.REQUESTED else "",
    )


def effect(wallet: Wallet, *, kind: str, amount: int) -> Effect:
    """Return what an approval would do to the wallet as it now is."""
    return _moved(available=wallet.available, funded=wallet.funded, by=_signed(kind, amount))


def _chosen(access: Access, wanted: Wanted) -> CreditRequestQuerySet:
    rows = CreditRequest.objects.within(access).filter(wallet__mode=wanted.mode)
    if wanted.state:
        rows = rows.filter(state=wanted.state)
    if wanted.kind:
        rows = rows.filter(kind=wanted.kind)
    if wanted.customer:
        by_name = Q(wallet__organization__name__icontains=wanted.customer)
        rows = rows.filter(Q(wallet__organization_id=wanted.customer) | by_name)
    return rows


def _totals(chosen: CreditRequestQuerySet) -> list[Total]:
    takes = Q(kind=Kind.ADJUSTMENT_OUT)
    grouped = chosen.order_by().values("state").annotate(
        count=Count("pk"),
        brings=Sum("amount", filter=~takes, default=0),
        takes=Sum("amount", filter=takes, default=0),
    )  # fmt: skip
    by_state = {row["state"]: row for row in grouped}
    return [
        Total(state, row["count"], int(row["brings"]), int(row["takes"]))
        for state in State.values
        if (row := by_state.get(state))
    ]


def _effect_of(request: CreditRequest, entry: Entry | None) -> Effect | None:
    """Return what the entry did, or an approval would do; None for what was rejected."""
    if entry is not None:
        by = _signed(request.kind, request.amount)
        funded = entry.available_after + entry.reserved_after + entry.settled_after
        return _moved(available=entry.available_after - by, funded=funded - by, by=by)
    if request.state != State.REQUESTED:
        return None
    return effect(request.wallet, kind=request.kind, amount=request.amount)


def _signed(kind: str, amount: int) -> int:
    return -amount if kind == Kind.ADJUSTMENT_OUT else amount


def _moved(*, available: int, funded: int, by: int) -> Effect:
    return Effect((Figure("Available", available, available + by), Figure("Funded", funded, funded + by)))


def _why_not(access: Access, request: CreditRequest) -> str:
    """Return why this person cannot decide; the empty text when they can."""
    if not access.may(Permission.CREDITS_APPROVE):
        return "Your role does not decide about credits; somebody with the role finance approver does."
    if request.requested_by_id == access.actor:
        return "You asked for this yourself: a second person has to decide."
    return ""
