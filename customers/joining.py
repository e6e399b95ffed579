"""What the holder of a one-time link does with it: join an organization, or set a new password. Once.

The row of the link is taken by a guarded update in the same transaction as what it opens: of two at once one wins.
"""

from contextlib import suppress
from datetime import datetime

from django.db import IntegrityError, transaction

from customers import two_step
from customers.models import Membership, OneTimeLink, User
from customers.people import belongs_only_to, mixes_roles
from customers.services import audit, end_sessions


class LinkUseless(Exception):
    """The link was used, withdrawn or replaced, has expired, or never was. Which of these is nobody's business."""


class JoinRefused(Exception):
    """The link is good, but not for this; the message says why, and what to do instead."""


class NameTaken(Exception):
    """Somebody has this sign-in name."""


def good_link(*, token: str, kind: OneTimeLink.Kind, now: datetime) -> OneTimeLink | None:
    """Return the link of a token with its organization and people, if it can be used; this uses nothing up."""
    rows = OneTimeLink.objects.good(now).with_token(token, kind)
    link = rows.select_related("organization", "made_by", "user").first()
    if link is None or not link.made_by.is_active:  # Whoever made it has seen it, and is to come in no more.
        return None
    is_another = link.user is not None and not belongs_only_to(link.user, link.organization_id)
    return None if is_another else link


def join_as_new(*, link: OneTimeLink, username: str, name: str, password: str, now: datetime) -> User:
    """Make an account for whoever was invited, in the organization. Raises LinkUseless, NameTaken."""
    with transaction.atomic():
        link = _take(link, now)
        try:
            with transaction.atomic():
                user = User.objects.create_user(username=username, email=link.email, password=password, first_name=name)
        except IntegrityError as error:
            raise NameTaken from error
        _join(link, user, now, account="new")
    return user


def join_with_account(*, link: OneTimeLink, user: User, now: datetime) -> None:
    """Let somebody who belongs to another organization join with the account they have.

    With two organizations they may do in each what both of their roles allow. Raises LinkUseless, JoinRefused.
    """
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        link = _take(link, now)
        if why := why_not_with(user, link):
            raise JoinRefused(why)
        _join(link, user, now, account="existing")


def set_password(*, link: OneTimeLink, password: str, now: datetime) -> None:
    """Give the member whom a link is for this password, and end their sessions. Raises LinkUseless."""
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=link.user_id)
        link = _take(link, now)
        if not belongs_only_to(user, link.organization_id):
            raise LinkUseless
        user.set_password(password)
        user.save(update_fields=["password"])
        if link.turns_two_step_off:
            with suppress(two_step.NoAuthenticator):
                two_step.reset(user=user, by=link.made_by, reason="by a link for a new password", now=now)
        end_sessions(user=user, now=now)
        detail = {"username": user.username, "link": link.pk, "two_step_off": link.turns_two_step_off}
        audit(
            actor=user.pk,
            action="person.set_password",
            organization_id=link.organization_id,
            subject=user.pk,
            detail=detail,
        )


def why_not_with(user: User, link: OneTimeLink) -> str:
    """Say why somebody cannot join with the account they have; the empty text if they can."""
    if not user.is_active:
        return "Your account was closed at this moment. Open the link again, and join with a new account."
    if user.is_staff:
        return "Our own people belong to no customer. Sign out, and open the link again."
    if user.memberships.filter(organization=link.organization_id).exists():
        return f"Your account belongs to {link.organization} already. To change your role, ask an administrator there."
    if mixes_roles(user.pk, link.organization_id, link.role):
        return (
            "An account administers all of its organizations or none, and this role differs from yours elsewhere. "
            "Join with a new account."
        )
    return ""


def _take(link: OneTimeLink, now: datetime) -> OneTimeLink:
    """Use a link up, in the transaction of what it opens."""
    # The token too: a link that was replaced since has the same row.
    rows = OneTimeLink.objects.good(now).filter(pk=link.pk, token_sha256=link.token_sha256)
    if not rows.update(used_at=now):
        raise LinkUseless
    return OneTimeLink.objects.select_related("organization", "made_by").get(pk=link.pk)


def _join(link: OneTimeLink, user: User, now: datetime, *, account: str) -> None:
    Membership.objects.create(
        user=user, organization=link.organization, role=link.role, since=now, invited_by=link.made_by
    )
    OneTimeLink.objects.filter(pk=link.pk).update(user=user)
    audit(
        actor=user.pk,
        action="person.join",
        organization_id=link.organization_id,
        subject=user.pk,
        detail={"username": user.username, "role": link.role, "link": link.pk, "account": account},
    )
