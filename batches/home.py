"""What finance's home shows: is every credit explained, where are the credits, and what needs somebody's attention."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from textwrap import shorten

from django.db.models import Count, Min, Q
from django.urls import reverse

from batches.finding import batch_address, with_query
from batches.models import FINAL_STATES, Batch, Item, Status
from batches.reconciliation_pages import LastCheck, last_check
from batches.route_pages import Condition, RouteState, routes_in_use
from customers.access import Access, Permission
from customers.models import Mode
from ledger import lows
from ledger.models import CreditRequest
from ledger.pages import Equation, all_funds
from webhooks import pages as webhooks

# An open batch that is older than this wants a look: an item has a quarter of an hour, and may wait for its turn.
LONG_OPEN = timedelta(hours=1)
NOTICES_SHOWN = 10


@dataclass(frozen=True)
class Work:
    """The batches that are open, and whether every failed item of a final batch was refunded."""

    open: int
    open_test: int
    oldest: timedelta | None
    failed: int
    refunded: int


@dataclass(frozen=True)
class Notice:
    """Something that wants a look: one sentence, since when, and where to look."""

    sentence: str
    who: str
    at: datetime
    address: str


@dataclass(frozen=True)
class Home:
    """Each part is None for those who may not see it."""

    check: LastCheck | None
    funds: Equation | None
    work: Work | None
    telling: webhooks.Load | None
    providers: list[RouteState] | None
    notices: list[Notice]


def home(access: Access, *, now: datetime) -> Home:
    """Return what somebody's home shows: money, refunds, webhooks and notices of live mode; the providers to staff."""
    money = access.may(Permission.LEDGER_READ)
    work = access.may(Permission.BATCHES_READ)
    telling = access.may(Permission.WEBHOOKS_READ)
    live = replace(access, mode=Mode.LIVE.value)
    providers = routes_in_use(now=now) if work and access.organization_ids is None else None
    load = webhooks.load(live, now=now, limit=NOTICES_SHOWN) if telling else None
    notices = [
        *(_long_open(live, now) if work else ()),
        *(_of_webhooks(load) if load else ()),
        *(_low(live) if money else ()),
        *(_undecided(live) if access.may(Permission.CREDITS_APPROVE) else ()),
    ]
    return Home(
        check=last_check(access, now=now) if money else None,
        funds=all_funds(access, mode=Mode.LIVE) if money else None,
        work=_work(access, now) if work else None,
        telling=load,
        providers=providers,
        # What holds up everybody comes first: it makes many of the others.
        notices=[*_of_routes(providers or ()), *sorted(notices, key=lambda notice: notice.at, reverse=True)][
            :NOTICES_SHOWN
        ],
    )


def _work(access: Access, now: datetime) -> Work:
    live = Q(mode=Mode.LIVE)
    batches = (
        Batch.objects.within(access)
        .open()
        .aggregate(live=Count("pk", filter=live), test=Count("pk", filter=~live), oldest=Min("created_at", filter=live))
    )
    failed = Item.objects.within(access).filter(
        status__in=(Status.FAILED, Status.REFUNDED), batch__state__in=FINAL_STATES, batch__mode=Mode.LIVE
    )
    items = failed.aggregate(failed=Count("pk"), refunded=Count("pk", filter=Q(status=Status.REFUNDED)))
    return Work(
        open=batches["live"],
        open_test=batches["test"],
        oldest=now - batches["oldest"] if batches["oldest"] else None,
        failed=items["failed"],
        refunded=items["refunded"],
    )


def _long_open(access: Access, now: datetime) -> Iterable[Notice]:
    rows = Batch.objects.within(access).open().filter(created_at__lt=now - LONG_OPEN).select_related("organization")
    for batch in rows.order_by("pk")[:NOTICES_SHOWN]:
        sentence = f"Batch {batch.request_id} is still {batch.state}. Its credits stay held until its last item ends."
        yield Notice(sentence, batch.organization.name, batch.created_at, batch_address(batch.pk))


def _of_routes(providers: Iterable[RouteState]) -> Iterable[Notice]:
    """What is shut holds up all customers. One that is paused, or never was configured, matters once items wait."""
    for state in providers:
        if state.is_shut and (state.load.open or state.condition == Condition.DOWN):
            yield Notice(_shut(state), "all", state.shut_since, reverse("admin:route", args=[state.name]))


def _shut(state: RouteState) -> str:
    """Say what holds back a route's items, how many there are, and that they are safe."""
    serves = f"{state.name} ({', '.join(state.models)})" if state.models else state.name
    is_today = state.shut_since.date() == state.now.date()
    since = f"since {state.shut_since.astimezone(UTC):{'%H:%M' if is_today else '%Y-%m-%d %H:%M'}} UTC"
    match state.condition:
        case Condition.DOWN:
            return f"The provider behind {serves} is down {since}: {_held_back(state)}"
        case Condition.PAUSED:
            why = f"by {state.paused_by} ({shorten(state.row.paused_reason, 100, placeholder='…')})"
            return f"The route {serves} is paused {since} {why}: {_held_back(state)}"
    return f"The route {serves} is not configured: {_held_back(state)}"


def _held_back(state: RouteState) -> str:
    items = state.load.open if state.condition == Condition.NOT_CONFIGURED else state.load.waiting
    if not items:
        return "no item waits."
    count = f"{'at least ' if state.load.is_least else ''}{items:,} item{' waits' if items == 1 else 's wait'}"
    return f"{count}; nothing is lost, they fail and are refunded only at their deadlines."


def _low(access: Access) -> Iterable[Notice]:
    for wallet in lows.low().within(access).select_related("organization").order_by("-low_since")[:NOTICES_SHOWN]:
        if wallet.low_since is not None:
            sentence = f"{wallet.available:,} credits are left, below the threshold of {wallet.low_threshold:,}."
            address = with_query("admin:statement", wallet.organization_id, mode=wallet.mode)
            yield Notice(sentence, wallet.organization.name, wallet.low_since, address)


def _undecided(access: Access) -> Iterable[Notice]:
    rows = CreditRequest.objects.within(access).filter(state=CreditRequest.State.REQUESTED)
    for request in rows.select_related("wallet__organization").order_by("-pk")[:NOTICES_SHOWN]:
        sentence = (
            f"A request for {request.amount:,} credits ({request.get_kind_display().lower()}) waits for a decision."
        )
        address = reverse("admin:credit_request", args=[request.pk])
        yield Notice(sentence, request.wallet.organization.name, request.requested_at, address)


def _of_webhooks(load: webhooks.Load) -> Iterable[Notice]:
    for trouble in load.troubles:
        yield Notice(trouble.sentence, trouble.who, trouble.at, trouble.address)
