"""The verbs of a customer's administrator about people: invite, change a role, remove, let set a new password.

What is handed over is a link that is good once and for 72 hours; customers.joining is what its holder does with it.
An organization always keeps an administrator: whoever changes its people waits for the lock on its row.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from customers.access import Permission
from customers.invitation_models import LINK_LIFE, new_token
from customers.models import ApiKey, Membership, OneTimeLink, Organization, User
from customers.services import audit, end_sessions
from sora2.canonical import sha256_hex

# Invitations of an organization that were neither used nor withdrawn.
OPEN_MOST = 50
ADMIN = Membership.Role.ADMIN
NOT_YOURS = "Their account is closed, or belongs to another organization too: it is not yours to open. Ask our support."


class PeopleRefused(Exception):
    """It cannot be done; the message says why, and what to do instead."""


def invite(
    *, organization: Organization, email: str, role: Membership.Role, by: User, now: datetime
) -> tuple[OneTimeLink, str]:
    """Invite whoever gets the link, and return it with its token, which cannot be shown again.

    An open invitation for the same e-mail gets the new token, and the role; its old link is useless from then on.
    Raises PeopleRefused.
    """
    email, token = email.strip().lower(), new_token()
    with transaction.atomic():
        _lock(organization, by)
        # Locked before the members are looked at: whoever uses it at this moment is one of them afterwards.
        link = OneTimeLink.objects.open().filter(organization=organization, email=email).select_for_update().first()
        if Membership.objects.filter(organization=organization, user__email__iexact=email).exists():
            raise PeopleRefused("Somebody with this e-mail belongs to you already. Change their role instead.")
        if link is None and open_invitations(organization).count() >= OPEN_MOST:
            raise PeopleRefused(f"{OPEN_MOST} invitations are open. Withdraw one that is not needed, and invite again.")
        replaces = link is not None
        link = link or OneTimeLink(kind=OneTimeLink.Kind.INVITATION, organization=organization, email=email)
        link.role = role
        _write(link, token=token, by=by, now=now)
        _audit(organization, act="person.invite", by=by, subject=link.pk, email=email, role=role, replaces=replaces)
    return link, token


def renew(*, link: OneTimeLink, by: User, now: datetime) -> tuple[OneTimeLink, str]:
    """Make a new link for an open invitation; the old one is useless from then on. Raises PeopleRefused."""
    with transaction.atomic():
        _lock(link.organization, by)
        # Its role as it is now: somebody may have invited the same person anew, with another one.
        role = OneTimeLink.objects.open().filter(pk=link.pk).values_list("role", flat=True).first()
        if role is None:
            raise PeopleRefused("Nothing was changed: the invitation was used or withdrawn meanwhile.")
        return invite(organization=link.organization, email=link.email, role=Membership.Role(role), by=by, now=now)


def withdraw(*, link: OneTimeLink, by: User, now: datetime) -> bool:
    """Make an open link useless; say whether it was open still."""
    with transaction.atomic():
        done = bool(OneTimeLink.objects.open().filter(pk=link.pk).update(withdrawn_at=now))
        if done:
            _audit(link.organization, act="person.withdraw_invitation", by=by, subject=link.pk, email=link.email)
    return done


def change_role(*, member: Membership, role: Membership.Role, by: User, now: datetime) -> None:
    """Give a member another role, from their next request on. `member` is as it was looked at. Raises PeopleRefused.

    Who was an administrator leaves no links behind: they have seen them.
    """
    with transaction.atomic():
        _lock(member.organization, by)
        _lock_user(member.user_id)
        if member.role == ADMIN and role != ADMIN:
            _keep_an_administrator(member)
        if mixes_roles(member.user_id, member.organization_id, role):
            raise PeopleRefused(
                "They belong to another organization too, and an account administers all of its organizations or "
                "none. Ask our support."
            )
        rows = Membership.objects.filter(pk=member.pk, role=member.role)
        if not rows.update(role=role):
            raise PeopleRefused("Nothing was changed: their role was changed meanwhile. Look again.")
        _audit(member.organization, act="person.change_role", by=by, subject=member.user_id, old=member.role, new=role)
        if role != ADMIN:
            links_made_by(member, now).update(withdrawn_at=now)


def remove(*, member: Membership, by: User, now: datetime) -> None:
    """Take a person out of an organization and end their sessions; without another one, close their account.

    What they did stays: batches, sign-offs, and the keys that they made, which go on working. Raises PeopleRefused.
    """
    with transaction.atomic():
        _lock(member.organization, by)
        user = _lock_user(member.user_id)
        if member.role == ADMIN:
            _keep_an_administrator(member)
        if not Membership.objects.filter(pk=member.pk, role=member.role).delete()[0]:
            raise PeopleRefused("Nothing was changed: they were removed meanwhile, or their role was changed.")
        end_sessions(user=user, now=now)
        # One of our own people signs in for us, whoever they belonged to besides.
        closed = not user.is_staff and not Membership.objects.filter(user=user).exists()
        if closed:
            User.objects.filter(pk=user.pk).update(is_active=False)
        kept = [key.pk for key in keys_made_by(member, now)]
        about = {"username": user.username, "role": member.role, "account_closed": closed, "keys_kept": kept}
        _audit(member.organization, act="person.remove", by=by, subject=user.pk, **about)
        links_made_by(member, now).update(withdrawn_at=now)


def password_link(*, member: Membership, turns_two_step_off: bool, by: User, now: datetime) -> tuple[OneTimeLink, str]:
    """Let a member who lost their password set a new one, and return the link with its token, shown this once.

    A link that they had before is useless from then on. Raises PeopleRefused.
    """
    token = new_token()
    with transaction.atomic():
        _lock(member.organization, by)
        user = _lock_user(member.user_id)
        if user.pk == by.pk:
            raise PeopleRefused("Change your own password under Password in the top bar.")
        if not belongs_only_to(user, member.organization_id):
            raise PeopleRefused(NOT_YOURS)
        kind = OneTimeLink.Kind.PASSWORD
        link = OneTimeLink.objects.open().filter(kind=kind, user=user).first() or OneTimeLink(kind=kind, user=user)
        link.organization, link.turns_two_step_off = member.organization, turns_two_step_off
        _write(link, token=token, by=by, now=now)
        _audit(member.organization, act="person.password_link", by=by, subject=user.pk, two_step_off=turns_two_step_off)
    return link, token


def open_invitations(organization: Organization) -> Any:
    """Return the invitations that were neither used nor withdrawn; some may have expired."""
    return OneTimeLink.objects.open().filter(organization=organization, kind=OneTimeLink.Kind.INVITATION)


def keys_made_by(member: Membership, now: datetime) -> Sequence[ApiKey]:
    """Return the usable keys of the organization that a person has made."""
    made = ApiKey.objects.usable(now).filter(organization=member.organization_id, created_by=member.user_id)
    return list(made.order_by("mode", "name", "pk"))


def links_made_by(member: Membership, now: datetime) -> Any:
    """Return the links that somebody has made, and seen: they end with the right to make them."""
    return OneTimeLink.objects.good(now).filter(organization=member.organization_id, made_by=member.user_id)


def is_last_administrator(member: Membership) -> bool:
    """Say whether nobody else could manage the organization's people."""
    others = Membership.objects.filter(organization=member.organization_id, role=ADMIN, user__is_active=True)
    return member.role == ADMIN and not others.exclude(pk=member.pk).exists()


def belongs_only_to(user: User, organization_id: str) -> bool:
    """Say whether somebody is a customer's person of this organization and of no other."""
    theirs = list(user.memberships.values_list("organization_id", flat=True))
    return user.is_active and not user.is_staff and theirs == [organization_id]


def mixes_roles(user_id: str, organization_id: str, role: str) -> bool:
    """Say whether with this role somebody would administer one of their organizations and not another.

    Such an account could do in each only what both allow: an administrator in name who can manage nobody.
    """
    elsewhere = Membership.objects.filter(user=user_id).exclude(organization=organization_id)
    return (elsewhere.exclude(role=ADMIN) if role == ADMIN else elsewhere.filter(role=ADMIN)).exists()


def _keep_an_administrator(member: Membership) -> None:
    if is_last_administrator(member):
        raise PeopleRefused("Nobody else administers this organization. Make somebody else an administrator first.")


def _write(link: OneTimeLink, *, token: str, by: User, now: datetime) -> None:
    link.token_sha256, link.made_by = sha256_hex(token), by
    link.made_at, link.expires_at = now, now + LINK_LIFE
    link.save()


def _lock(organization: Organization, by: User) -> None:
    """Let the organization's people be changed by one at a time, who may still. Raises PeopleRefused."""
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
    access = User.objects.get(pk=by.pk).access()
    if not (
        access.may(Permission.PEOPLE_WRITE) and Organization.objects.within(access).filter(pk=organization.pk).exists()
    ):
        raise PeopleRefused("Nothing was changed: you do not administer this organization any more.")


def _lock_user(user_id: str) -> User:
    """Let nobody join another organization meanwhile."""
    return User.objects.select_for_update(no_key=True).get(pk=user_id)


def _audit(organization: Organization, *, act: str, by: User, subject: str, **detail: Any) -> None:
    audit(actor=by.pk, action=act, organization_id=organization.pk, subject=subject, detail=detail)
