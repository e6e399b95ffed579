"""What finance's home shows: is every credit explained, where are the credits, and what needs somebody's attention."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q, Sum

from batches import attention
from batches.attention import NOTICES_SHOWN, Notice
from batches.models import FINAL_STATES, Batch, Item, Status
from batches.reconciliation_pages import LastCheck, last_check
from batches.route_pages import RouteState, routes_in_use
from customers.access import Access, Permission
from customers.models import Mode
from ledger.day_pages import Chart, chart
from ledger.pages import Equation, all_funds
from sora2.pages import with_query
from sora2.times import timestamp
from webhooks import pages as webhooks

# Open batches are counted by age: younger than the first, between the two, and older.
AGES = (timedelta(hours=1), timedelta(days=1))


@dataclass(frozen=True)
class Age:
    """How many open batches are so old, and the list of them."""

    words: str
    count: int
    address: str


@dataclass(frozen=True)
class Work:
    """The batches that are open, in the other mode too, by age, and whether every failed item of a final batch was
    refunded.
    """

    open: int
    elsewhere: int
    oldest: timedelta | None
    ages: list[Age]
    failed: int
    refunded: int


@dataclass(frozen=True)
class Home:
    """What is shown of one mode. Each part is None for those who may not see it."""

    mode: Mode
    check: LastCheck | None
    funds: Equation | None
    work: Work | None
    telling: webhooks.Load | None
    providers: list[RouteState] | None
    chart: Chart | None
    notices: list[Notice]

    @property
    def other_mode(self) -> Mode:
        """Return the mode that is not shown."""
        return Mode.TEST if self.mode == Mode.LIVE else Mode.LIVE


def home(access: Access, *, now: datetime, mode: Mode = Mode.LIVE) -> Home:
    """Return what somebody's home shows: money, refunds, webhooks and notices of a mode; the providers to staff."""
    money = access.may(Permission.LEDGER_READ)
    work = access.may(Permission.BATCHES_READ)
    telling = access.may(Permission.WEBHOOKS_READ)
    shown = replace(access, mode=mode.value)
    providers = routes_in_use(now=now) if work and access.organization_ids is None else None
    load = webhooks.load(shown, now=now, limit=NOTICES_SHOWN) if telling else None
    notices = [
        *(attention.of_long_open(shown, now) if work else ()),
        *(attention.of_webhooks(load) if load else ()),
        *(attention.of_low_wallets(shown) if money else ()),
        *(attention.of_undecided(shown) if access.may(Permission.CREDITS_APPROVE) else ()),
    ]
    # What is owed comes first; then what holds up everybody, which makes many of the others.
    urgent = [
        *(attention.of_unrefunded(shown) if work and money else ()),
        *attention.of_routes(providers or ()),
    ]
    return Home(
        mode=mode,
        check=last_check(access, now=now) if money else None,
        funds=all_funds(access, mode=mode) if money else None,
        work=_work(access, mode, now) if work else None,
        telling=load,
        providers=providers,
        chart=chart(access, mode=mode, now=now) if money else None,
        notices=[*urgent, *attention.newest_first(notices)][:NOTICES_SHOWN],
    )


def _work(access: Access, mode: Mode, now: datetime) -> Work:
    shown, young, older = Q(mode=mode), *(now - age for age in AGES)
    batches = (
        Batch.objects.within(access)
        .open()
        .aggregate(
            shown=Count("pk", filter=shown),
            elsewhere=Count("pk", filter=~shown),
            oldest=Min("created_at", filter=shown),
            young=Count("pk", filter=shown & Q(created_at__gte=young)),
            older=Count("pk", filter=shown & Q(created_at__lt=older)),
        )
    )
    between = batches["shown"] - batches["young"] - batches["older"]
    failed, unrefunded = _failed(access, mode)
    return Work(
        open=batches["shown"],
        elsewhere=batches["elsewhere"],
        oldest=now - batches["oldest"] if batches["oldest"] else None,
        ages=[
            Age("under 1 h", batches["young"], _open_batches(mode, since=young)),
            Age("of 1–24 h", between, _open_batches(mode, since=older, until=young)),
            Age("older", batches["older"], _open_batches(mode, until=older)),
        ],
        failed=failed,
        refunded=failed - unrefunded,
    )


def _failed(access: Access, mode: Mode) -> tuple[int, int]:
    """Return how many items of final batches failed, as these say themselves, and how many of them await a refund.

    Read in batches_batch_with_failures, and in batches_item_unrefunded, which holds next to nothing.
    """
    # An open batch does not know yet.
    ended = Batch.objects.within(access).filter(mode=mode, failed__gt=0)
    unrefunded = Item.objects.within(access).filter(
        status=Status.FAILED, batch__mode=mode, batch__state__in=FINAL_STATES
    )
    return ended.aggregate(failed=Sum("failed", default=0))["failed"], unrefunded.count()


def _open_batches(mode: Mode, *, since: datetime | None = None, until: datetime | None = None) -> str:
    interval = {"from": timestamp(since), "until": timestamp(until)}
    given = {name: at for name, at in interval.items() if at}
    return with_query("admin:batch_list", state="open", mode=mode.value, **given)
