"""The verbs of an endpoint: create, change, delete, rotate its secret, send it a test."""

import json
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from customers.models import Mode, Organization
from customers.services import audit
from sora2.crypto import encrypt
from sora2.times import timestamp
from webhooks import services
from webhooks.guarded import check_url
from webhooks.models import (
    DefaultSecret,
    Delivery,
    Endpoint,
    EventType,
    RotatingSecret,
    Trigger,
    default_events,
    new_event_id,
)
from webhooks.signing import new_secret

# Of an organization in one mode: each batch writes a delivery for each of them.
ENDPOINTS_MOST = 20
OVERLAP_HOURS, OVERLAP_HOURS_MOST = 24, 168
# How long who sent a test waits for what came of it, and how often it looks.
TEST_WAIT_SECONDS, TEST_LOOK_SECONDS = 5.0, 0.1

SWITCHED_OFF = "the endpoint was switched off"
DELETED = "the endpoint was deleted"

# What a change of the address or of the switch makes untrue.
HEALTHY: dict[str, Any] = {"failing_since": None, "consecutive_failures": 0, "paused_until": None}


class UrlTaken(ValueError):
    """The organization has an endpoint at this address already, in this mode: that one, unless it is gone by now."""

    def __init__(self, endpoint_id: str | None) -> None:
        super().__init__(endpoint_id)
        self.endpoint_id = endpoint_id


class TooManyEndpoints(ValueError):
    """The organization has as many endpoints in this mode as it may have."""

    limit = ENDPOINTS_MOST


def create_endpoint(
    *,
    organization: Organization,
    mode: str,
    url: str,
    events: Sequence[str] | None = None,
    description: str = "",
    enabled: bool = True,
    actor: str = "system",
) -> tuple[Endpoint, str]:
    """Create an endpoint (by default one that wants `batch.completed`); return it with its secret.

    Raises ForbiddenTarget, UrlTaken, TooManyEndpoints.
    """
    check_url(url)
    secret = new_secret()
    endpoint = Endpoint(
        organization=organization,
        mode=mode,
        url=url,
        events=list(events) if events else default_events(),
        description=description,
        enabled=enabled,
        disabled_reason="" if enabled else SWITCHED_OFF,
        secret_encrypted=encrypt(secret),
    )
    with transaction.atomic():
        # One at a time for an organization, so that the limit holds.
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        if Endpoint.objects.present().filter(organization=organization, mode=mode).count() >= ENDPOINTS_MOST:
            raise TooManyEndpoints
        _save(endpoint)
        _audit(endpoint, actor, "create", url=url, events=endpoint.events, enabled=enabled)
    return endpoint, secret


def change_endpoint(*, endpoint: Endpoint, actor: str, **changes: Any) -> Endpoint:
    """Change some of `url`, `events`, `description` and `enabled`; return the endpoint as it now is.

    Its deliveries follow the address. Switching it off skips what is pending; switching it on forgets how it failed,
    and sends nothing of what was skipped: that is replayed. Raises ForbiddenTarget, UrlTaken, Endpoint.DoesNotExist.
    """
    if "url" in changes:
        check_url(changes["url"])
    with transaction.atomic():
        locked = Endpoint.objects.present().select_for_update(no_key=True).get(pk=endpoint.pk)
        changed = {name: value for name, value in changes.items() if getattr(locked, name) != value}
        if not changed:
            return locked
        before = {name: getattr(locked, name) for name in changed}
        if "enabled" in changed:
            changed["disabled_reason"] = "" if changed["enabled"] else SWITCHED_OFF
        if changed.keys() & {"url", "enabled"}:
            changed |= HEALTHY
        if "url" in changed:
            changed["moved_at"] = timezone.now()
        for name, value in changed.items():
            setattr(locked, name, value)
        _save(locked, update_fields=list(changed))
        _audit(locked, actor, "change", old=before, new={name: getattr(locked, name) for name in before})
    return locked


def delete_endpoint(*, endpoint: Endpoint, actor: str, now: datetime) -> None:
    """Delete an endpoint: it gets nothing more, its deliveries stay on record. Raises Endpoint.DoesNotExist."""
    with transaction.atomic():
        locked = Endpoint.objects.present().select_for_update(no_key=True).get(pk=endpoint.pk)
        Endpoint.objects.filter(pk=locked.pk).update(deleted_at=now, enabled=False, disabled_reason=DELETED, **HEALTHY)
        _audit(locked, actor, "delete", url=locked.url)


def create_default_secret(*, organization: Organization) -> str:
    """Create and return the organization's default secret, which signs for a batch's own `webhook_url`."""
    secret = new_secret()
    DefaultSecret.objects.create(organization=organization, secret_encrypted=encrypt(secret))
    return secret


def rotate_secret(*, endpoint: Endpoint, overlap_hours: int, actor: str, now: datetime) -> str:
    """Give an endpoint a new secret and return it; the old one signs too for some hours, 0 to 168.

    Two secrets sign at most: one that was on its way out before ends at once. Raises Endpoint.DoesNotExist.
    """
    with transaction.atomic():
        locked = Endpoint.objects.present().select_for_update(no_key=True).get(pk=endpoint.pk)
        secret = _rotate(locked, overlap_hours, now)
        _audit(locked, actor, "rotate_secret", overlap_hours=overlap_hours)
    return secret


def rotate_default_secret(*, organization: Organization, overlap_hours: int, actor: str, now: datetime) -> str:
    """The same for the organization's default secret. Raises DefaultSecret.DoesNotExist."""
    with transaction.atomic():
        locked = DefaultSecret.objects.select_for_update(no_key=True).get(pk=organization.pk)
        secret = _rotate(locked, overlap_hours, now)
        audit(
            actor=actor,
            action="organization.rotate_default_secret",
            organization_id=organization.pk,
            subject=organization.pk,
            detail={"overlap_hours": overlap_hours},
        )
    return secret


def send_test(*, endpoint: Endpoint, actor: str, now: datetime) -> Delivery:
    """Send `webhook.test` to this endpoint alone, once, as everything is sent; return its delivery.

    A pause of the endpoint ends: somebody wants to see.
    """
    event_id = new_event_id()
    body = {
        "event": EventType.WEBHOOK_TEST.value,
        "endpoint_id": endpoint.pk,
        "message": "This is a test. Nothing has happened.",
        "timestamp": timestamp(now),
        "event_id": event_id,
        "livemode": endpoint.mode == Mode.LIVE,
    }
    with transaction.atomic():
        Endpoint.objects.filter(pk=endpoint.pk, paused_until__isnull=False).update(paused_until=None)
        event = services.publish(
            organization_id=endpoint.organization_id,
            mode=endpoint.mode,
            event_type=EventType.WEBHOOK_TEST,
            event_id=event_id,
            body=json.dumps(body),
            reference=endpoint.pk,
            only_to=endpoint,
            trigger=Trigger.TEST,
        )
        _audit(endpoint, actor, "test", event_id=event_id)
    return event.deliveries.get()


def end_of_test(delivery: Delivery) -> Delivery:
    """Return the delivery of a test, whole, when it has ended, or after five seconds as it then is.

    Looks at the row instead of being told: there are few tests, and no transaction or lock is held meanwhile.
    """
    until = time.monotonic() + TEST_WAIT_SECONDS
    pending = Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.PENDING)
    while pending.exists() and time.monotonic() < until:
        time.sleep(TEST_LOOK_SECONDS)
    return Delivery.objects.whole().get(pk=delivery.pk)


def _save(endpoint: Endpoint, update_fields: list[str] | None = None) -> None:
    try:
        with transaction.atomic():
            endpoint.save(update_fields=update_fields)
    except IntegrityError as error:
        if "webhooks_endpoint_url_once" in str(error):
            same = Endpoint.objects.present().filter(
                organization_id=endpoint.organization_id, mode=endpoint.mode, url=endpoint.url
            )
            raise UrlTaken(same.values_list("pk", flat=True).first()) from error
        raise


def _rotate(row: RotatingSecret, overlap_hours: int, now: datetime) -> str:
    if not 0 <= overlap_hours <= OVERLAP_HOURS_MOST:
        raise ValueError(f"The old secret signs for 0 to {OVERLAP_HOURS_MOST} hours.")
    secret = new_secret()
    row.previous_secret_encrypted = row.secret_encrypted if overlap_hours else ""
    row.previous_secret_until = now + timedelta(hours=overlap_hours) if overlap_hours else None
    row.secret_encrypted = encrypt(secret)
    row.save(update_fields=["secret_encrypted", "previous_secret_encrypted", "previous_secret_until"])
    return secret


def _audit(endpoint: Endpoint, actor: str, act: str, **detail: Any) -> None:
    audit(
        actor=actor,
        action=f"webhook_endpoint.{act}",
        organization_id=endpoint.organization_id,
        mode=endpoint.mode,
        subject=endpoint.pk,
        detail=detail,
    )
