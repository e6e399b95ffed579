"""What the tests of a customer's people share: somebody who belongs, inviting on the page, and where a link leads."""

import re
from typing import Any

from django.test import Client

from customers.models import AuditEvent, Membership, Organization, User
from tests.factories import Account

PASSWORD = "a password of length"
Role = Membership.Role
ACCEPTED = {"name": "Pia Holm", "username": "pia", "password1": PASSWORD, "password2": PASSWORD}


def someone(organization: Organization, role: str, username: str, **more: Any) -> User:
    """Return a customer's person who signs in with PASSWORD."""
    user = User.objects.create_user(username=username, password=PASSWORD, **more)
    Membership.objects.create(user=user, organization=organization, role=role)
    return user


def at(account: Account, *rest: str) -> str:
    return "/".join([f"/admin/customers/{account.organization.pk}/people", *rest])


def invite(client: Client, account: Account, email: str = "pia@acme.example", role: str = Role.FINANCE) -> str:
    """Invite somebody on the page and return where the link leads."""
    return door_of(client.post(at(account, "invite"), {"email": email, "role": role}))


def door_of(shown: Any) -> str:
    """Return where the link leads that a page shows."""
    [address] = re.findall(r"<code>http://127\.0\.0\.1:8000(/admin/[a-z-]+/[\w-]{43})</code>", shown.content.decode())
    return str(address)


def member_of(user: User, account: Account) -> Membership:
    return Membership.objects.select_related("user", "organization").get(user=user, organization=account.organization)


def audited(action: str) -> AuditEvent:
    return AuditEvent.objects.get(action=action)
