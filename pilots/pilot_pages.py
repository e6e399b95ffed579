"""What the list of pilots and the page of one show to our people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.shortcuts import get_object_or_404
from django.urls import reverse

from batches.finding import batch_address, sign_off_address
from customers.access import Access, Permission
from customers.models import Mode
from customers.naming import names_for_staff
from ledger.models import Entry, Wallet
from pilots.boundary import BOUNDARY
from pilots.clock import Clock, clock_of
from pilots.criteria import Judgement, Status, judge, judge_all
from pilots.evidence import status_at
from pilots.models import Pilot, PilotFailure
from pilots.next_steps import Missing
from pilots.pilot_acts import CLOSED, why_not_closed
from pilots.pilot_block import Link, ShownCriterion, shown
from sora2.pages import Rows, rows_after, with_query

PILOTS_SHOWN = 50


@dataclass(frozen=True)
class Wanted:
    """Which pilots to list; the empty text is no restriction. `customer` is part of a name, or an id."""

    status: str = ""
    customer: str = ""


@dataclass(frozen=True)
class Row:
    """A pilot in the list."""

    judgement: Judgement
    clock: Clock


@dataclass(frozen=True)
class PilotList:
    """Some pilots, newest first, and how many are wanted in all."""

    page: Rows[Pilot]
    rows: list[Row]
    count: int


@dataclass(frozen=True)
class PilotPage:
    """What the page of a pilot shows. `help_links` are where our people help; `grant` is its promotional credits'."""

    judgement: Judgement
    clock: Clock
    criteria: list[ShownCriterion]
    help_links: list[Link]
    made_by: str
    grant: Entry | None
    wallet: Wallet | None
    may_act: bool
    why_not_closed: str
    boundary: str = BOUNDARY

    @property
    def may_record(self) -> bool:
        """Say whether a failure can be recorded, or taken back."""
        return self.may_act and self.judgement.status != Status.SCHEDULED and not self.judgement.pilot.closed_at

    @property
    def may_move(self) -> bool:
        """Say whether the start can be moved."""
        return self.may_act and self.clock.begins_in is not None and not self.judgement.pilot.closed_at


def pilot_list(access: Access, *, wanted: Wanted, cursor: str, now: datetime) -> PilotList:
    """Return the pilots that somebody reaches and wants."""
    rows = Pilot.objects.within(access).select_related("organization")
    if wanted.customer:
        by_name = Q(organization__name__icontains=wanted.customer)
        rows = rows.filter(Q(organization_id=wanted.customer) | by_name)
    if wanted.status:
        rows = rows.alias(stands=status_at(now)).filter(stands=wanted.status)
    page = rows_after(rows, key="-id", cursor=cursor, size=PILOTS_SHOWN)
    judged = judge_all(page.rows, now=now)
    return PilotList(page, [Row(each, clock_of(each.pilot, now=now)) for each in judged], rows.count())


def pilot_page(access: Access, pilot: Pilot, *, now: datetime) -> PilotPage:
    """Return what the page of a pilot shows."""
    judgement = judge(pilot=pilot, now=now)
    live = {"wallet__organization": pilot.organization_id, "wallet__mode": Mode.LIVE}
    return PilotPage(
        judgement=judgement,
        clock=clock_of(pilot, now=now),
        criteria=[shown(access, criterion) for criterion in judgement.criteria],
        help_links=help_links(judgement),
        made_by=names_for_staff([pilot.created_by]).get(pilot.created_by, pilot.created_by),
        grant=Entry.objects.filter(**live, kind=Entry.Kind.GRANT, reference=pilot.pk).first(),
        wallet=Wallet.objects.within(access).filter(organization=pilot.organization_id, mode=Mode.LIVE).first(),
        may_act=access.may(Permission.PILOTS_WRITE),
        why_not_closed=CLOSED if pilot.closed_at else why_not_closed(judgement.status, pilot, now),
    )


def reached_failure(pilot: Pilot, *, failure_id: int) -> PilotFailure:
    """Return a failure that was recorded of a pilot. Raises Http404."""
    return get_object_or_404(PilotFailure.objects.select_related("pilot"), pilot=pilot, pk=failure_id)


def help_links(judgement: Judgement) -> list[Link]:
    """Return the pages on which our people see what is missing, and help."""
    found, pilot = judgement.evidence, judgement.pilot
    owner = pilot.organization_id
    of_theirs = {"customer": owner, "mode": Mode.LIVE.value}
    match judgement.missing:
        case Missing.START:
            return [Link("Checklists", reverse("admin:pilot_checklists", args=[pilot.pk]))]
        case Missing.BATCH:
            keys = Link("Their API keys", reverse("admin:key_list", args=[owner]))
            return [keys, Link("Quick start", "/docs/enterprise/quick-start")]
        case Missing.END | Missing.UNCANCELED:
            return [Link("The batch", batch_address(batch.pk)) for batch in (found.open or found.canceled,) if batch]
        case Missing.ENDPOINT:
            return [Link("Their endpoints", with_query("admin:endpoint_list", **of_theirs))]
        case Missing.RECEIPT:
            return [Link("Their deliveries", with_query("admin:delivery_list", **of_theirs))]
        case Missing.ACCEPTANCE if found.refused:
            return [Link("The delivery", reverse("admin:delivery", args=[found.refused.delivery_id]))]
        case Missing.SIGNER | Missing.SIGN_OFF:
            return [Link("Their people", reverse("admin:people", args=[owner])), *_billing(judgement)]
        case Missing.TIME | Missing.REVIEW:
            return _ending(pilot)
    return []


def _billing(judgement: Judgement) -> list[Link]:
    ran = judgement.evidence.ran
    return [Link(f"Billing of {ran.request_id}", sign_off_address(ran.pk))] if ran else []


def _ending(pilot: Pilot) -> list[Link]:
    pages: Sequence[tuple[str, str]] = (("Mails", "pilot_mails"), ("Review", "pilot_review"))
    return [Link(words, reverse(f"admin:{name}", args=[pilot.pk])) for words, name in pages]
