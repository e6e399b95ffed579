"""A world with many rows of everything that a page lists."""

from datetime import timedelta

from django.utils import timezone

from batches.catalogue import SIMULATOR
from batches.failures import FailureType
from batches.models import Attempt, Batch, CatalogueModel, Item, Price, PriceList, ProviderRoute
from customers.handing_over import hand_over
from customers.models import AuditEvent, Membership, Mode, User
from customers.people import invite
from customers.services import audit_key, create_api_key
from ledger import seals
from ledger.approvals import approve, request_credits
from ledger.invoices.credit_notes import send_credit_note
from ledger.models import Entry, ReconciliationRun
from pilots.leads import create_lead
from pilots.models import Lead, LeadStep, Pilot, PilotFailure, ReviewAnswer, Signal
from sora2.ids import new_id
from tests.factories import end_batch, make_account, make_batch
from tests.invoices import Desk, make_desk
from tests.onboarding import HOURS
from tests.webhooks.page_scenes import State, tell, tried
from tests.world import World
from webhooks.endpoints import create_endpoint
from webhooks.models import Delivery, Endpoint, EventType, SinkMessage


def grow(world: World) -> Batch:
    """Add to everything that is listed somewhere; return a batch of many items, of which half failed."""
    _customers(world)
    _offers()
    batch = _batches(world)
    _webhooks(world, batch)
    _credits(world, batch)
    _sales(world)
    _invoices(world)
    run = ReconciliationRun.objects.filter(pk=world.run.pk)
    of_the_run = run.values("started_at", "finished_at", "batches", "entries", "items", "figures", "counts").get()
    ReconciliationRun.objects.bulk_create(ReconciliationRun(**of_the_run) for _ in range(20))
    for _ in range(3):
        seals.seal(now=timezone.now())
    return batch


def _invoices(world: World) -> None:
    people, billing = world.people, world.billing
    sales, finance, approver = people["sales ops"], people["finance"], people["finance approver"]
    desk = Desk(world.acme.organization, billing.details, sales, finance, approver)
    for number in range(5):
        desk.sent()
        desk.pay(billing.partly, 100, f"DE-{number}")
        send_credit_note(note=desk.note(billing.partly, 100), by=finance, now=timezone.now())
        make_desk(name=f"Debtor {number}").sent()


def _customers(world: World) -> None:
    began = timezone.now() - timedelta(hours=50)
    for number in range(8):
        other = make_account(name=f"Customer {number}")
        pilot = Pilot.objects.create(
            organization=other.organization,
            credits=1_000,
            activated_at=began,
            deadline=began + HOURS,
            created_by=world.people["sales ops"].pk,
            override_reason="A test",
        )
        PilotFailure.objects.create(
            pilot=pilot, condition=3, note="No time", recorded_at=began, recorded_by=world.people["sales ops"]
        )
        user = User.objects.create_user(username=new_id("usr"))
        for organization in (world.acme.organization, other.organization):
            Membership.objects.create(user=user, organization=organization, role="customer developer")
        for maker in (user, world.people["customer developer"]):
            create_api_key(
                organization=world.acme.organization, mode=Mode.LIVE, name=f"key {number}", created_by=maker.pk
            )
        hand_over(
            organization=world.acme.organization,
            title=f"Secret {number}",
            content={"Live API key": "none"},
            actor=user.pk,
            now=timezone.now(),
        )
        invite(
            organization=world.acme.organization,
            email=f"new-{number}@acme.example",
            role=Membership.Role.DEVELOPER,
            by=world.people["customer admin"],
            now=timezone.now(),
        )
    live = world.acme.keys[Mode.LIVE]
    for actor in User.objects.values_list("pk", flat=True):
        audit_key(live, actor=actor, act="rename", old="Live")


def _offers() -> None:
    route = ProviderRoute.objects.exclude(pk=SIMULATOR)[0]
    for number in range(6):
        name = f"more-{number}"
        ProviderRoute.objects.create(name=name, base_url="https://eu.example/v1")
        model = CatalogueModel.objects.create(
            name=name, route=route, seconds=[4], default_seconds=4, sizes=["1280x720"], position=9 + number
        )
        prices = PriceList.objects.create(version=name, effective_from=timezone.now(), created_by="usr_1", reason="Why")
        for each in CatalogueModel.objects.all():
            Price.objects.create(price_list=prices, model=each, credits=10, base_seconds=4)
        for subject, action in ((model.pk, "model.change"), (route.pk, "route.change"), (name, "prices.publish")):
            AuditEvent.objects.create(actor=new_id("usr"), action=action, outcome="done", subject=subject)


def _batches(world: World) -> Batch:
    batch = make_batch(world.acme.api, 40, request_id="many items")
    for number in range(14):
        make_batch(world.acme.api, 2, request_id=f"open {number}")
        end_batch(make_batch(world.globex.api, 2, request_id=f"ended {number}"), failed={0: FailureType.TIMEOUT})
    batch = end_batch(batch, failed=dict.fromkeys(range(20), FailureType.TIMEOUT))
    submitted = {"route": SIMULATOR, "submitted_at": timezone.now(), "state": Attempt.State.FAILED}
    for item in Item.objects.filter(batch=batch):
        Attempt.objects.bulk_create(Attempt(item=item, number=number, **submitted) for number in range(1, 5))
    return batch


def _webhooks(world: World, batch: Batch) -> None:
    organization = world.acme.organization
    for number in range(12):
        url = f"https://hooks.acme.example/{number}"
        made, _ = create_endpoint(
            organization=organization, mode=Mode.LIVE, url=url, events=[EventType.BATCH_COMPLETED]
        )
        Endpoint.objects.filter(pk=made.pk).update(failing_since=timezone.now() if number % 2 else None)
        for delivery in tell(organization, EventType.BATCH_STARTED, extra_url="https://own.example/hook"):
            tried(delivery, State.EXHAUSTED)
    for delivery in Delivery.objects.filter(event__reference=batch.pk, event__type=EventType.BATCH_COMPLETED):
        tried(tried(tried(delivery, State.PENDING), State.PENDING), State.PENDING)
    SinkMessage.objects.bulk_create(
        SinkMessage(sink=world.sink, received_at=timezone.now(), body="{}") for _ in range(20)
    )


def _credits(world: World, batch: Batch) -> None:
    asks, decides = world.people["finance"], world.people["finance approver"]
    for number in range(12):
        for account in (world.acme, world.globex):
            request = request_credits(
                wallet=account.wallets[Mode.LIVE],
                kind=Entry.Kind.ADJUSTMENT_IN,
                amount=5,
                reason="Goodwill",
                requested_by=asks,
                about=batch.pk if account is world.acme else "",
            )
            if number % 2:
                approve(request=request, decided_by=decides)


def _sales(world: World) -> None:
    by, now, pilot = world.people["sales ops"], timezone.now(), world.onboarding.pilot
    for number in range(12):
        for lead in (world.onboarding.lead, world.onboarding.other_lead):
            LeadStep.objects.create(lead=lead, at=now, by=by, stage=lead.stage, note=f"note {number}")
            for code in (Signal.Code.MORE_EVENTS, Signal.Code.JUST_LOOKING):
                Signal.objects.create(lead=lead, code=code, seen_at=now, recorded_by=by)
        draft = Lead(company=f"Company {number}", contact_name="Ann", contact_email=f"{number}@more.example")
        create_lead(draft=draft, note="From a list", by=by, now=now)
        answer = {"question": "most_confusing", "answer": f"Step {number}", "answered_by": "Ola"}
        ReviewAnswer.objects.create(pilot=pilot, at=now, recorded_by=by, **answer)
