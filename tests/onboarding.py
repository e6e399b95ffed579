"""The onboarding of the world's first customer: from a lead to a pilot that runs, with something of each kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from customers.handing_over import hand_over
from customers.models import Handover, Organization, User
from customers.plans import Terms, agreement_of, change_plan
from pilots.leads import advance
from pilots.models import Lead, LeadStep, Pilot, PilotFailure, Preflight, ReviewAnswer, SalesMail, Signal, Tick
from tests.factories import Account

HOURS = timedelta(hours=48)
CHECKS = [
    {"name": "docs", "ok": True, "seconds": 0.02, "detail": "/docs/enterprise answers 200"},
    {"name": "schema", "ok": True, "seconds": 0.4, "detail": "/openapi.json is OpenAPI 3.1"},
]


@dataclass(frozen=True)
class Onboarding:
    """What was made: the pilot of Acme, its lead and another one, a handover that nobody has revealed yet."""

    pilot: Pilot
    lead: Lead
    other_lead: Lead
    handover: Handover
    mail: SalesMail
    unsent: SalesMail
    preflight: Preflight
    failure: PilotFailure
    scheduled: Pilot


def make_onboarding(acme: Account, globex: Account, people: Mapping[str, User], began: datetime) -> Onboarding:
    """Make a pilot that began then, and all that there is about it; and one whose clock has not begun."""
    sales = people["sales ops"]
    preflight = _preflights(began, sales)
    pilot = Pilot.objects.create(
        organization=acme.organization,
        credits=5_000,
        activated_at=began,
        deadline=began + HOURS,
        created_by=sales.pk,
        preflight=preflight,
    )
    lead, other = (
        Lead.objects.create(company=company, contact_name=name, contact_email=email, created_by=sales, created_at=began)
        for company, name, email in (
            ("Acme Corp", "Mia Chen", "mia@acme.example"),
            ("Initech", "Bill Lumbergh", "bill@initech.example"),
        )
    )
    LeadStep.objects.create(lead=other, at=began, by=sales, stage=Lead.Stage.COLD_MAIL, note="Met at the trade fair")
    Lead.objects.filter(pk=lead.pk).update(organization=acme.organization)
    for stage in (Lead.Stage.REPLY, Lead.Stage.CALL, Lead.Stage.PILOT):
        advance(lead=lead, stage=stage, by=sales, now=began)
    handover, _ = hand_over(
        organization=acme.organization,
        title="API keys and webhook secrets",
        content={"Live API key": "s2_live_not_a_real_one"},
        actor=sales.pk,
        now=began,
    )
    mail, unsent = (
        SalesMail.objects.create(
            organization=acme.organization,
            lead=lead,
            template="pilot_ready",
            recipients=["mia@acme.example"],
            subject="Sora2 Enterprise Pilot — Getting Started",
            body="Hi Mia,\n\nYour pilot access is ready.\n",
            way=SalesMail.Way.SENT,
            created_at=began,
            created_by=sales,
            sent_at=sent_at,
            fault="" if sent_at else "The mail server did not take it: timed out",
        )
        for sent_at in (began, None)
    )
    failure = _said(pilot, acme, lead, sales, began)
    scheduled = Pilot.objects.create(
        organization=globex.organization,
        credits=1_200,
        activated_at=began + HOURS,
        deadline=began + 2 * HOURS,
        created_by=sales.pk,
        override_reason="Their engineer is here this week only",
    )
    return Onboarding(pilot, lead, other, handover, mail, unsent, preflight, failure, scheduled)


def make_enterprise(organization: Organization, sales: User, now: datetime) -> None:
    """Make a customer an enterprise, and give it new terms later."""
    for days, items, contract in ((40, 500, "MSA-2026-011"), (2, 10_000, "MSA-2026-011, annex 1")):
        change_plan(
            organization=organization,
            terms=Terms(items, 600, 400, 4),
            contract_reference=contract,
            reason="They asked for larger batches",
            by=sales,
            seen=agreement_of(Organization.objects.get(pk=organization.pk)).seen,
            now=now - timedelta(days=days),
        )


def _preflights(began: datetime, sales: User) -> Preflight:
    failed = [{"name": "sink", "ok": False, "seconds": 30.0, "detail": "Nothing arrived at the test endpoint."}]
    hour = timedelta(hours=1)
    for ago, checks in ((2 * hour, [*CHECKS, *failed]), (hour, CHECKS)):
        preflight = Preflight.objects.create(
            requested_at=began - ago,
            requested_by=sales.pk,
            started_at=began - ago,
            ended_at=began - ago + timedelta(seconds=40),
            ok=all(check["ok"] for check in checks),
            checks=checks,
        )
    return preflight


def _said(pilot: Pilot, acme: Account, lead: Lead, sales: User, began: datetime) -> PilotFailure:
    given = {"organization": acme.organization, "lead": lead, "recorded_by": sales}
    Signal.objects.create(code=Signal.Code.MORE_EVENTS, note="item.failed", seen_at=began, **given)
    Signal.objects.create(code=Signal.Code.CONTRACT_OR_SLA, note="Asked by their CFO", seen_at=began, **given)
    Tick.objects.create(
        pilot=pilot, item="raw_payloads", side=Tick.Side.CUSTOMER, ticked_at=began, ticked_by=sales, note="In S3"
    )
    ReviewAnswer.objects.create(
        pilot=pilot,
        question="most_confusing",
        answer="Verifying the signature",
        answered_by="Ola Ek",
        at=began,
        recorded_by=sales,
    )
    PilotFailure.objects.create(
        pilot=pilot,
        condition=PilotFailure.Condition.WEBHOOK,
        note="They took the retry for a second order",
        recorded_at=began,
        recorded_by=sales,
        withdrawn_at=began,
        withdrawn_by=sales,
        withdrawn_reason="It was the other system",
    )
    return PilotFailure.objects.create(
        pilot=pilot,
        condition=PilotFailure.Condition.DEMO_OR_API,
        note="Asked in the call, before they had read the page about it",
        recorded_at=began,
        recorded_by=sales,
    )
