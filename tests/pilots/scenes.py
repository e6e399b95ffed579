"""What the tests of pilots share: somebody of sales, a pilot, its lead, a contract that was asked for and agreed on."""

from datetime import datetime, timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from batches.models import Batch
from customers.models import Organization, User
from customers.plans import Terms, agreement_of
from customers.services import create_staff
from pilots.criteria import Judgement, judge
from pilots.models import Lead, Pilot, Signal
from pilots.services import Provisioned
from sora2.ids import new_id
from tests.factories import Account
from tests.markup import form_to, forms_of
from webhooks.models import Attempt, Delivery, EventType

TERMS = Terms(max_items_per_batch=10_000, rate_limit_per_minute=600, max_open_batches=400, support_response_hours=4)
HOOK = "https://customer.example.com/hook?token=SECRET"
AGREED = {"contract_reference": "MSA-7", "reason": "They asked for larger batches"}


def sales_person() -> User:
    """Return somebody of sales ops."""
    return create_staff(username=new_id("usr"), role="sales ops")[0]


def pilot_of(account: Account, **given: Any) -> Pilot:
    """Return a pilot of a customer, which began an hour ago."""
    now = timezone.now()
    given = {"activated_at": now - timedelta(hours=1), "deadline": now + timedelta(hours=47), **given}
    return Pilot.objects.create(
        organization=account.organization, credits=1000, created_by="usr_x", override_reason="a test", **given
    )


def make_pilot(organization: Organization, *, activated_at: datetime | None = None) -> Pilot:
    """Return a pilot of a customer, with its lead."""
    began, sales = activated_at or timezone.now(), sales_person()
    Lead.objects.create(
        company=organization.name,
        contact_name="Mia",
        contact_email="mia@acme.example",
        stage=Lead.Stage.PILOT,
        organization=organization,
        created_by=sales,
    )
    return Pilot.objects.create(
        organization=organization,
        credits=100,
        activated_at=began,
        deadline=began + timedelta(hours=48),
        created_by=sales.pk,
        override_reason="for a test",
    )


def record(organization: Organization, code: Signal.Code = Signal.Code.CONTRACT_OR_SLA) -> Signal:
    """Write down what a customer asked."""
    given = {"organization": organization, "recorded_by": sales_person(), "seen_at": timezone.now()}
    return Signal.objects.create(code=code, note="In the review call", **given)


def asking_pilot(organization: Organization) -> Pilot:
    """Return a pilot of a customer that has asked for a contract."""
    record(organization)
    return make_pilot(organization)


def agreed(organization: Organization, **more: Any) -> dict[str, Any]:
    """Return what the verbs of plans are given, by somebody who has seen what is agreed now."""
    fresh = Organization.objects.get(pk=organization.pk)
    given = {"organization": fresh, "terms": TERMS, **AGREED, "now": timezone.now(), **more}
    given.setdefault("seen", agreement_of(fresh).seen)
    return {**given, "by": given.get("by") or sales_person()}


def sent(client: Client, address: str, step: str = "confirm", **more: str) -> Any:
    """Send the form of a plan's page, filled in."""
    fields = form_to(forms_of(client.get(address)), address).fields
    terms = {name: str(value) for name, value in vars(TERMS).items()}
    return client.post(address, {**fields, **terms, **AGREED, "step": step, **more})


def judged(provisioned: Provisioned, *, after: timedelta = timedelta(0)) -> Judgement:
    return judge(pilot=Pilot.objects.get(pk=provisioned.pilot.pk), now=timezone.now() + after)


def met(provisioned: Provisioned) -> list[bool]:
    return [criterion.is_met for criterion in judged(provisioned).criteria]


def answer(batch: Batch, status_code: int = 200, *, number: int = 1, **more: Any) -> Attempt:
    """Record how the first address that was told of a batch's end answered."""
    delivery = Delivery.objects.about(batch.pk).filter(event__type=EventType.BATCH_COMPLETED).order_by("pk")[0]
    given = {"at": timezone.now(), "duration_ms": 100, **more}
    return Attempt.objects.create(delivery=delivery, number=number, status_code=status_code, **given)
