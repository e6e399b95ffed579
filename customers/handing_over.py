"""Hand secrets over by a one-time link: they are shown once, to whoever holds it, and are nowhere else.

The row is taken by a guarded update: of two who reveal at once, one is shown the content, and the other nothing.
"""

import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from customers.invitation_models import LINK_LIFE, new_token
from customers.issuing import KeyOrder, issue_by_person
from customers.models import Handover, Membership, Mode, Organization, User
from customers.services import audit
from sora2.canonical import sha256_hex
from sora2.crypto import decrypt, encrypt


class Named(StrEnum):
    """What a secret is called in a handover; the page that reveals it says by its name what to do with it."""

    LIVE_KEY = "Live API key"
    TEST_KEY = "Test API key"
    ENDPOINT_SECRET = "Webhook secret"  # noqa: S105 - a name.
    DEFAULT_SECRET = "Default webhook secret"  # noqa: S105 - the same.
    USERNAME = "Sign-in name"
    PASSWORD = "Password"  # noqa: S105 - the same.


SIGN_IN_TITLE = "Sign-in to the dashboard"
KEY_NAMES = {Mode.LIVE: Named.LIVE_KEY, Mode.TEST: Named.TEST_KEY}


class HandoverUseless(Exception):
    """The content was revealed, withdrawn, replaced or wiped, or never was. Which of these is nobody's business."""


class SignedInBefore(Exception):
    """Nobody waits for a first password here: whom a customer lets in is its own affair since somebody came in."""


@transaction.atomic
def hand_over(
    *, organization: Organization, title: str, content: Mapping[str, str], actor: str, now: datetime
) -> tuple[Handover, str]:
    """Keep some secrets, by name, until they are revealed; return the handover and the token of its link.

    For 72 hours. The token is not stored and cannot be shown again: `renew` makes another one.
    """
    token = new_token()
    handover = Handover.objects.create(
        organization=organization,
        title=title,
        names=[str(name) for name in content],
        content_encrypted=encrypt(json.dumps({str(name): secret for name, secret in content.items()})),
        token_sha256=sha256_hex(token),
        made_by=actor,
        made_at=now,
        expires_at=now + LINK_LIFE,
    )
    _audit(handover, actor, "make")
    return handover, token


@transaction.atomic
def hand_over_new_key(
    *, organization: Organization, mode: Mode, order: KeyOrder, key_id: str, actor: str, now: datetime
) -> tuple[Handover, str]:
    """Make a key as a person has ordered it, and hand its secret over: nobody of us sees it.

    `key_id` is the id that it will have. Raises MadeBefore, TooManyKeys.
    """
    _, secret = issue_by_person(organization=organization, mode=mode, order=order, key_id=key_id, actor=actor, now=now)
    content: dict[str, str] = {KEY_NAMES[mode]: secret}
    return hand_over(organization=organization, title=f"New {mode} API key", content=content, actor=actor, now=now)


@transaction.atomic
def hand_over_new_password(*, organization: Organization, actor: str, now: datetime) -> tuple[Handover, str]:
    """Replace the password of the sign-in that we made for a customer, and hand it over: its link was lost.

    Only as long as nobody of theirs has signed in: later it would be a way into somebody's house. What waits of the old
    one is wiped. Raises SignedInBefore.
    """
    if organization.memberships.filter(user__last_login__isnull=False).exists():
        raise SignedInBefore
    ours = User.objects.filter(
        memberships__organization=organization, memberships__role=Membership.Role.ADMIN, memberships__invited_by=None
    )
    never = ours.filter(is_active=True, last_login=None).order_by("date_joined", "pk")
    user = never.select_for_update(no_key=True, of=("self",)).first()
    if user is None:
        raise SignedInBefore
    password = secrets.token_urlsafe(15)
    user.set_password(password)
    user.save(update_fields=["password"])
    for waiting in Handover.objects.open().filter(organization=organization, names__contains=[Named.PASSWORD]):
        withdraw(handover=waiting, actor=actor, now=now)
    audit(
        actor=actor,
        action="person.replace_password",
        organization_id=organization.pk,
        subject=user.pk,
        detail={"username": user.username},
    )
    content: dict[str, str] = {Named.USERNAME: user.username, Named.PASSWORD: password}
    return hand_over(organization=organization, title=SIGN_IN_TITLE, content=content, actor=actor, now=now)


@transaction.atomic
def renew(*, handover: Handover, actor: str, now: datetime) -> str:
    """Return the token of a new link for what nobody has revealed yet; the old link is useless from this moment.

    Raises HandoverUseless.
    """
    token = new_token()
    rows = Handover.objects.open().filter(pk=handover.pk)
    if not rows.update(token_sha256=sha256_hex(token), expires_at=now + LINK_LIFE):
        raise HandoverUseless
    _audit(handover, actor, "renew")
    return token


@transaction.atomic
def withdraw(*, handover: Handover, actor: str, now: datetime) -> bool:
    """Wipe what nobody has revealed yet; say whether there was something."""
    if not Handover.objects.open().filter(pk=handover.pk).update(content_encrypted="", withdrawn_at=now):
        return False
    _audit(handover, actor, "withdraw")
    return True


def good_handover(*, token: str, now: datetime) -> Handover | None:
    """Return the handover of a token with its organization, if it can be revealed; this uses nothing up."""
    return Handover.objects.good(now).with_token(token).select_related("organization").first()


@transaction.atomic
def reveal(*, token: str, now: datetime) -> tuple[Handover, dict[str, str]]:
    """Return the secrets by name, this once, and wipe them. Raises HandoverUseless."""
    rows = Handover.objects.good(now).with_token(token)
    handover = rows.select_related("organization").select_for_update(of=("self",)).first()
    if handover is None:
        raise HandoverUseless
    content: dict[str, str] = json.loads(decrypt(handover.content_encrypted))
    Handover.objects.filter(pk=handover.pk).update(content_encrypted="", revealed_at=now)
    _audit(handover, handover.pk, "reveal")
    return handover, content


def wipe_expired(*, now: datetime) -> int:
    """Wipe the content of links that ended unused; return of how many."""
    return Handover.objects.open().filter(expires_at__lte=now).update(content_encrypted="")


def link_of(token: str) -> str:
    """Return the address that a token opens."""
    return f"{settings.PUBLIC_BASE_URL}{reverse('admin:handover', args=[token])}"


def _audit(handover: Handover, actor: str, act: str) -> None:
    audit(
        actor=actor,
        action=f"handover.{act}",
        organization_id=handover.organization_id,
        subject=handover.pk,
        detail={"title": handover.title, "names": handover.names},
    )
