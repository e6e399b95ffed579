"""What on home wants somebody's attention: one sentence each, since when, whose it is, and where to look."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from textwrap import shorten

from django.db.models import Count, Sum
from django.urls import reverse

from batches.finding import batch_address
from batches.models import FINAL_STATES, Batch, Item, Status
from batches.route_pages import Condition, RouteState
from customers.access import Access
from ledger import lows
from ledger.models import CreditRequest
from sora2.pages import with_query
from webhooks import pages as webhooks

# An open batch that is older than this wants a look: an item has a quarter of an hour, and may wait for its turn.
LONG_OPEN = timedelta(hours=1)
NOTICES_SHOWN = 10


@dataclass(frozen=True)
class Notice:
    """Something that wants a look."""

    sentence: str
    who: str
    at: datetime
    address: str


def newest_first(notices: Iterable[Notice]) -> list[Notice]:
    """Return them by when they began, the latest first."""
    return sorted(notices, key=lambda notice: notice.at, reverse=True)


def of_unrefunded(access: Access) -> Iterable[Notice]:
    """Failed items of final batches that were not refunded, by batch: there should never be any."""
    rows = Item.objects.within(access).filter(status=Status.FAILED, batch__state__in=FINAL_STATES)
    batch = ("batch_id", "batch__request_id", "batch__organization__name", "batch__finished_at")
    grouped = rows.order_by().values_list(*batch).annotate(Count("pk"), Sum("credits"))
    for pk, request_id, who, finished_at, count, credits in grouped.order_by("-batch_id")[:NOTICES_SHOWN]:
        items = f"{count:,} failed item{' was' if count == 1 else 's were'}"
        sentence = f"Batch {request_id} is final, and {items} not refunded: the customer is owed {credits:,} credits."
        yield Notice(sentence, who, finished_at, f"{batch_address(pk)}?show=failed")


def of_long_open(access: Access, now: datetime) -> Iterable[Notice]:
    """Batches that have been open for long."""
    rows = Batch.objects.within(access).open().filter(created_at__lt=now - LONG_OPEN).select_related("organization")
    for batch in rows.order_by("pk")[:NOTICES_SHOWN]:
        sentence = f"Batch {batch.request_id} is still {batch.state}. Its credits stay held until its last item ends."
        yield Notice(sentence, batch.organization.name, batch.created_at, batch_address(batch.pk))


def of_low_wallets(access: Access) -> Iterable[Notice]:
    """Wallets below their thresholds."""
    for wallet in lows.low().within(access).select_related("organization").order_by("-low_since")[:NOTICES_SHOWN]:
        if wallet.low_since is not None:
            sentence = f"{wallet.available:,} credits are left, below the threshold of {wallet.low_threshold:,}."
            address = with_query("admin:statement", wallet.organization_id, mode=wallet.mode)
            yield Notice(sentence, wallet.organization.name, wallet.low_since, address)


def of_undecided(access: Access) -> Iterable[Notice]:
    """Requests for credits that wait for a decision."""
    rows = CreditRequest.objects.within(access).filter(state=CreditRequest.State.REQUESTED)
    for request in rows.select_related("wallet__organization").order_by("-pk")[:NOTICES_SHOWN]:
        sentence = (
            f"A request for {request.amount:,} credits ({request.get_kind_display().lower()}) waits for a decision."
        )
        address = reverse("admin:credit_request", args=[request.pk])
        yield Notice(sentence, request.wallet.organization.name, request.requested_at, address)


def of_webhooks(load: webhooks.Load) -> Iterable[Notice]:
    """What customers' receivers do not take."""
    for trouble in load.troubles:
        yield Notice(trouble.sentence, trouble.who, trouble.at, trouble.address)


def of_routes(providers: Iterable[RouteState]) -> Iterable[Notice]:
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
