"""When a pilot has succeeded: three criteria, judged from the live records as they are now.

They say that the system can be trusted, controlled and audited. How well the videos turned out, and how many of them,
is none of them: a batch counts however its items ended. Test batches never count.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from django.db.models import Model, QuerySet

from batches.models import FINAL_STATES, Batch, SignOff
from customers.models import Mode
from pilots.models import Pilot
from sora2.ids import least_id_at
from webhooks.models import Attempt, Endpoint, EventType
from webhooks.sinks import elsewhere

M = TypeVar("M", bound=Model)


class Status(StrEnum):
    """How a pilot stands. What is met after the deadline is said, and the pilot stays expired: people decide then."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Criterion:
    """One condition, and the record that meets it: a batch, an attempt (with its delivery and event), a sign-off."""

    number: int
    name: str
    met_at: datetime | None
    evidence: Batch | Attempt | SignOff | None

    @property
    def is_met(self) -> bool:
        """Say whether there is evidence."""
        return self.met_at is not None


@dataclass(frozen=True)
class Judgement:
    """A pilot by its criteria, and in one sentence what to do next."""

    pilot: Pilot
    status: Status
    criteria: tuple[Criterion, Criterion, Criterion]
    next: str


def judge(*, pilot: Pilot, now: datetime) -> Judgement:
    """Return how a pilot stands."""
    batch, received, signed = _batch_run(pilot), _webhook_received(pilot), _signed_off(pilot)
    criteria = (
        Criterion(1, "Ran at least 1 batch", batch.finished_at if batch else None, batch),
        Criterion(2, "Customer system received batch.completed", received.ended_at if received else None, received),
        Criterion(3, "Finance verified: reserved = settled + refunded", signed.signed_at if signed else None, signed),
    )
    status = _status(pilot, criteria, now)
    return Judgement(pilot, status, criteria, _next(pilot, status, criteria))


def _batch_run(pilot: Pilot) -> Batch | None:
    """Return the first live batch that ran to its end. One that was canceled did not."""
    batches = Batch.objects.filter(organization=pilot.organization_id, mode=Mode.LIVE, state__in=FINAL_STATES)
    ran = batches.filter(canceled_at=None, created_at__gte=pilot.activated_at)
    return _first(ran, pilot, key="id", prefix="bat", at="finished_at")


def _webhook_received(pilot: Pilot) -> Attempt | None:
    """Return the attempt with which a live batch's end first arrived at an address of the customer's own."""
    made = Attempt.objects.taken().filter(
        delivery__organization=pilot.organization_id,
        delivery__mode=Mode.LIVE,
        delivery__event__type=EventType.BATCH_COMPLETED,
        delivery__event__created_at__gte=pilot.activated_at,
    )
    own = elsewhere(made).select_related("delivery__event")
    return _first(own, pilot, key="delivery_id", prefix="dlv", at="at")


def _signed_off(pilot: Pilot) -> SignOff | None:
    """Return the first sign-off of a live batch: by the customer's finance, or by ours for them."""
    of_pilot = SignOff.objects.filter(batch__organization=pilot.organization_id, batch__mode=Mode.LIVE)
    return of_pilot.filter(batch__created_at__gte=pilot.activated_at).order_by("signed_at", "pk").first()


def _first(rows: QuerySet[M], pilot: Pilot, *, key: str, prefix: str, at: str) -> M | None:
    """Return the earliest by `at` of what was made before the deadline, else the first that was made after it.

    The deadline bounds what is sorted, however long the customer has stayed since; ids sort by their making.
    """
    in_time = rows.filter(**{f"{key}__lt": least_id_at(prefix, pilot.deadline)})
    return in_time.order_by(at, key).first() or rows.order_by(key, at).first()


def _status(pilot: Pilot, criteria: tuple[Criterion, ...], now: datetime) -> Status:
    if all(criterion.met_at and criterion.met_at <= pilot.deadline for criterion in criteria):
        return Status.SUCCEEDED
    return Status.EXPIRED if now > pilot.deadline else Status.RUNNING


# --- what is next --------------------------------------------------------------------------------------------------


def _next(pilot: Pilot, status: Status, criteria: tuple[Criterion, Criterion, Criterion]) -> str:
    ran, received, _ = criteria
    if status == Status.SUCCEEDED:
        return "All three criteria are met: go through the review with your contact."
    if all(criterion.is_met for criterion in criteria):
        return "All three criteria are met, but not before the deadline: agree with your contact how to go on."
    if not ran.is_met:
        step = _run_a_batch(pilot)
    elif not received.is_met:
        step = _receive(pilot)
    else:
        step = "Have your finance sign off a live batch on its Billing page: reserved = settled + refunded."
    passed = "The deadline has passed: agree with your contact how to go on. "
    return passed + step if status == Status.EXPIRED else step


def _run_a_batch(pilot: Pilot) -> str:
    if Batch.objects.filter(organization=pilot.organization_id, mode=Mode.LIVE).open().exists():
        return "Wait for the end of your live batch: GET /video-batch/{batch_id} shows how far it is."
    return "Run a live batch to its end: POST /video-batch with a live key."


def _receive(pilot: Pilot) -> str:
    own = Endpoint.objects.present().filter(organization=pilot.organization_id, mode=Mode.LIVE, enabled=True, sink=None)
    if not own.exists():
        return "Give us your own HTTPS endpoint with POST /webhook-endpoints, and replay what it has missed."
    return "Take batch.completed at your own endpoint with a 2xx: GET /webhook-deliveries says why none arrived yet."
