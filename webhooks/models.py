"""Telling: endpoints, events with their exact bytes, and the deliveries that carry them, attempt by attempt."""

import hashlib
from datetime import datetime, timedelta
from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from customers.models import Mode, Organization, OwnedQuerySet
from sora2.crypto import decrypt
from sora2.ids import new_id
from sora2.mailing import Mail


class EventType(models.TextChoices):
    """What a customer can be told. `webhook.test` goes only where it was asked for."""

    BATCH_STARTED = "batch.started"
    BATCH_COMPLETED = "batch.completed"
    ITEM_SUCCEEDED = "item.succeeded"
    ITEM_FAILED = "item.failed"
    CREDITS_LOW = "credits.low"
    WEBHOOK_TEST = "webhook.test"


# One for each item of a batch: an endpoint that has not subscribed gets no skipped delivery of these.
ONE_PER_ITEM = (EventType.ITEM_SUCCEEDED, EventType.ITEM_FAILED)


def new_endpoint_id() -> str:
    return new_id("whe")


def new_event_id() -> str:
    return new_id("evt")


def new_delivery_id() -> str:
    return new_id("dlv")


def lane_of(*, organization_id: str, endpoint_id: str | None, url: str) -> str:
    """Return the lane of a delivery: the endpoint's id, or a digest, for URLs are longer than index rows."""
    digest = hashlib.sha256(f"{organization_id} {url}".encode()).hexdigest()
    return endpoint_id or digest[:32]


def default_events() -> list[str]:
    return [EventType.BATCH_COMPLETED.value]


class RotatingSecret(models.Model):
    """A signing secret, and the one before it while both sign."""

    secret_encrypted = models.TextField(editable=False)
    previous_secret_encrypted = models.TextField(blank=True, editable=False)
    previous_secret_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        abstract = True

    @property
    def secret(self) -> str:
        """Return the signing secret, `whsec_…`."""
        return decrypt(self.secret_encrypted)

    def rotates_until(self, now: datetime) -> datetime | None:
        """Return until when the secret of before signs too, None when it does no more."""
        until = self.previous_secret_until
        return until if until is not None and until > now else None


class EndpointQuerySet(OwnedQuerySet["Endpoint"]):
    def present(self) -> Self:
        """Keep those that were not deleted."""
        return self.filter(deleted_at=None)

    def live_and_own(self) -> Self:
        """Keep the live ones of the customers' own that are on: no test endpoint of ours."""
        return self.present().filter(mode=Mode.LIVE, enabled=True, sink=None)


class Endpoint(RotatingSecret):
    """An address of a customer that wants events, with its own signing secret.

    Its health is what its attempts said since the last that was taken: `failing_since` is when the first of them
    failed, None while it works. `paused_until` is as long as nothing is sent, after an answer that asks for patience.
    """

    id = models.CharField(primary_key=True, max_length=30, default=new_endpoint_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="endpoints")
    mode = models.CharField(max_length=4, choices=Mode)
    url = models.URLField(max_length=2000)
    events = ArrayField(models.CharField(max_length=30, choices=EventType), default=default_events)
    description = models.CharField(max_length=200, blank=True)
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # When its address was changed last: events before that went to another one.
    moved_at = models.DateTimeField(null=True, editable=False)
    # Its deliveries stay on record, so the row does too.
    deleted_at = models.DateTimeField(null=True, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)
    consecutive_failures = models.PositiveIntegerField(default=0, editable=False)
    paused_until = models.DateTimeField(null=True, editable=False)

    objects = EndpointQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "mode", "url"], condition=Q(deleted_at=None), name="webhooks_endpoint_url_once"
            ),
            models.CheckConstraint(condition=Q(mode__in=["live", "test"]), name="webhooks_endpoint_mode_known"),
            models.CheckConstraint(
                condition=Q(deleted_at=None) | Q(enabled=False), name="webhooks_endpoint_deleted_is_disabled"
            ),
        ]
        indexes = [
            # The few that somebody must look at.
            models.Index(fields=["failing_since"], condition=Q(enabled=True), name="webhooks_endpoint_failing"),
        ]

    def __str__(self) -> str:
        return self.url

    def pauses_until(self, now: datetime) -> datetime | None:
        """Return until when nothing is sent to it, None while there is no pause."""
        until = self.paused_until
        return until if self.enabled and until is not None and until > now else None


class DefaultSecret(RotatingSecret):
    """The organization's own secret, in both modes, for a batch's `webhook_url` that is no endpoint."""

    organization = models.OneToOneField(Organization, on_delete=models.PROTECT, primary_key=True, related_name="+")

    def __str__(self) -> str:
        return f"default secret of {self.organization_id}"


class Notice(Mail):
    """A mail to an organization's contacts about an endpoint."""

    class Kind(models.TextChoices):
        FAILING = "failing"
        ABOUT_TO_BE_DISABLED = "about to be disabled"
        DISABLED = "disabled"

    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="notices")
    kind = models.CharField(max_length=20, choices=Kind)
    # Since when the endpoint had failed: each spell of failures is told once.
    failing_since = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "kind", "failing_since"], name="webhooks_notice_once"),
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(sent_at=None), name="webhooks_notice_unsent")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.endpoint_id}"


class EventQuerySet(OwnedQuerySet["Event"]):
    pass


class Event(models.Model):
    """Something happened. `body` is the exact text that is signed and sent; it never changes."""

    id = models.CharField(primary_key=True, max_length=30, default=new_event_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="events")
    mode = models.CharField(max_length=4, choices=Mode)
    type = models.CharField(max_length=30, choices=EventType)
    reference = models.CharField(max_length=300)
    # What part of the reference it is about: an item of a batch. Empty for the whole.
    part = models.CharField(max_length=30, blank=True)
    body = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = EventQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["reference"],
                condition=Q(type="batch.completed"),
                name="webhooks_batch_completed_once",
            ),
            models.UniqueConstraint(
                fields=["reference"],
                condition=Q(type="batch.started"),
                name="webhooks_batch_started_once",
            ),
            # An item ends once, in one way.
            models.UniqueConstraint(
                fields=["part"],
                condition=Q(type__in=["item.succeeded", "item.failed"]),
                name="webhooks_item_end_once",
            ),
            models.CheckConstraint(condition=Q(mode__in=["live", "test"]), name="webhooks_event_mode_known"),
        ]
        indexes = [
            models.Index(fields=["reference"], name="webhooks_event_by_reference"),
            # The newest of one type, which may be rare.
            models.Index(fields=["organization", "mode", "type", "id"], name="webhooks_event_by_type"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.reference}"


class Trigger(models.TextChoices):
    """What asked for an attempt: the schedule, a person for one delivery, a test, or a person for many."""

    AUTO = "auto"
    MANUAL = "manual"
    TEST = "test"
    RANGE = "range"


class DeliveryQuerySet(OwnedQuerySet["Delivery"]):
    def whole(self) -> Self:
        """Load each with its event and its endpoint, and its attempts in order."""
        attempts = models.Prefetch("attempts", Attempt.objects.order_by("number"))
        return self.select_related("event", "endpoint").prefetch_related(attempts)

    def about(self, reference: str) -> Self:
        """Keep the deliveries of the events about this reference."""
        return self.filter(event__reference=reference)

    def of_type(self, event_type: str) -> Self:
        """Keep the deliveries of the events of a type."""
        # That an event is of its delivery's owner is said for the planner: it looks for the events of one owner then.
        of_its_owner = {"event__organization": models.F("organization"), "event__mode": models.F("mode")}
        return self.filter(event__type=event_type, **of_its_owner)


class Delivery(models.Model):
    """One event on its way to one address. Due while `due_at` is set; a claim moves it past the lease's end.

    `url` is where it was last sent, or will be: an endpoint's deliveries follow its address.
    """

    class State(models.TextChoices):
        PENDING = "pending"  # -> DELIVERED, EXHAUSTED, SKIPPED
        DELIVERED = "delivered"  # -> PENDING, when it is redelivered
        EXHAUSTED = "exhausted"  # -> PENDING, when it is redelivered
        SKIPPED = "skipped"  # -> PENDING, when it is redelivered

    id = models.CharField(primary_key=True, max_length=30, default=new_delivery_id, editable=False)
    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="deliveries")
    # The event's own, here too: logs and claims read them by the million.
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    mode = models.CharField(max_length=4, choices=Mode)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, null=True, related_name="deliveries")
    url = models.URLField(max_length=2000)
    # Deliveries of one lane wait for each other: one for each endpoint, and for each other URL of an organization.
    lane = models.CharField(max_length=32, editable=False)
    state = models.CharField(max_length=9, choices=State, default=State.PENDING)
    skipped_reason = models.CharField(max_length=200, blank=True)
    due_at = models.DateTimeField(null=True)
    lease = models.UUIDField(null=True, editable=False)
    attempts_made = models.PositiveIntegerField(default=0)
    # How many of them came before the latest redelivery, with which the schedule of retries starts anew.
    attempts_before = models.PositiveIntegerField(default=0)
    # What asked for the next attempt; after that one, retries are automatic again.
    next_trigger = models.CharField(max_length=6, choices=Trigger, default=Trigger.AUTO)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["event", "lane"], name="webhooks_delivery_once_per_lane"),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "delivered", "exhausted", "skipped"]),
                name="webhooks_delivery_state_known",
            ),
            models.CheckConstraint(
                condition=Q(state="pending", due_at__isnull=False) | (~Q(state="pending") & Q(due_at=None)),
                name="webhooks_delivery_due_while_pending",
            ),
        ]
        indexes = [
            models.Index(fields=["lane", "due_at"], condition=Q(state="pending"), name="webhooks_delivery_lane_due"),
            models.Index(fields=["event"], condition=Q(state="exhausted"), name="webhooks_delivery_given_up"),
            # What is in flight is few.
            models.Index(fields=["lane"], condition=Q(lease__isnull=False), name="webhooks_delivery_in_flight"),
            # The logs, newest first: an organization's, an endpoint's, and what has not arrived.
            models.Index(fields=["organization", "mode", "id"], name="webhooks_delivery_log"),
            models.Index(fields=["endpoint", "id"], name="webhooks_delivery_log_endpoint"),
            models.Index(
                fields=["organization", "mode", "id"],
                condition=~Q(state="delivered"),
                name="webhooks_delivery_undelivered",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} to {self.url}"


class AttemptQuerySet(models.QuerySet["Attempt"]):
    def taken(self) -> Self:
        """Keep the attempts whose receiver took the message: a whole answer of 2xx."""
        return self.filter(error="", status_code__gte=200, status_code__lt=300)


class Attempt(models.Model):
    """One post of a delivery. Written before the call; until the outcome is known, `duration_ms` is missing.

    `error` is a code of `webhooks.guarded.Answer`, or `no_secret`, or `worker_lost`: the worker did not come back, so
    the receiver may have got the message or not. `signature` is the header `webhook-signature` of it, known with the
    outcome; empty for an attempt of before it was kept.
    """

    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT, related_name="attempts")
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, null=True, related_name="+")
    number = models.PositiveIntegerField()
    at = models.DateTimeField()
    trigger = models.CharField(max_length=6, choices=Trigger, default=Trigger.AUTO)
    status_code = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=40, blank=True)
    duration_ms = models.PositiveIntegerField(null=True)
    response = models.TextField(blank=True)
    signature = models.CharField(max_length=200, blank=True, db_default="")

    objects = AttemptQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="webhooks_attempt_number_once")]
        # For the health of an endpoint.
        indexes = [models.Index(fields=["endpoint", "at"], name="webhooks_attempt_by_endpoint")]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.delivery_id}"

    @property
    def was_taken(self) -> bool:
        """Say whether the receiver took the message."""
        return not self.error and self.status_code is not None and 200 <= self.status_code < 300

    @property
    def ended_at(self) -> datetime | None:
        """Return when the answer was there; None while it is awaited, or when its worker never came back."""
        return None if self.duration_ms is None else self.at + timedelta(milliseconds=self.duration_ms)


class Sink(models.Model):
    """An internal webhook address `/webhook-sink/{token}`: it verifies what comes with the secret of its endpoint."""

    token = models.CharField(primary_key=True, max_length=64)
    endpoint = models.OneToOneField(Endpoint, on_delete=models.PROTECT, related_name="sink")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"sink of {self.endpoint_id}"


class SinkMessage(models.Model):
    """What came to a sink: bounded in size and number, dropped with age."""

    sink = models.ForeignKey(Sink, on_delete=models.CASCADE, related_name="messages")
    received_at = models.DateTimeField()
    headers = models.JSONField(default=dict)
    body = models.TextField()
    fault = models.CharField(max_length=100, blank=True)

    class Meta:
        indexes = [models.Index(fields=["sink", "-received_at"], name="webhooks_sink_newest")]

    def __str__(self) -> str:
        return f"message to {self.sink_id}"

    @property
    def verified(self) -> bool:
        """Say whether the signature was right."""
        return not self.fault
