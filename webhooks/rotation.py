"""Rotating a secret once for each time that somebody has seen the page that asks for it.

Two secrets sign at most: a form that is sent twice would rotate twice, and the secret that the receiver knows would be
gone. So the form says which secret it was opened with, and one that comes second is refused.
"""

from datetime import datetime

from django.db import transaction

from customers.models import Organization
from sora2.seen import check_seen, seen_name
from webhooks.endpoints import rotate_default_secret, rotate_secret
from webhooks.models import DefaultSecret, Endpoint, RotatingSecret


def seen_of(row: RotatingSecret) -> str:
    """Return a name for the secret as it is now; it says nothing about it."""
    return seen_name(row.secret_encrypted)


def rotate_seen(*, endpoint: Endpoint, seen: str, overlap_hours: int, actor: str, now: datetime) -> str:
    """Rotate an endpoint's secret if it is still the one that was seen; return the new one.

    Raises ChangedMeanwhile, Endpoint.DoesNotExist.
    """
    with transaction.atomic():
        locked = Endpoint.objects.present().select_for_update(no_key=True).get(pk=endpoint.pk)
        check_seen(locked.secret_encrypted, seen)
        return rotate_secret(endpoint=endpoint, overlap_hours=overlap_hours, actor=actor, now=now)


def rotate_seen_default(*, organization: Organization, seen: str, overlap_hours: int, actor: str, now: datetime) -> str:
    """The same for the organization's default secret. Raises ChangedMeanwhile, DefaultSecret.DoesNotExist."""
    with transaction.atomic():
        locked = DefaultSecret.objects.select_for_update(no_key=True).get(pk=organization.pk)
        check_seen(locked.secret_encrypted, seen)
        return rotate_default_secret(organization=organization, overlap_hours=overlap_hours, actor=actor, now=now)
