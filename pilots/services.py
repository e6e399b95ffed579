"""The verbs of onboarding: provision a pilot in one transaction."""

import re
import secrets
from dataclasses import dataclass, replace
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction

from customers import services as customers
from customers.access import DEFAULT_SCOPES
from customers.handing_over import KEY_NAMES, SIGN_IN_TITLE, Named, hand_over, link_of
from customers.issuing import KeyOrder, issue_from_us
from customers.models import Membership, Mode, Organization, User
from ledger import services as ledger
from ledger.models import CreditRequest
from pilots.leads import advance
from pilots.models import Lead, Pilot, new_pilot_id
from pilots.orders import InvalidPilot as InvalidPilot
from pilots.orders import PilotOrder as PilotOrder
from pilots.orders import basis_of
from sora2.times import timestamp
from webhooks import endpoints as webhooks
from webhooks.sinks import create_sink

# What a new organization's test wallet holds: play money for the simulator.
SANDBOX_CREDITS = 10_000
KEY_WORDS = {Mode.LIVE: "Pilot", Mode.TEST: "Pilot sandbox"}
# What `provision_pilot --json` leaves out where one-time links take its place.
SECRET = ("api_key", "test_api_key", "webhook_secret", "default_webhook_secret", "login")

Basis = CreditRequest.Basis


class PilotMadeBefore(ValueError):
    """The pilot of this id exists: it was made by the same form."""


@dataclass(frozen=True)
class Links:
    """The one-time links by which a pilot's secrets are handed over: to its engineer, and to its administrator."""

    keys: str
    sign_in: str


@dataclass(frozen=True)
class Provisioned:
    """A new pilot with what is shown this once: secrets and the login's password, or `links` to them."""

    pilot: Pilot
    wallet_id: str
    api_key: str
    test_api_key: str
    webhook_endpoint_id: str | None
    webhook_secret: str | None
    default_webhook_secret: str
    username: str
    password: str
    links: Links | None = None

    def as_json(self) -> dict[str, object]:
        """Return the object that `provision_pilot --json` prints. With links it has these, and no secret."""
        said: dict[str, object] = {
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
        if self.links is None:
            return said
        open_to_all = {name: value for name, value in said.items() if name not in SECRET}
        return {**open_to_all, "links": {"keys": self.links.keys, "sign_in": self.links.sign_in}}


@transaction.atomic
def provision_pilot(
    *, order: PilotOrder, actor: str, now: datetime, pilot_id: str = "", by_link: bool = False
) -> Provisioned:
    """Make organization, wallets with promotional credits, keys, endpoint, login and pilot: all of it or nothing.

    `pilot_id` is the id that the pilot will have: a second order of the same makes nothing. `by_link` hands what is
    secret over by one-time links. Raises InvalidPilot, PilotMadeBefore, or ForbiddenTarget for a webhook address that
    may not be called.
    """
    preflight = basis_of(order, now=now)
    organization = _organization(order, now)
    pilot = Pilot(
        pk=pilot_id or new_pilot_id(),
        organization=organization,
        credits=order.credits,
        activated_at=order.starts(now),
        deadline=order.ends(now),
        created_by=actor,
        preflight=preflight,
        override_reason="" if preflight else order.override_reason,
    )
    _save(pilot)
    made = _equip(order, pilot, actor=actor, now=now, by_link=by_link)
    if order.lead is not None:
        _convert(order.lead, organization, actor=actor, now=now)
    _audit(order, pilot, by_link=by_link)
    return made


def _organization(order: PilotOrder, now: datetime) -> Organization:
    return Organization.objects.create(
        name=order.name,
        contact_email=order.contact,
        technical_emails=list(order.technical_emails),
        finance_emails=list(order.finance_emails),
        max_items_per_batch=order.max_items,
        rate_limit_per_minute=order.rate_limit,
        max_open_batches=order.max_open_batches,
        created_at=now,
    )


def _save(pilot: Pilot) -> None:
    """Store a new pilot. Raises PilotMadeBefore."""
    try:
        with transaction.atomic():
            pilot.save(force_insert=True)
    except IntegrityError as error:  # Also when a form comes twice at once: the second waits here for the first.
        if "pilots_pilot_pkey" in str(error):
            raise PilotMadeBefore from error
        raise


def _equip(order: PilotOrder, pilot: Pilot, *, actor: str, now: datetime, by_link: bool) -> Provisioned:
    """Give a pilot its credits and all that opens a door."""
    organization = pilot.organization
    wallet_id = _fund(organization, pilot, order.reason, actor)
    keys = {mode: _key(organization, mode, order, actor=actor, now=now) for mode in Mode}
    endpoint_id, webhook_secret = _endpoint(organization, order, actor)
    default_secret = webhooks.create_default_secret(organization=organization)
    user, password = customers.create_member(
        organization=organization,
        username=_username(order.name),
        email=order.contact,
        role=Membership.Role.ADMIN,
    )
    made = Provisioned(
        pilot=pilot,
        wallet_id=wallet_id,
        api_key=keys[Mode.LIVE],
        test_api_key=keys[Mode.TEST],
        webhook_endpoint_id=endpoint_id,
        webhook_secret=webhook_secret,
        default_webhook_secret=default_secret,
        username=user.username,
        password=password,
    )
    return replace(made, links=_hand_over(made, actor=actor, now=now)) if by_link else made


def _hand_over(made: Provisioned, *, actor: str, now: datetime) -> Links:
    """Keep what is secret of a pilot for its engineer and for its administrator; return the links."""
    keys: dict[str, str | None] = {
        KEY_NAMES[Mode.LIVE]: made.api_key,
        KEY_NAMES[Mode.TEST]: made.test_api_key,
        Named.ENDPOINT_SECRET: made.webhook_secret,
        Named.DEFAULT_SECRET: made.default_webhook_secret,
    }

    def link(title: str, content: dict[str, str]) -> str:
        organization = made.pilot.organization
        return link_of(hand_over(organization=organization, title=title, content=content, actor=actor, now=now)[1])

    return Links(
        keys=link("API keys and webhook secrets", {name: secret for name, secret in keys.items() if secret}),
        sign_in=link(SIGN_IN_TITLE, {Named.USERNAME: made.username, Named.PASSWORD: made.password}),
    )


def _convert(lead: Lead, organization: Organization, *, actor: str, now: datetime) -> None:
    """Let a lead be the customer that it has become. Raises InvalidPilot when it is one since."""
    if not Lead.objects.filter(pk=lead.pk, organization=None, lost_at=None).update(organization=organization):
        raise InvalidPilot(f"{lead.company} has its pilot already, or was given up: look at the lead again.", "lead")
    by = User.objects.filter(pk=actor).first()
    advance(lead=lead, stage=Lead.Stage.PILOT, by=by, now=now, note="Provisioned")


def _audit(order: PilotOrder, pilot: Pilot, *, by_link: bool) -> None:
    detail = {
        "credits": order.credits,
        "hours": order.hours,
        "max_items": order.max_items,
        "starts_at": timestamp(pilot.activated_at),
        "reason": order.reason,
        "preflight": pilot.preflight_id,
        "override": pilot.override_reason,
        "by_link": by_link,
    }
    customers.audit(
        actor=pilot.created_by,
        action="pilot.provision",
        organization_id=pilot.organization_id,
        subject=pilot.pk,
        detail=detail,
    )


def _key(organization: Organization, mode: Mode, order: PilotOrder, *, actor: str, now: datetime) -> str:
    key = KeyOrder(
        name=KEY_WORDS[mode],
        scopes=DEFAULT_SCOPES,
        expires_at=order.key_expires_at,
        budget_credits=None,
        allowed_networks=(),
    )
    return issue_from_us(organization=organization, mode=mode, order=key, actor=actor, now=now)[1]


def _fund(organization: Organization, pilot: Pilot, why: str, actor: str) -> str:
    """Grant the promotional credits, and the sandbox its play money; return the live wallet's id."""
    wallets = ledger.open_wallets(organization=organization)
    promotional = f"Promotional credits of pilot {pilot.pk}" + (f": {why}" if why else "")
    grants = (
        (Mode.LIVE, Basis.PILOT, pilot.pk, promotional, pilot.credits),
        (Mode.TEST, Basis.SANDBOX, f"{pilot.pk}:sandbox", "Sandbox credits", SANDBOX_CREDITS),
    )
    for mode, basis, reference, reason, amount in grants:
        movement = ledger.Movement(wallet_id=wallets[mode].pk, reference=reference, actor=actor, reason=reason)
        ledger.grant_on_basis(movement=movement, amount=amount, basis=basis)
    return wallets[Mode.LIVE].pk


def _endpoint(organization: Organization, order: PilotOrder, actor: str) -> tuple[str | None, str | None]:
    if order.sink:
        _, endpoint, secret = create_sink(organization=organization, mode=Mode.LIVE, actor=actor)
        return endpoint.pk, secret
    if order.webhook_url:
        endpoint, secret = webhooks.create_endpoint(
            organization=organization,
            mode=Mode.LIVE,
            url=order.webhook_url,
            description="Given for the pilot",
            actor=actor,
        )
        return endpoint.pk, secret
    return None, None


def _username(name: str) -> str:
    """Return a login such as `acme-corp`, with a suffix when it is taken."""
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "customer"
    taken = User.objects.filter(username=stem).exists()
    return f"{stem}-{secrets.token_hex(3)}" if taken else stem
