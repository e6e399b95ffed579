"""What the pages show of a customer's people: who they are, who is invited, and what a change would do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef
from django.shortcuts import get_object_or_404

from customers import people
from customers.access import Access, permissions_of_role
from customers.account_pages import reached_organization
from customers.models import ApiKey, Authenticator, Membership, OneTimeLink, Organization
from customers.pages import WORDS

# What a role may do, for whoever gives it. docs/reference/access.md says the same.
ROLES: Mapping[str, str] = {
    Membership.Role.ADMIN: (
        "Everything in this organization: what the other two may do, and manage its people, its API keys and its "
        "settings."
    ),
    Membership.Role.FINANCE: (
        "See batches, webhooks, credits and every entry of the ledger; take statements and exports; sign batches off."
    ),
    Membership.Role.DEVELOPER: (
        "Order, cancel and retry batches, see their videos, and look after the webhooks. Sees no credits."
    ),
}


@dataclass(frozen=True)
class Invited:
    """An open invitation, and whether its link works still: `open` or `expired`."""

    link: OneTimeLink
    state: str
    by: str


@dataclass(frozen=True)
class People:
    """The people of a customer. Each membership has `two_step`, whether that is on."""

    organization: Organization
    members: Sequence[Membership]
    invitations: Sequence[Invited]


@dataclass(frozen=True)
class Change:
    """What another role would do: what somebody may do then, and may do no more, in words."""

    role: str
    gained: Sequence[str]
    lost: Sequence[str]


@dataclass(frozen=True)
class Removal:
    """What a removal would do: what stays, and what ends with it."""

    closes_account: bool
    keys: Sequence[ApiKey]
    links: int


def people_page(access: Access, *, organization_id: str, now: datetime) -> People:
    """Return a customer's people and its open invitations. Raises Http404."""
    organization = reached_organization(access, organization_id=organization_id)
    two_step = Exists(Authenticator.objects.filter(user=OuterRef("user_id")))
    members = organization.memberships.select_related("user", "invited_by").annotate(two_step=two_step)
    invitations = people.open_invitations(organization).select_related("made_by").order_by("-made_at", "pk")
    return People(
        organization,
        list(members.order_by("user__username")),
        [Invited(link, link.state(now), inviter(link)) for link in invitations],
    )


def reached_member(access: Access, *, organization_id: str, user_id: str) -> Membership:
    """Return a member of a customer that somebody reaches. Raises Http404."""
    organization = reached_organization(access, organization_id=organization_id)
    return get_object_or_404(organization.memberships.select_related("user", "organization"), user=user_id)


def reached_invitation(access: Access, *, organization_id: str, link_id: str) -> OneTimeLink:
    """Return an invitation of a customer that somebody reaches, in whatever state. Raises Http404."""
    organization = reached_organization(access, organization_id=organization_id)
    links = organization.links.select_related("organization").filter(kind=OneTimeLink.Kind.INVITATION)
    return get_object_or_404(links, pk=link_id)


def change_of(member: Membership, role: str) -> Change:
    """Return what another role would do."""
    old, new = permissions_of_role(member.role), permissions_of_role(role)
    return Change(role, _in_words(new - old), _in_words(old - new))


def removal_of(member: Membership, now: datetime) -> Removal:
    """Return what it would do to remove somebody."""
    return Removal(
        closes_account=people.belongs_only_to(member.user, member.organization_id),
        keys=people.keys_made_by(member, now),
        links=people.links_made_by(member, now).count(),
    )


def inviter(link: OneTimeLink) -> str:
    """Return who made a link, as customers know them: our own people by our name."""
    return "Sora2 Enterprise" if link.made_by.is_staff else link.made_by.get_full_name() or link.made_by.username


def lost_with(user: Any, link: OneTimeLink) -> Sequence[str]:
    """Return what somebody who belongs elsewhere could do there no more after joining, in words."""
    held = user.access().permissions
    return _in_words(held - permissions_of_role(link.role))


def _in_words(permissions: frozenset[Any]) -> list[str]:
    return [words for permission, words in WORDS.items() if permission in permissions]
