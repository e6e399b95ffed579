"""What the pages of plans show: the terms of a customer, how they came about, and what others would change."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from customers.models import Organization, Plan, PlanChange
from customers.plans import Agreement, Terms, agreement_of
from ledger.packages import PREPAID, Package
from pilots.criteria import Judgement, judge
from pilots.models import Lead, Pilot, Signal
from pilots.plan_forms import LABELS
from pilots.signals import transition_opened_by
from pilots.upgrading import not_asked

# What holds for every customer, whatever their plan: docs/enterprise/limits.md says the same.
SAME: Sequence[tuple[str, str]] = (
    ("Freezing", "The whole cost of a batch is frozen before it starts. With too few credits nothing starts (402)."),
    ("Refunds", "What fails is refunded in full when its batch ends: reserved = settled + refunded."),
    ("Idempotency", "A request id makes one batch, however often it is sent."),
    ("Webhooks", "The same events, signed and tried again in the same way."),
    ("Proofs", "The same ledger, chained and sealed, with the same exports and proofs."),
)


@dataclass(frozen=True)
class Figure:
    """One of the terms, before and after."""

    label: str
    before: int | None
    after: int | None


@dataclass(frozen=True)
class Step:
    """One change of a plan or its terms, with the figures that it changed."""

    change: PlanChange
    figures: Sequence[Figure]


@dataclass(frozen=True)
class PlanPage:
    """A customer's plan. `opened_by` is the signal that opens the way to an enterprise, of a pilot."""

    organization: Organization
    agreement: Agreement
    terms: Sequence[tuple[str, int | None]]
    history: Sequence[Step]
    pilot: Pilot | None
    opened_by: Signal | None
    same: Sequence[tuple[str, str]] = SAME
    package: Package = PREPAID

    @property
    def is_pilot(self) -> bool:
        """Say whether the customer is in its pilot."""
        return self.agreement.plan == Plan.PILOT

    @property
    def why_not(self) -> str:
        """Say why no terms can be agreed now; nothing where they can."""
        return not_asked() if self.is_pilot and self.opened_by is None else ""


@dataclass(frozen=True)
class Effect:
    """What new terms do: the figures, and what ends with the pilot and moves on with it."""

    figures: Sequence[Figure]
    judged: Judgement | None
    lead: Lead | None


def plan_page(organization: Organization) -> PlanPage:
    """Return what the pages of a customer's plan show."""
    agreement = agreement_of(organization)
    changes = organization.plan_changes.select_related("by").order_by("-at", "-pk")
    is_pilot = agreement.plan == Plan.PILOT
    return PlanPage(
        organization=organization,
        agreement=agreement,
        terms=[(LABELS[name], value) for name, value in asdict(agreement.terms).items()],
        history=[Step(change, _differing(change.before, change.after)) for change in changes],
        pilot=Pilot.objects.filter(organization=organization).first(),
        opened_by=transition_opened_by(organization) if is_pilot else None,
    )


def effect_of(found: PlanPage, terms: Terms, *, now: datetime) -> Effect:
    """Return what it would do to agree on these terms."""
    before, after = asdict(found.agreement.terms), asdict(terms)
    figures = [Figure(label, before[name], after[name]) for name, label in LABELS.items()]
    if not found.is_pilot:
        return Effect(figures, None, None)
    open_pilot = found.pilot if found.pilot and found.pilot.closed_at is None else None
    lead = Lead.objects.filter(organization=found.organization).exclude(stage=Lead.Stage.CONTRACT).first()
    return Effect(figures, judge(pilot=open_pilot, now=now) if open_pilot else None, lead)


def _differing(before: Mapping[str, int | None], after: Mapping[str, int | None]) -> list[Figure]:
    figures = [Figure(label, before.get(name), after.get(name)) for name, label in LABELS.items()]
    return [figure for figure in figures if figure.before != figure.after]
