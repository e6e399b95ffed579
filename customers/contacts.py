"""Whom an organization wants to be told: whom it has named, else its contact, or its people by their roles.

Where it has none of these our own support is told, who can ask.
"""

from django.conf import settings

from customers.models import Membership, Organization


def technical_contacts(organization: Organization) -> list[str]:
    """Return whom to tell of webhooks: whom it named for that, else its contact, administrators and developers."""
    named = organization.technical_emails or [
        organization.contact_email,
        *_of_people(organization, Membership.Role.ADMIN, Membership.Role.DEVELOPER),
    ]
    return _reachable(named)


def finance_contacts(organization: Organization) -> list[str]:
    """Return whom to tell of credits: whom it named for that, else its contact, else administrators and finance."""
    contact = [organization.contact_email] if organization.contact_email else []
    named = organization.finance_emails or contact
    return _reachable(named or _of_people(organization, Membership.Role.ADMIN, Membership.Role.FINANCE))


def _of_people(organization: Organization, *roles: Membership.Role) -> list[str]:
    people = Membership.objects.filter(organization=organization, role__in=roles, user__is_active=True)
    return list(people.order_by("user__email").values_list("user__email", flat=True))


def _reachable(addresses: list[str]) -> list[str]:
    return list(dict.fromkeys(address for address in addresses if address)) or [settings.SUPPORT_EMAIL]
