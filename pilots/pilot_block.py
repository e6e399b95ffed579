"""A pilot as the customer follows it: the clock, the three criteria with their evidence, what is next, day by day."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse

from batches.finding import batch_address, sign_off_address
from batches.models import Batch, Side, SignOff
from customers.access import Access, Permission
from customers.models import Mode, Plan
from pilots.boundary import BOUNDARY
from pilots.checklist_facts import Facts
from pilots.checklist_items import THEIRS
from pilots.checklists import Group, Sides, checklists
from pilots.clock import Clock, clock_of
from pilots.criteria import Criterion, Judgement, judge
from pilots.models import Pilot
from pilots.next_steps import Missing, answer_of
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
class ShownCriterion:
    """A criterion, and its evidence as far as somebody may see it, in words that follow the link.

    `signed` is the sign-off, and `who` whose it is; for who may see its figures.
    """

    criterion: Criterion
    evidence: Link | None = None
    words: str = ""
    signed: SignOff | None = None
    who: str = ""


@dataclass(frozen=True)
class Day:
    """A step of the quick reference for engineers, and whether it is done; None: nothing that the system can see."""

    day: str
    words: str
    done: bool | None
    link: Link | None = None


@dataclass(frozen=True)
class PilotBlock:
    """A pilot on the start page. `steps` are the pages on which a person does what `judgement.next` says."""

    judgement: Judgement
    clock: Clock
    criteria: list[ShownCriterion]
    steps: list[Link]
    days: list[Day]
    checklist: list[Group]
    boundary: str


def pilot_block(own: Access, *, now: datetime) -> PilotBlock | None:
    """Return the pilot of the one organization that `own` reaches; None if there is none, or it is history."""
    recent = Pilot.objects.within(own).filter(deadline__gte=now - SHOWN_AFTER_DEADLINE)
    # Its boundary and its clock bind nobody who has a contract.
    pilot = recent.filter(organization__plan=Plan.PILOT).first()
    if pilot is None:
        return None
    judgement = judge(pilot=pilot, now=now)
    facts = Facts(judgement)
    return PilotBlock(
        judgement=judgement,
        clock=clock_of(pilot, now=now),
        criteria=[shown(own, criterion) for criterion in judgement.criteria],
        steps=_steps(own, judgement),
        days=_days(own, facts),
        checklist=checklists(facts, shown=own, ticks=_ticks(own), only=THEIRS),
        boundary=BOUNDARY,
    )


def shown(access: Access, criterion: Criterion) -> ShownCriterion:
    """Return a criterion with as much of its evidence as somebody may see."""
    match criterion.evidence:
        case Batch() as batch:
            return ShownCriterion(
                criterion, Link(f"batch {batch.request_id}", batch_address(batch.pk)), words=batch.state
            )
        case Attempt() as attempt if access.may(Permission.WEBHOOKS_READ):
            address = reverse("admin:delivery", args=[attempt.delivery_id])
            link = Link(f"delivery to {host_of(attempt.delivery.url)}", address)
            return ShownCriterion(criterion, link, words=f"answered {answer_of(attempt)}")
        case SignOff() as signed if access.may(Permission.LEDGER_READ):
            link = Link("signed off on Billing", sign_off_address(signed.batch_id))
            return ShownCriterion(criterion, link, signed=signed, who=_who(access, signed))
    return ShownCriterion(criterion)


def _who(access: Access, signed: SignOff) -> str:
    """Return who signed a batch off. Who of our staff, is for our staff to know."""
    if signed.side == Side.CUSTOMER:
        return f"{signed.signed_by.username}, {signed.role}"
    return f"{signed.signed_by.username}, our {signed.role}" if access.organization_ids is None else "our finance"


def _steps(own: Access, judgement: Judgement) -> list[Link]:
    """Return the pages for the first criterion that is not met; sentences of `next` name the calls of the API."""
    ran, received, signed = judgement.criteria
    if judgement.missing == Missing.NOTHING:
        return []
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
