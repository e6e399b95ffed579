"""What mails are filled with: the account's real figures, read from its records as they are now."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from batches.catalogue import DEFAULT_MODEL
from batches.models import Batch, SignOff
from batches.quoting import Offer, offer_of
from customers.models import Handover, Mode, Organization, Plan, User
from ledger.models import Wallet
from pilots.boundary import BOUNDARY
from pilots.criteria import Judgement, judge
from pilots.models import Lead, Pilot
from pilots.quick_start import PROMPTS
from pilots.review import QUESTIONS, Side
from sora2.api import BASE_PATH
from webhooks.models import Attempt, Endpoint
from webhooks.trail import host_of


@dataclass(frozen=True)
class Figures:
    """What every mail knows: whom it is to, who writes it, and the addresses. `boundary` is empty for an enterprise."""

    name: str
    email: str
    me: str
    docs: str
    prices: str
    dashboard: str
    support: str
    boundary: str


@dataclass(frozen=True)
class Keys:
    """Whether secrets wait to be handed over; if none do, whether some were revealed before."""

    are_open: bool
    were_revealed: bool


@dataclass(frozen=True)
class PilotFigures(Figures):
    """What a mail to a pilot knows besides. `ran`, `received` and `signed` are the evidence of the three criteria.

    `questions` are those of the review, by whom they are for. `example` is a body that the API takes, `endpoint` where
    the customer's own first endpoint is, without its path.
    """

    pilot: Pilot
    lead: Lead | None
    organization: Organization
    judged: Judgement
    ran: Batch | None
    received: Attempt | None
    signed: SignOff | None
    hours: int
    keys: Keys
    wallet: Wallet
    offer: Offer
    questions: dict[str, list[str]]
    batches: str
    example: str
    endpoint: str

    @property
    def succeeded(self) -> bool:
        """Say whether the pilot has succeeded."""
        return self.judged.status == "succeeded"

    @property
    def is_over(self) -> bool:
        """Say whether the pilot has come to its end, however that was."""
        return self.judged.status not in ("scheduled", "running")

    @property
    def is_enterprise(self) -> bool:
        """Say whether the customer is on the enterprise plan."""
        return self.organization.plan == Plan.ENTERPRISE


def figures_of_lead(lead: Lead, *, by: User) -> Figures:
    """Return what a mail to a lead is filled with."""
    return Figures(name=_first_name(lead.contact_name), email=lead.contact_email, **_shared(lead.organization, by))


def figures_of_pilot(pilot: Pilot, *, by: User, now: datetime) -> PilotFigures:
    """Return what a mail to a pilot's customer is filled with."""
    organization, judged = pilot.organization, judge(pilot=pilot, now=now)
    ran, received, signed = (criterion.evidence for criterion in judged.criteria)
    lead = Lead.objects.filter(organization=organization).first()
    name, email = _contact(organization, lead)
    first = Endpoint.objects.live_and_own().filter(organization=organization).order_by("pk").first()
    return PilotFigures(
        name=name,
        email=email,
        **_shared(organization, by),
        pilot=pilot,
        lead=lead,
        organization=organization,
        judged=judged,
        ran=ran if isinstance(ran, Batch) else None,
        received=received if isinstance(received, Attempt) else None,
        signed=signed if isinstance(signed, SignOff) else None,
        hours=round((pilot.deadline - pilot.activated_at) / timedelta(hours=1)),
        keys=_keys(organization),
        wallet=Wallet.objects.get(organization=organization, mode=Mode.LIVE),
        offer=offer_of(1, now=now),
        questions={side.name: [each.words for each in QUESTIONS if each.side == side] for side in Side},
        batches=f"{settings.PUBLIC_BASE_URL}{BASE_PATH}/video-batch",
        example=_example(organization, now),
        endpoint=host_of(first.url) if first else "",
    )


def _shared(organization: Organization | None, by: User) -> dict[str, str]:
    is_pilot = organization is None or organization.plan == Plan.PILOT
    return {
        "me": by.get_full_name() or "[Your name]",
        "docs": f"{settings.PUBLIC_BASE_URL}/docs/enterprise",
        "prices": f"{settings.PUBLIC_BASE_URL}/docs/pricing",
        "dashboard": f"{settings.PUBLIC_BASE_URL}/admin/",
        "support": settings.SUPPORT_EMAIL,
        "boundary": BOUNDARY if is_pilot else "",
    }


def _contact(organization: Organization, lead: Lead | None) -> tuple[str, str]:
    """Return whom we speak to, by first name, and where: the lead of before, else the organization's contact."""
    if lead:
        return _first_name(lead.contact_name), lead.contact_email
    email = organization.contact_email
    person = User.objects.filter(memberships__organization=organization, email__iexact=email).order_by("pk").first()
    return (person.first_name if person else "") or "[Name]", email


def _first_name(name: str) -> str:
    return next(iter(name.split()), "[Name]")


def _keys(organization: Organization) -> Keys:
    handed = Handover.objects.filter(organization=organization)
    are_open = handed.open().exists()
    return Keys(are_open, not are_open and handed.filter(revealed_at__isnull=False).exists())


# --- the example ---------------------------------------------------------------------------------------------------


def _example(organization: Organization, now: datetime) -> str:
    """Return the body of a first batch, in lines that a mail keeps as they are."""
    prompts = PROMPTS[: organization.max_items_per_batch]
    items = ",\n".join(
        f'    {{"custom_id": "clip-{number:02}", "model": "{DEFAULT_MODEL}",\n     "prompt": {json.dumps(prompt)}}}'
        for number, prompt in enumerate(prompts, start=1)
    )
    return (
        f'{{\n  "request_id": "pilot-{now:%Y%m%d-%H%M}",\n'
        f'  "webhook_url": "https://your-domain.example/webhook",\n  "items": [\n{items}\n  ]\n}}'
    )
