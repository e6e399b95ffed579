"""What the pages of leads show: the list by stages, and one lead with its steps, mails, pilot and signals."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from customers.access import Access
from pilots import signals
from pilots.leads import is_after
from pilots.mail_pages import Written, written
from pilots.mail_templates import TO_LEADS, Template
from pilots.models import OPENS_TRANSITION, Lead, LeadStep, Pilot, SalesMail, Signal
from pilots.pages import leads_of
from pilots.sales_rules import MEANINGS, Meaning
from pilots.sales_steps import STEPS, Step
from sora2.pages import rows_after

LEADS_SHOWN, STEPS_SHOWN, MAILS_SHOWN, SIGNALS_SHOWN = 50, 100, 50, 50


@dataclass(frozen=True)
class Wanted:
    """Which leads to list; the empty text is no restriction. `customer` is part of a name or an e-mail, or an id."""

    stage: str = ""
    lost: bool = False
    customer: str = ""


@dataclass(frozen=True)
class Column:
    """A step of the sale, and how many leads stand there."""

    step: Step
    count: int


@dataclass(frozen=True)
class Row:
    """A lead of the list, with its latest step and the latest sign of danger."""

    lead: Lead
    step: LeadStep | None
    danger: Signal | None


@dataclass(frozen=True)
class LeadList:
    """Some leads, and how many there are in each stage; those that are lost apart."""

    columns: list[Column]
    lost: int
    rows: list[Row]
    next: str | None
    start: bool


@dataclass(frozen=True)
class Happened:
    """A step of a lead; `moved` says that it has another stage by it, `back` that this is an earlier one."""

    step: LeadStep
    moved: bool
    back: bool


@dataclass(frozen=True)
class SeenSignal:
    """A signal with what it means; `opens` says that it opens the transition to Enterprise."""

    signal: Signal
    meaning: Meaning
    opens: bool


@dataclass(frozen=True)
class LeadPage:
    """One lead with all that there is about it; of each stage whether it has come so far.

    `templates` are the mails that can be written to it.
    """

    lead: Lead
    pilot: Pilot | None
    stages: list[tuple[Step, bool]]
    steps: list[Happened]
    mails: list[Written]
    templates: list[Template]
    seen: list[SeenSignal]
    why_not_moved: str


def lead_list(access: Access, *, wanted: Wanted, cursor: str) -> LeadList:
    """Return the leads that are wanted, the newest first."""
    found = _of_customer(leads_of(access), wanted.customer)
    counts = dict(found.filter(lost_at=None).order_by().values_list("stage").annotate(count=Count("pk")))
    shown = found.exclude(lost_at=None) if wanted.lost else found.filter(lost_at=None)
    if wanted.stage:
        shown = shown.filter(stage=wanted.stage)
    page = rows_after(shown.select_related("organization"), key="-id", cursor=cursor, size=LEADS_SHOWN)
    return LeadList(
        columns=[Column(step, counts.get(step.stage.value, 0)) for step in STEPS],
        lost=found.exclude(lost_at=None).count(),
        rows=_rows(page.rows),
        next=page.next,
        start=page.start,
    )


def lead_page(lead: Lead, *, why_not_moved: str) -> LeadPage:
    """Return what the page of a lead shows."""
    mails = SalesMail.objects.about(lead=lead, organization_id=lead.organization_id).select_related("created_by")
    return LeadPage(
        lead=lead,
        pilot=getattr(lead.organization, "pilot", None),
        stages=[(step, not is_after(step.stage, lead.stage)) for step in STEPS],
        steps=_happened(lead),
        mails=[written(mail) for mail in mails.order_by("-pk")[:MAILS_SHOWN]],
        templates=list(TO_LEADS.values()),
        seen=seen_of(signals.about_lead(lead)),
        why_not_moved=why_not_moved,
    )


def seen_of(about: QuerySet[Signal]) -> list[SeenSignal]:
    """Return the latest of these signals with what they mean, the newest first."""
    found = about.select_related("recorded_by").order_by("-seen_at", "-pk")[:SIGNALS_SHOWN]
    return [SeenSignal(signal, MEANINGS[Signal.Code(signal.code)], signal.code in OPENS_TRANSITION) for signal in found]


def _of_customer(rows: QuerySet[Lead], text: str) -> QuerySet[Lead]:
    if not text:
        return rows
    named = Q(company__icontains=text) | Q(contact_name__icontains=text) | Q(contact_email__icontains=text)
    return rows.filter(named | Q(organization__name__icontains=text) | Q(organization=text) | Q(pk=text))


def _rows(leads: list[Lead]) -> list[Row]:
    latest = LeadStep.objects.filter(lead=OuterRef("pk")).order_by("-at", "-pk").values("pk")[:1]
    last = Lead.objects.filter(pk__in=[lead.pk for lead in leads]).values(step=Subquery(latest))
    steps = {step.lead_id: step for step in LeadStep.objects.filter(pk__in=last).select_related("by")}
    dangers = signals.dangers_of_leads(leads)
    return [Row(lead, steps.get(lead.pk), dangers.get(lead.pk)) for lead in leads]


def _happened(lead: Lead) -> list[Happened]:
    """Return the latest steps, the newest first, each held against the one before it."""
    found = list(lead.steps.select_related("by").order_by("-at", "-pk")[: STEPS_SHOWN + 1])
    return list(_compared(found))[:STEPS_SHOWN]


def _compared(steps: list[LeadStep]) -> Iterable[Happened]:
    for step, before in zip_longest(steps, steps[1:]):
        moved = before is None or before.stage != step.stage
        yield Happened(step, moved, before is not None and is_after(before.stage, step.stage))
