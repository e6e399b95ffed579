"""Our own organization, in whose test mode the preflight runs: with play money, and with nothing that outlasts a run.

It is made at the first run and found again by the run before. A run is given a key, a test endpoint and a password;
they are taken away when it ends, and by the next one where it died.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from customers.access import DEFAULT_SCOPES
from customers.issuing import KeyOrder, issue_from_us
from customers.models import ApiKey, Membership, Mode, Organization, User
from customers.services import create_member, end_sessions, revoke_api_key
from ledger.models import CreditRequest
from ledger.services import Movement, grant_on_basis, open_wallets
from pilots.models import Preflight
from webhooks.endpoints import TooManyEndpoints, delete_endpoint
from webhooks.guarded import ForbiddenTarget
from webhooks.models import Endpoint
from webhooks.sinks import create_sink

# Of a key that a run is given: a run that was killed takes nothing away, and is over long before.
KEY_LIFE = timedelta(minutes=30)
NAME = "Sora2 preflight (internal)"
ACTOR = "system"


@dataclass(frozen=True)
class Receiver:
    """The run's test endpoint: its id, its address and its secret."""

    endpoint_id: str
    url: str
    secret: str


@dataclass(frozen=True)
class Account:
    """What a run has: the secret of a test key, a test endpoint or why there is none, and a person who may sign in."""

    organization: Organization
    api_key: str
    receiver: Receiver | None
    no_receiver: str
    username: str
    password: str

    def grant(self, *, amount: int, reference: str) -> None:
        """Bring play money into the test wallet."""
        wallet = open_wallets(organization=self.organization)[Mode.TEST]
        movement = Movement(wallet_id=wallet.pk, reference=reference, actor=ACTOR, reason="Play money for a preflight")
        grant_on_basis(movement=movement, amount=amount, basis=CreditRequest.Basis.SANDBOX)


@contextmanager
def account_of(preflight: Preflight) -> Iterator[Account]:
    """Give a run what it needs, and take it away whatever happens."""
    organization = _organization(preflight)
    _clear(organization)
    try:
        yield _account(organization)
    finally:
        _clear(organization)


def _organization(preflight: Preflight) -> Organization:
    """Return our organization, and write down that the run is in it."""
    before = Preflight.objects.filter(organization__isnull=False).order_by("-pk").select_related("organization").first()
    organization = before.organization if before else None
    with transaction.atomic():
        if organization is None:
            organization = Organization.objects.create(name=NAME, rate_limit_per_minute=6000)
            open_wallets(organization=organization)
        Preflight.objects.filter(pk=preflight.pk).update(organization=organization)
    return organization


def _account(organization: Organization) -> Account:
    now = timezone.now()
    order = KeyOrder(
        name="Preflight",
        scopes=DEFAULT_SCOPES,
        expires_at=now + KEY_LIFE,
        budget_credits=None,
        allowed_networks=[],
    )
    _, api_key = issue_from_us(organization=organization, mode=Mode.TEST, order=order, now=now)
    receiver, why_not = None, ""
    try:
        _, endpoint, secret = create_sink(organization=organization, mode=Mode.TEST, actor=ACTOR)
        receiver = Receiver(endpoint.pk, endpoint.url, secret)
    except (ForbiddenTarget, TooManyEndpoints) as error:
        why_not = (
            f"No test endpoint could be made at PUBLIC_BASE_URL: {error} Webhooks go to public HTTPS addresses; on a "
            "developer's machine, to what WEBHOOK_DEV_ALLOWED_TARGETS names."
        )
    user, password = _person(organization)
    return Account(organization, api_key, receiver, why_not, user.username, password)


def _person(organization: Organization) -> tuple[User, str]:
    """Return the person who looks at the pages, with a password for this run."""
    role = Membership.Role.FINANCE
    member = Membership.objects.filter(organization=organization, role=role).select_related("user").first()
    if member is None:
        username = f"preflight-{organization.pk[-8:]}"
        return create_member(organization=organization, username=username, email="", role=role)
    password = secrets.token_urlsafe(24)
    member.user.set_password(password)
    member.user.is_active = True
    member.user.save(update_fields=["password", "is_active"])
    return member.user, password


def _clear(organization: Organization) -> None:
    """Take away what a run was given; of whatever run."""
    now = timezone.now()
    for key in ApiKey.objects.usable(now).filter(organization=organization):
        revoke_api_key(key=key, now=now, actor=ACTOR, reason="The preflight has ended")
    for endpoint in Endpoint.objects.present().filter(organization=organization):
        delete_endpoint(endpoint=endpoint, actor=ACTOR, now=now)
    for member in Membership.objects.filter(organization=organization, user__is_active=True).select_related("user"):
        member.user.set_unusable_password()
        member.user.is_active = False
        member.user.save(update_fields=["password", "is_active"])
        end_sessions(user=member.user, now=now)
