"""Sending again: one delivery, those of a range, everything undelivered. Always the same event under the same id.

Attempts are numbered on, but the schedule of retries starts anew: who asks for a message after repairing a receiver is
not to lose it to the next hiccup. What was delivered before is pending again, and its attempts show that it once
arrived.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q

from customers.services import audit
from sora2 import bell
from sora2.times import timestamp
from webhooks.models import Delivery, DeliveryQuerySet, Endpoint, Trigger

State = Delivery.State


class EndpointDisabled(ValueError):
    """Nothing is sent to an endpoint that is disabled: enable it first."""


class EndpointDeleted(EndpointDisabled):
    """Nothing is sent any more to an endpoint that was deleted."""


@dataclass(frozen=True)
class Range:
    """Which ended deliveries of an endpoint: of the events it wants now, or of some of them, in a period.

    `created_after` is inclusive, `created_before` exclusive; None is no limit. `undelivered` leaves out what arrived.
    """

    endpoint: Endpoint
    created_after: datetime | None = None
    created_before: datetime | None = None
    events: Sequence[str] = ()
    undelivered: bool = False

    def deliveries(self) -> DeliveryQuerySet:
        """Return the deliveries that would be sent again."""
        rows = Delivery.objects.filter(endpoint=self.endpoint).exclude(state=State.PENDING)
        rows = rows.filter(event__type__in=self.events or self.endpoint.events)
        if self.undelivered:
            rows = rows.exclude(state=State.DELIVERED)
        if self.created_after is not None:
            rows = rows.filter(created_at__gte=self.created_after)
        if self.created_before is not None:
            rows = rows.filter(created_at__lt=self.created_before)
        return rows


def redeliver(*, delivery: Delivery, actor: str, now: datetime) -> bool:
    """Send one event again, however its delivery ended; what waits for its next attempt is sent now.

    A pause of the endpoint ends: somebody wants to see. Return False while an attempt is under way. Raises
    EndpointDisabled, EndpointDeleted.
    """
    with transaction.atomic():
        if delivery.endpoint_id:
            _wake(delivery.endpoint_id)
        ended = Q(pk=delivery.pk) & ~Q(state=State.PENDING)
        waiting = Q(pk=delivery.pk, state=State.PENDING, lease=None)
        again = {"due_at": now, "next_trigger": Trigger.MANUAL, "attempts_before": F("attempts_made")}
        changed = Delivery.objects.filter(ended | waiting).update(state=State.PENDING, skipped_reason="", **again)
        if changed:
            audit(
                actor=actor,
                action="webhook_delivery.redeliver",
                organization_id=delivery.organization_id,
                mode=delivery.mode,
                subject=delivery.pk,
                detail={"event_id": delivery.event_id},
            )
            bell.ring("webhooks.deliver")
    return bool(changed)


def replay(*, wanted: Range, actor: str, now: datetime) -> int:
    """Send the deliveries of a range again; return how many. Raises EndpointDisabled."""
    endpoint = wanted.endpoint
    with transaction.atomic():
        _wake(endpoint.pk)
        ids = wanted.deliveries().values("pk")
        again: dict[str, Any] = {"due_at": now, "next_trigger": Trigger.RANGE, "attempts_before": F("attempts_made")}
        count = (
            Delivery.objects.filter(pk__in=ids)
            .exclude(state=State.PENDING)
            .update(state=State.PENDING, skipped_reason="", **again)
        )
        audit(
            actor=actor,
            action="webhook_endpoint.replay",
            organization_id=endpoint.organization_id,
            mode=endpoint.mode,
            subject=endpoint.pk,
            detail={
                "count": count,
                "created_after": timestamp(wanted.created_after),
                "created_before": timestamp(wanted.created_before),
                "events": list(wanted.events),
                "undelivered": wanted.undelivered,
            },
        )
        bell.ring("webhooks.deliver")
    return count


def _wake(endpoint_id: str) -> None:
    woken = Endpoint.objects.filter(pk=endpoint_id, enabled=True).update(paused_until=None)
    if not woken:
        is_there = Endpoint.objects.present().filter(pk=endpoint_id).exists()
        raise EndpointDisabled if is_there else EndpointDeleted
