"""Changing one field of an endpoint from a page that has shown its value: what somebody else changed is not lost."""

from typing import Any

from django.db import transaction

from sora2.seen import check_seen, seen_name
from webhooks.endpoints import change_endpoint
from webhooks.models import Endpoint


def seen_value(endpoint: Endpoint, name: str) -> str:
    """Return a name for the value of a field as it is now."""
    return seen_name(getattr(endpoint, name))


def change_seen(*, endpoint: Endpoint, name: str, value: Any, seen: str, actor: str) -> Endpoint:
    """Change one field if it is still as it was seen, or as it is to be: then the form came twice.

    Raises ChangedMeanwhile, and what `change_endpoint` raises.
    """
    with transaction.atomic():
        locked = Endpoint.objects.present().select_for_update(no_key=True).get(pk=endpoint.pk)
        if getattr(locked, name) != value:
            check_seen(getattr(locked, name), seen)
        return change_endpoint(endpoint=locked, actor=actor, **{name: value})
