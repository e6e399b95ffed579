"""The verbs of onboarding: provision a pilot in one transaction."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from customers import services as customers
from customers.models import Membership, Mode, Organization, User
from ledger import services as ledger
from ledger.models import PILOT_CREDITS_MAX, CreditRequest
from pilots.models import Pilot
from webhooks import endpoints as webhooks
from webhooks.sinks import create_sink

# What a new organization's test wallet holds: play money for the simulator.
SANDBOX_CREDITS = 10_000


Basis = CreditRequest.Basis


class InvalidPilot(ValueError):
    """The pilot cannot be provisioned like this; the message says what to change."""


@dataclass(frozen=True)
class PilotOrder:
    """What a pilot is to be: the customer, its promotional credits, its limits, its webhook address.

    `webhook_url` empty: no endpoint. `sink`: an internal test endpoint instead, whose page shows what arrives.
    """

    name: str
    credits: int
    webhook_url: str = ""
    sink: bool = False
    contact: str = ""
    hours: int = 48
    max_items: int = 50
    rate_limit: int = 60
    max_open_batches: int = 100
    override_reason: str = "provisioned by a command"


@dataclass(frozen=True)
class Provisioned:
    """A new pilot with what is shown this once: secrets and the login's password."""

    pilot: Pilot
    wallet_id: str
    api_key: str
    test_api_key: str
    webhook_endpoint_id: str | None
    webhook_secret: str | None
    default_webhook_secret: str
    username: str
    password: str

    def as_json(self) -> dict[str, object]:
        """Return the object that `provision_pilot --json` prints."""
        return {
            "organization_id": self.pilot.organization_id,
            "wallet_id": self.wallet_id,
            "api_key": self.api_key,
            "test_api_key": self.test_api_key,
            "webhook_endpoint_id": self.webhook_endpoint_id,
            "webhook_secret": self.webhook_secret,
            "default_webhook_secret": self.default_webhook_secret,
            "dashboard_url": f"{settings.PUBLIC_BASE_URL}/admin/",
            "login": {"username": self.username, "password": self.password},
            "pilot_id": self.pilot.pk,
            "deadline": self.pilot.deadline.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


@transaction.atomic
def provision_pilot(*, order: PilotOrder, actor: str, now: datetime) -> Provisioned:
    """Make organization, wallets with promotional credits, keys, endpoint, login and pilot: all of it or nothing.

    Raises InvalidPilot, or ForbiddenTarget for a webhook address that may not be called.
    """
    _refuse(order)
    organization = Organization.objects.create(
        name=order.name,
        contact_email=order.contact,
        max_items_per_batch=order.max_items,
        rate_limit_per_minute=order.rate_limit,
        max_open_batches=order.max_open_batches,
        created_at=now,
    )
    pilot = Pilot.objects.create(
        organization=organization,
        credits=order.credits,
        activated_at=now,
        deadline=now + timedelta(hours=order.hours),
        created_by=actor,
        override_reason=order.override_reason,
    )
    wallet_id = _fund(organization, pilot, actor)
    _, api_key = customers.create_api_key(organization=organization, mode=Mode.LIVE, name="Pilot")
    _, test_api_key = customers.create_api_key(organization=organization, mode=Mode.TEST, name="Pilot sandbox")
    endpoint_id, webhook_secret = _endpoint(organization, order)
    default_secret = webhooks.create_default_secret(organization=organization)
    user, password = customers.create_member(
        organization=organization,
        username=_username(order.name),
        email=order.contact,
        role=Membership.Role.ADMIN,
    )
    customers.audit(
        actor=actor,
        action="pilot.provision",
        organization_id=organization.pk,
        subject=pilot.pk,
        detail={"credits": order.credits, "hours": order.hours, "max_items": order.max_items},
    )
    return Provisioned(
        pilot=pilot,
        wallet_id=wallet_id,
        api_key=api_key,
        test_api_key=test_api_key,
        webhook_endpoint_id=endpoint_id,
        webhook_secret=webhook_secret,
        default_webhook_secret=default_secret,
        username=user.username,
        password=password,
    )


def _refuse(order: PilotOrder) -> None:
    if not order.name.strip():
        raise InvalidPilot("A pilot needs the customer's name.")
    if not 0 < order.credits <= PILOT_CREDITS_MAX:
        raise InvalidPilot(f"A pilot is given 1 to {PILOT_CREDITS_MAX} promotional credits.")
    if not 1 <= order.max_items <= 10_000:
        raise InvalidPilot("A batch of a pilot has at most 1 to 10000 items.")
    if order.hours < 1 or order.rate_limit < 1 or order.max_open_batches < 1:
        raise InvalidPilot("Hours, rate limit and open batches are at least 1.")
    if order.sink and order.webhook_url:
        raise InvalidPilot("Give a webhook URL or ask for the internal test endpoint, not both.")


def _fund(organization: Organization, pilot: Pilot, actor: str) -> str:
    """Grant the promotional credits, and the sandbox its play money; return the live wallet's id."""
    wallets = ledger.open_wallets(organization=organization)
    grants = (
        (Mode.LIVE, Basis.PILOT, pilot.pk, f"Promotional credits of pilot {pilot.pk}", pilot.credits),
        (Mode.TEST, Basis.SANDBOX, f"{pilot.pk}:sandbox", "Sandbox credits", SANDBOX_CREDITS),
    )
    for mode, basis, reference, reason, amount in grants:
        movement = ledger.Movement(wallet_id=wallets[mode].pk, reference=reference, actor=actor, reason=reason)
        ledger.grant_on_basis(movement=movement, amount=amount, basis=basis)
    return wallets[Mode.LIVE].pk


def _endpoint(organization: Organization, order: PilotOrder) -> tuple[str | None, str | None]:
    if order.sink:
        _, endpoint, secret = create_sink(organization=organization, mode=Mode.LIVE)
        return endpoint.pk, secret
    if order.webhook_url:
        endpoint, secret = webhooks.create_endpoint(
            organization=organization, mode=Mode.LIVE, url=order.webhook_url, description="Given for the pilot"
        )
        return endpoint.pk, secret
    return None, None


def _username(name: str) -> str:
    """Return a login such as `acme-corp`, with a suffix when it is taken."""
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "customer"
    taken = User.objects.filter(username=stem).exists()
    return f"{stem}-{secrets.token_hex(3)}" if taken else stem
