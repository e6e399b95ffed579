"""One rich world for what looks at every page: two customers, three months, batches in every state, people by role.

All is made by the real services, at the times when it would have happened. The media are real, so posters show.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import time_machine
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from batches.alerts import tell_low_credits
from batches.failures import POLICIES, FailureType
from batches.models import Attempt, Batch, Item, Output, Probe
from batches.reconciliation import reconcile
from batches.signing_off import sign_off, signer_of
from batches.simulator import clips
from batches.sla.models import MINUTE, minute_of
from batches.stopping import cancel
from batches.telling import start
from customers.access import Permission
from customers.issuing import KeyOrder, issue_by_person, rotate_by_person, seen_of
from customers.models import ApiKey, Membership, Mode, OneTimeLink, Organization, User
from customers.people import invite
from customers.services import InvalidApiKey, api_key_of_secret, create_staff, revoke_api_key
from ledger import seals
from ledger.approvals import approve, reject, request_credits
from ledger.lows import set_threshold
from ledger.models import CreditRequest, Entry, ReconciliationRun, Wallet
from ledger.periods import close_period
from sora2.ids import new_id
from tests.billing import Billing, make_billing, make_earlier_billing
from tests.factories import Account, end_batch, end_items, make_account, make_batch
from tests.ledger.clock import turn_back, turn_to
from tests.onboarding import Onboarding, make_enterprise, make_onboarding
from webhooks import delivery, sinks
from webhooks.endpoints import create_default_secret, create_endpoint
from webhooks.guarded import Answer
from webhooks.models import Endpoint, EventType, Sink
from webhooks.signing import signature_headers

PROMPTS = (
    "A cat plays piano in a sunlit room, slow dolly in",
    "A paper boat sails down a rainy gutter, macro",
    "Drone shot over terraced rice fields at dawn",
    "A barista pours latte art, close-up, shallow focus",
    "Timelapse of a city square from noon to night",
    "A red kite over a windy beach, handheld",
    "Steam rises from a bowl of ramen on a wooden counter",
    "A glass marble rolls through a wooden maze",
    "Snow falls on a quiet train platform at night",
    "A potter shapes a bowl on a wheel, hands only",
)
STAFF = {
    "finance": ("Ada", "Berg"),
    "finance approver": ("Bo", "Lind"),
    "sales ops": ("Cleo", "Marsh"),
    "support": ("Dan", "Osei"),
    "auditor": ("Eve", "Quist"),
}
MEMBERS = {
    "customer admin": ("Mia", "Chen"),
    "customer finance": ("Noor", "Haddad"),
    "customer developer": ("Ola", "Ek"),
}
HOOK, BROKEN_HOOK = "https://hooks.acme.example/sora2", "https://legacy.acme.example/video/callbacks"


@dataclass(frozen=True)
class World:
    """What was made. `people` are by role, those of customers are Acme's; `globex` has its own finance."""

    acme: Account
    globex: Account
    people: Mapping[str, User]
    stranger: User
    batches: Mapping[str, Batch]
    requests: Mapping[str, CreditRequest]
    endpoints: Mapping[str, Endpoint]
    keys: Mapping[str, ApiKey]
    sink: Sink
    invitation: OneTimeLink
    onboarding: Onboarding
    billing: Billing
    closed: str
    due: str
    run: ReconciliationRun


def make_world(seal_dir: Path) -> World:
    """Make the world in the database of the test. Files of seals are written to `seal_dir`."""
    with override_settings(SEAL_DIR=seal_dir, SEAL_SECONDS=0, WEBHOOK_DEV_ALLOWED_TARGETS=["http://127.0.0.1:*"]):
        return _make(timezone.now())


def _make(now: datetime) -> World:
    people = {role: _staff(role, name) for role, name in STAFF.items()}
    people["superuser"] = User.objects.create_superuser("root", first_name="Sam", last_name="Root")
    closed, due = _month_before(now, 2), _month_before(now, 1)
    with _past() as go:
        go(closed.replace(day=5, hour=9, minute=12))
        acme, globex = make_account(5_000, name="Acme Corp"), make_account(1_200, name="Globex")
        endpoints, sink = _receivers(acme.organization)
        people |= {role: _member(acme.organization, role, name) for role, name in MEMBERS.items()}
        stranger = _member(globex.organization, "customer finance", ("Gus", "Rowe"))
        earlier = make_earlier_billing(acme.organization, globex.organization, people, timezone.now())
        requests = _earlier(go, acme, people, closed=closed, due=due)
        go(now - timedelta(hours=6))
        endpoints["failing"] = _endpoint(acme.organization, BROKEN_HOOK)
        batches = _today(go, acme, globex, people, now)
        requests |= _asked(go, acme, globex, people, now)
        keys = _keys(go, acme.organization, people["customer admin"], now)
    began = now - timedelta(hours=6)
    onboarding = make_onboarding(acme, globex, people, began)
    make_enterprise(globex.organization, people["sales ops"], now)
    billing = make_billing(earlier, people, now)
    _measured(now)
    close_period(month=f"{closed:%Y-%m}", closed_by=people["finance"], now=now)
    _deliver()
    _tell(batches, sink)
    Organization.objects.filter(pk=acme.organization.pk).update(
        contact_email="office@acme.example",
        technical_emails=["ops@acme.example"],
        finance_emails=["books@acme.example"],
    )
    # Acme is low for a moment.
    for account, threshold in ((acme, 20_000), (globex, 5_000), (acme, 2_000)):
        set_threshold(wallet=account.wallets[Mode.LIVE], threshold=threshold, actor=people["finance"].pk)
        tell_low_credits(now=timezone.now())
    _deliver()
    seals.seal(now=timezone.now())
    run = reconcile(now=timezone.now())
    invitation, _ = invite(
        organization=acme.organization,
        email="pia.holm@acme.example",
        role=Membership.Role.FINANCE,
        by=people["customer admin"],
        now=timezone.now(),
    )
    return World(
        acme=acme,
        globex=globex,
        people=people,
        stranger=stranger,
        batches={name: Batch.objects.get(pk=batch.pk) for name, batch in batches.items()},
        requests=requests,
        endpoints={name: Endpoint.objects.get(pk=endpoint.pk) for name, endpoint in endpoints.items()},
        keys=keys,
        sink=sink,
        invitation=invitation,
        onboarding=onboarding,
        billing=billing,
        closed=f"{closed:%Y-%m}",
        due=f"{due:%Y-%m}",
        run=run,
    )


# --- when ----------------------------------------------------------------------------------------------------------


@contextmanager
def _past() -> Iterator[Callable[[datetime], None]]:
    """Turn Python's and PostgreSQL's clocks to any time, forwards only, and back in the end."""
    with transaction.atomic(), time_machine.travel(datetime(2020, 1, 1, tzinfo=UTC), tick=False) as travel:

        def go(at: datetime) -> None:
            travel.move_to(at)
            turn_to(at.isoformat())

        yield go
        turn_back()


def _month_before(now: datetime, months: int) -> datetime:
    for _ in range(months):
        now = now.replace(day=1) - timedelta(days=1)
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


# --- who -----------------------------------------------------------------------------------------------------------


def _named(user: User, name: tuple[str, str]) -> User:
    user.first_name, user.last_name = name
    user.save(update_fields=["first_name", "last_name"])
    return user


def _staff(role: str, name: tuple[str, str]) -> User:
    return _named(create_staff(username=".".join(name).lower(), role=role)[0], name)


def _member(organization: Organization, role: str, name: tuple[str, str]) -> User:
    user = User.objects.create_user(username=".".join(name).lower())
    Membership.objects.create(user=user, organization=organization, role=role)
    return _named(user, name)


def _keys(go: Callable[[datetime], None], organization: Organization, admin: User, now: datetime) -> dict[str, ApiKey]:
    """Make keys as an administrator does: one with limits and a secret that is being replaced, and one that is over."""
    go(now - timedelta(seconds=30))
    keys, now = {}, timezone.now()
    for name in ("rotating", "revoked"):
        order = KeyOrder(
            name=f"Nightly render, {name}",
            scopes=[Permission.BATCHES_READ, Permission.BATCHES_WRITE, Permission.KEYS_WRITE],
            expires_at=now + timedelta(days=9),
            budget_credits=500,
            allowed_networks=["203.0.113.0/24", "2001:db8::/32"],
        )
        keys[name], secret = issue_by_person(
            organization=organization, mode=Mode.LIVE, order=order, key_id=new_id("key"), actor=admin.pk, now=now
        )
        with suppress(InvalidApiKey):  # From elsewhere: it is refused, and that is written down.
            api_key_of_secret(secret=secret, address=ip_address("198.51.100.7"), now=now)
    seen = seen_of(keys["rotating"])
    rotate_by_person(key=keys["rotating"], seen=seen, overlap_hours=24, actor=admin.pk, now=now)
    revoke_api_key(key=keys["revoked"], now=now, actor=admin.pk, reason="The render farm was shut down")
    return keys


# --- credits -------------------------------------------------------------------------------------------------------


def _earlier(
    go: Callable[[datetime], None], acme: Account, people: Mapping[str, User], *, closed: datetime, due: datetime
) -> dict[str, CreditRequest]:
    """Let the closed month and the one after it have movements of each kind."""
    ask = _asking(acme.wallets[Mode.LIVE], people["finance"])
    granted = ask(Entry.Kind.GRANT, 10_000, reference="INV-2041", reason="Invoice 2041, paid by transfer")
    approve(request=granted, decided_by=people["finance approver"], note="Seen on the bank statement")
    go(closed.replace(day=18, hour=14))
    batch = make_batch(acme.api, 6, request_id="launch-teasers")
    go(closed.replace(day=18, hour=14, minute=4))
    end_batch(batch, failed={2: FailureType.CAPACITY})
    _deliver()
    go(due.replace(day=9, hour=11))
    end_batch(make_batch(acme.api, 4, request_id="billboard-loops"))
    goodwill = ask(Entry.Kind.ADJUSTMENT_IN, 10, about=batch.pk, reason="Late delivery")
    approve(request=goodwill, decided_by=people["finance approver"])
    correction = ask(Entry.Kind.ADJUSTMENT_OUT, 40, reason="Credited twice in error")
    approve(request=correction, decided_by=people["finance approver"])
    return {"approved": granted}


def _asked(
    go: Callable[[datetime], None], acme: Account, globex: Account, people: Mapping[str, User], now: datetime
) -> dict[str, CreditRequest]:
    """Leave one request that waits, and one that was rejected."""
    go(now - timedelta(minutes=50))
    ask = _asking(acme.wallets[Mode.LIVE], people["finance"])
    refused = ask(Entry.Kind.GRANT, 2_500, reference="INV-2066", reason="Invoice 2066")
    reject(request=refused, decided_by=people["finance approver"], note="Not paid yet")
    waiting = ask(
        Entry.Kind.GRANT,
        7_500,
        reference="INV-2073",
        reason="Invoice 2073, paid by transfer",
        evidence_url="https://bank.example/statements/2073",
    )
    ask_for_globex = _asking(globex.wallets[Mode.LIVE], people["finance approver"])
    ask_for_globex(Entry.Kind.GRANT, 3_000, reference="INV-2074", reason="Invoice 2074")
    return {"rejected": refused, "waiting": waiting}


def _asking(wallet: Wallet, user: User) -> Callable[..., CreditRequest]:
    def ask(kind: Entry.Kind, amount: int, **given: Any) -> CreditRequest:
        return request_credits(wallet=wallet, kind=kind, amount=amount, requested_by=user, **given)

    return ask


# --- batches -------------------------------------------------------------------------------------------------------


def _today(
    go: Callable[[datetime], None], acme: Account, globex: Account, people: Mapping[str, User], now: datetime
) -> dict[str, Batch]:
    """Make a batch in each state."""
    made = {}
    go(now - timedelta(hours=5))
    made["partial"] = batch = _order(acme, "autumn-campaign", 12)
    go(now - timedelta(hours=5) + timedelta(minutes=4, seconds=39))
    end_batch(_started(batch), failed={3: FailureType.CONTENT_REFUSED, 8: FailureType.TIMEOUT})
    _picture(batch)
    _deliver()
    go(now - timedelta(hours=4))
    made["completed"] = batch = _order(acme, "product-360-views", 5)
    go(now - timedelta(hours=4) + timedelta(minutes=2))
    end_batch(_started(batch))
    made["failed"] = batch = _order(acme, "storyboard-drafts", 2)
    end_batch(_started(batch), failed={0: FailureType.CAPACITY, 1: FailureType.CAPACITY})
    made["signed"] = made["completed"]
    _sign(made["completed"], people["customer finance"], "Agrees with our order list")
    _sign(made["completed"], people["finance"], "Agrees with the provider's invoice")
    _deliver()
    go(now - timedelta(hours=3))
    made["globex"] = end_batch(_started(make_batch(globex.api, 3, request_id="globex-intro")))
    answer = acme.api.post(f"/video-batch/{made['failed'].pk}/retry", {"request_id": "storyboard-drafts-again"})
    made["retry"] = Batch.objects.get(pk=answer.json()["batch_id"])
    go(now - timedelta(minutes=40))
    made["canceled"] = _started(_order(acme, "winter-preview", 4))
    end_items(made["canceled"], succeeded=[0])
    cancel(batch=made["canceled"], actor=people["customer admin"].pk, now=timezone.now())
    go(now - timedelta(minutes=6))
    made["processing"] = _started(_order(acme, "holiday-spots", 8))
    end_items(made["processing"], succeeded=[0, 1, 2], failed={3: FailureType.CONTENT_REFUSED})
    _picture(made["processing"])
    made["test"] = end_batch(make_batch(acme.test_api, 3, request_id="try-out"), failed={1: FailureType.PROVIDER_ERROR})
    go(now - timedelta(minutes=1))
    made["queued"] = _order(acme, "new-year-teaser", 3)
    return made


def _order(account: Account, request_id: str, count: int) -> Batch:
    """Order clips of two models."""
    items: Sequence[Mapping[str, Any]] = [
        {
            "prompt": PROMPTS[number % len(PROMPTS)],
            "model": "sora-2-pro" if number % 4 == 1 else "sora-2",
            "custom_id": f"{request_id[:3].upper()}-{number + 1:03}",
        }
        for number in range(count)
    ]
    return make_batch(account.api, 0, request_id=request_id, items=items)


def _started(batch: Batch) -> Batch:
    """Let each item have been submitted once."""
    now = timezone.now()
    start(batch_ids=[batch.pk], now=now)
    attempts = [
        Attempt(
            item=item,
            number=1,
            route=item.route,
            model=item.model,
            provider_job_id=f"video_{item.pk}",
            state=Attempt.State.ACCEPTED,
            submitted_at=now,
            accepted_at=now + timedelta(milliseconds=310),
        )
        for item in Item.objects.filter(batch=batch)
    ]
    Attempt.objects.bulk_create(attempts)
    return Batch.objects.get(pk=batch.pk)


def _picture(batch: Batch) -> None:
    """Give the succeeded items videos and posters, and end their attempts."""
    now = timezone.now()
    attempts = Attempt.objects.filter(item__batch=batch)
    attempts.filter(item__output__isnull=False).update(state=Attempt.State.SUCCEEDED, ready_at=now, ended_at=now)
    for item in Item.objects.filter(batch=batch).exclude(failure_type=""):
        detail = POLICIES[FailureType(item.failure_type)].message
        failed = attempts.filter(item=item)
        failed.update(
            state=Attempt.State.FAILED, failure_type=item.failure_type, retryable=False, detail=detail, ended_at=now
        )
    for output in Output.objects.filter(item__batch=batch).select_related("item"):
        film = clips.video(output.item.prompt, seconds=output.item.seconds, width=320, height=180)
        still = clips.still(output.item.prompt, width=320, height=180, image_format="JPEG")
        output.video = default_storage.save(f"{output.pk}.film.mp4", ContentFile(film))
        output.poster = default_storage.save(f"{output.pk}.jpg", ContentFile(still))
        output.bytes = len(film)
        output.save(update_fields=["video", "poster", "bytes"])


def _sign(batch: Batch, user: User, note: str) -> None:
    batch.refresh_from_db()
    signer = signer_of(user, batch)
    assert signer is not None
    sign_off(batch=batch, signer=signer, note=note, now=timezone.now())


def _measured(now: datetime) -> None:
    """Let the last hours have their probes: with a minute that failed, and some that nobody measured."""
    first = minute_of(now) - 180 * MINUTE
    Probe.objects.bulk_create(
        Probe(
            minute=minute,
            kind=Probe.Kind.READINESS,
            ok=number != 30,
            latency_ms=12,
            detail="GET /readyz was answered with 503" if number == 30 else "",
            holds_from=minute,
            holds_until=minute + MINUTE,
        )
        for number in range(181)
        if not 100 <= number < 104
        for minute in [first + number * MINUTE]
    )


# --- webhooks ------------------------------------------------------------------------------------------------------


def _receivers(organization: Organization) -> tuple[dict[str, Endpoint], Sink]:
    create_default_secret(organization=organization)
    sink, of_sink, _ = sinks.create_sink(organization=organization, mode=Mode.TEST)
    return {"healthy": _endpoint(organization, HOOK), "sink": of_sink}, sink


def _endpoint(organization: Organization, url: str) -> Endpoint:
    events = [EventType.BATCH_STARTED, EventType.BATCH_COMPLETED, EventType.CREDITS_LOW]
    return create_endpoint(organization=organization, mode=Mode.LIVE, url=url, events=events)[0]


def _tell(batches: Mapping[str, Batch], sink: Sink) -> None:
    """Let the internal endpoint get one message that it can verify, and one that it cannot."""
    now = timezone.now()
    body = f'{{"event": "batch.completed", "batch_id": "{batches["test"].pk}"}}'
    for secrets in ([sink.endpoint.secret], ["whsec_" + "A" * 32]):
        headers = signature_headers(event_id="evt_test", body=body, secrets=secrets, at=now)
        sinks.receive(sink=sink, headers={"content-type": "application/json", **headers}, body=body.encode(), now=now)


def _deliver() -> None:
    """Answer what is due as the receivers do: one fails, the others take everything."""
    now = timezone.now()
    while claims := delivery.claim(count=100, now=now):
        delivery.record([(claim, _answer(claim.url)) for claim in claims], now=now)


def _answer(url: str) -> Answer:
    if url == BROKEN_HOOK:
        return Answer(status_code=500, duration_ms=1204, response="Internal Server Error")
    return Answer(status_code=200, duration_ms=84, response="ok")
