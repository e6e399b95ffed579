"""A pilot as the customer follows it: the clock, the three criteria with their evidence, what is next, day by day."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse

from batches.finding import batch_address, sign_off_address
from batches.models import Batch, SignOff
from customers.access import Access, Permission
from customers.models import Mode
from ledger.pages import Part
from pilots.boundary import BOUNDARY
from pilots.checklist_facts import Facts
from pilots.checklist_items import THEIRS
from pilots.checklists import Group, Sides, checklists
from pilots.criteria import Criterion, Judgement, judge
from pilots.models import Pilot
from sora2.pages import with_query
from webhooks.models import Attempt
from webhooks.trail import host_of

# The review is held on the second or third day; after that a pilot is history.
SHOWN_AFTER_DEADLINE = timedelta(days=14)
# Who ticks the customer's lines has one of these.
MAY_TICK = (Permission.BATCHES_WRITE, Permission.BATCHES_SIGN_OFF, Permission.WEBHOOKS_WRITE)


@dataclass(frozen=True)
class Link:
    """Where something is done or seen, and what it is called."""

    words: str
    address: str


@dataclass(frozen=True)
class Shown:
    """A criterion, whether it was met in time, and its evidence as far as somebody may see it."""

    criterion: Criterion
    in_time: bool
    evidence: Link | None


@dataclass(frozen=True)
class Day:
    """A step of the quick reference for engineers, and whether it is done; None: nothing that the system can see."""

    day: str
    words: str
    done: bool | None
    link: Link | None = None


@dataclass(frozen=True)
class PilotBlock:
    """A pilot on the start page. `left` is None once the deadline has passed; `clock` is how the hours are used up.

    `steps` are the pages on which a person does what `judgement.next` says.
    """

    judgement: Judgement
    left: timedelta | None
    hours: int
    clock: tuple[Part, Part]
    criteria: list[Shown]
    steps: list[Link]
    days: list[Day]
    checklist: list[Group]
    boundary: str

    @property
    def minutes(self) -> int:
        """Return how long the clock runs in all."""
        return sum(part.value for part in self.clock)


def pilot_block(own: Access, *, now: datetime) -> PilotBlock | None:
    """Return the pilot of the one organization that `own` reaches; None if there is none, or it was long ago."""
    pilot = Pilot.objects.within(own).filter(deadline__gte=now - SHOWN_AFTER_DEADLINE).first()
    if pilot is None:
        return None
    judgement = judge(pilot=pilot, now=now)
    facts = Facts(judgement)
    whole, left = pilot.deadline - pilot.activated_at, max(pilot.deadline - now, timedelta())
    passed = max(whole - left, timedelta())
    return PilotBlock(
        judgement=judgement,
        left=left or None,
        hours=round(whole / timedelta(hours=1)),
        clock=(Part("minutes passed", _minutes(passed), "held"), Part("minutes left", _minutes(left), "quiet")),
        criteria=[_shown(own, criterion, pilot) for criterion in judgement.criteria],
        steps=_steps(own, judgement),
        days=_days(own, facts),
        checklist=checklists(facts, shown=own, ticks=_ticks(own), only=THEIRS),
        boundary=BOUNDARY,
    )


def _minutes(time: timedelta) -> int:
    return time // timedelta(minutes=1)


def _shown(own: Access, criterion: Criterion, pilot: Pilot) -> Shown:
    in_time = criterion.met_at is not None and criterion.met_at <= pilot.deadline
    return Shown(criterion, in_time, _evidence(own, criterion))


def _evidence(own: Access, criterion: Criterion) -> Link | None:
    match criterion.evidence:
        case Batch() as batch:
            return Link(f"batch {batch.request_id}", batch_address(batch.pk))
        case Attempt() as attempt if own.may(Permission.WEBHOOKS_READ):
            address = reverse("admin:delivery", args=[attempt.delivery_id])
            return Link(f"delivery to {host_of(attempt.delivery.url)}", address)
        case SignOff() as signed if own.may(Permission.LEDGER_READ):
            return Link("signed off on Billing", sign_off_address(signed.batch_id))
    return None


def _steps(own: Access, judgement: Judgement) -> list[Link]:
    """Return the pages for the first criterion that is not met; sentences of `next` name the calls of the API."""
    ran, received, signed = judgement.criteria
    if not ran.is_met:
        new = Link("Order a batch on a page", with_query("admin:batch_new", mode=Mode.LIVE.value))
        listed = Link("Your live batches", with_query("admin:batch_list", mode=Mode.LIVE.value))
        return [new, listed] if own.may(Permission.BATCHES_WRITE) else [listed]
    if not received.is_met and own.may(Permission.WEBHOOKS_READ):
        return [_endpoints(), Link("Deliveries", with_query("admin:delivery_list", mode=Mode.LIVE.value))]
    if not signed.is_met and isinstance(ran.evidence, Batch) and own.may(Permission.LEDGER_READ):
        return [Link(f"Billing of {ran.evidence.request_id}", sign_off_address(ran.evidence.pk))]
    return []


def _endpoints() -> Link:
    return Link("Webhook endpoints", with_query("admin:endpoint_list", mode=Mode.LIVE.value))


def _days(own: Access, facts: Facts) -> list[Day]:
    """Return the onboarding document's quick reference for engineers, checked where the system can check it."""
    ran, received, signed = facts.judgement.criteria
    may_see_keys = own.may(Permission.ACCOUNT_READ)
    keys = Link("API keys", reverse("admin:key_list", args=[facts.organization_id])) if may_see_keys else None
    return [
        Day("Day 0", "Get API key: a live key was used", facts.key_used, keys),
        Day("Day 0", "Set up webhook endpoint: one of your own is there", facts.endpoint is not None, _endpoints()),
        Day("Day 1", "Run first batch (10-50 items)", ran.is_met),
        Day("Day 1", "Verify webhook receipt", received.is_met),
        Day("Day 2", "Check ledger matches webhook: a batch is signed off", signed.is_met),
        Day("Day 2", "Share feedback with your contact", None),
    ]


def _ticks(own: Access) -> Sides:
    """Return whose lines somebody may tick on the start page: those of who works on the pilot, as own_tick asks."""
    return (THEIRS,) if any(own.may(each) for each in MAY_TICK) else ()
