"""What the tests of sales' mails share: a pilot whose keys wait, its lead, and the mails that were written."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from batches.failures import FailureType
from batches.models import Batch
from customers.handing_over import hand_over
from customers.models import Handover, Organization, Plan, User
from customers.services import create_staff
from pilots.mail_pages import mails_of_pilot
from pilots.mail_templates import TO_LEADS, TO_PILOTS, Draft, draft_to_lead, draft_to_pilot
from pilots.models import Lead, LeadStep, Pilot, SalesMail
from tests.factories import Account, end_batch, make_account, make_batch, sign
from tests.markup import forms_of
from tests.people import signed_in
from webhooks.endpoints import create_endpoint
from webhooks.models import Attempt, Delivery, EventType

KEYS = {"Live API key": "s2_live_not_a_real_one", "Webhook secret": "whsec_not_a_real_one"}
TOKEN = re.compile(r"https://sora2\.example\.com/admin/\w+/([\w-]+)")


@dataclass(frozen=True)
class Scene:
    """A pilot that has just begun, of somebody who was a lead; its keys wait to be handed over."""

    account: Account
    sales: User
    client: Client
    lead: Lead
    pilot_id: str
    handover: Handover
    token: str

    @property
    def pilot(self) -> Pilot:
        return Pilot.objects.select_related("organization").get(pk=self.pilot_id)

    def draft(self, slug: str) -> Draft:
        if slug in TO_LEADS:
            lead = Lead.objects.select_related("organization").get(pk=self.lead.pk)
            return draft_to_lead(lead, TO_LEADS[slug], by=self.sales)
        return draft_to_pilot(self.pilot, TO_PILOTS[slug], by=self.sales, now=timezone.now())

    def address(self, slug: str) -> str:
        if slug in TO_LEADS:
            return f"/admin/leads/{self.lead.pk}/mails/{slug}"
        return f"/admin/pilots/{self.pilot_id}/mails/{slug}"

    def form(self, slug: str, **changed: str) -> dict[str, Any]:
        [form] = [form for form in forms_of(self.client.get(self.address(slug))) if "token" in form.fields]
        return {**form.fields, "act": "send", **changed}

    def post(self, slug: str, **changed: str) -> Any:
        return self.client.post(self.address(slug), self.form(slug, **changed))

    def upgrade(self) -> None:
        Organization.objects.filter(pk=self.account.organization.pk).update(
            plan=Plan.ENTERPRISE, support_response_hours=4, rate_limit_per_minute=600
        )

    def next(self) -> str:
        return next((each.template.slug for each in self.offered() if each.is_next), "")

    def offered(self) -> Any:
        return mails_of_pilot(self.pilot, by=self.sales, now=timezone.now()).offered


def mail_scene(settings: Settings) -> Scene:
    settings.PUBLIC_BASE_URL, settings.SUPPORT_EMAIL = "https://sora2.example.com", "help@sora2.example.com"
    account, now = make_account(5_000, name="Acme Corp"), timezone.now()
    sales, _ = create_staff(username="cleo", role="sales ops")
    sales.first_name, sales.last_name, sales.email = "Cleo", "Marsh", "cleo@sora2.example.com"
    sales.save()
    pilot = Pilot.objects.create(
        organization=account.organization,
        credits=5_000,
        activated_at=now - timedelta(hours=1),
        deadline=now + timedelta(hours=47),
        created_by=sales.pk,
        override_reason="For a test",
    )
    lead = make_lead("Acme Corp", "Mia Chen", "mia@acme.example", by=sales, organization=account.organization)
    handover, token = hand_over(
        organization=account.organization, title="Keys and secrets", content=KEYS, actor=sales.pk, now=now
    )
    return Scene(account, sales, signed_in(sales), lead, pilot.pk, handover, token)


def make_lead(company: str, name: str, email: str, *, by: User, organization: Organization | None = None) -> Lead:
    lead = Lead.objects.create(
        company=company, contact_name=name, contact_email=email, organization=organization, created_by=by
    )
    LeadStep.objects.create(lead=lead, at=timezone.now(), by=by, stage=lead.stage)
    return lead


def succeed(scene: Scene) -> Batch:
    """Run a batch of ten with one failure, let the customer's endpoint take the webhook, sign it off."""
    organization = scene.account.organization
    create_endpoint(organization=organization, mode="live", url="https://hooks.acme.example/x?token=SECRET")
    batch = end_batch(make_batch(scene.account.api, 10), failed={3: FailureType.TIMEOUT})
    delivery = Delivery.objects.about(batch.pk).get(event__type=EventType.BATCH_COMPLETED)
    Attempt.objects.create(delivery=delivery, number=1, status_code=204, at=timezone.now(), duration_ms=100)
    sign(batch)
    return Batch.objects.get(pk=batch.pk)


def kept() -> SalesMail:
    return SalesMail.objects.get()
