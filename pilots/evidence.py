"""What the live records say about pilots, and how a pilot stands by them: looked up for many at once.

All rules of time stand in `status_at`. Test batches never count, nor does what was made before the clock began.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db.models import (
    Case,
    CharField,
    DateTimeField,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from batches.models import FINAL_STATES, Batch, BatchQuerySet, SignOff
from customers.access import CUSTOMER_ROLES, Permission
from customers.models import Membership, Mode
from pilots.models import Pilot, PilotFailure
from sora2.ids import ALPHABET
from webhooks.models import Attempt, AttemptQuerySet, Delivery, Endpoint, Event, EventQuerySet, EventType
from webhooks.sinks import elsewhere

# Who of a customer can meet the third criterion.
SIGNING_ROLES = [role for role, granted in CUSTOMER_ROLES.items() if Permission.BATCHES_SIGN_OFF in granted]


class Status(StrEnum):
    """How a pilot stands. What is met after the deadline is said, and changes no verdict: people decide then."""

    SCHEDULED = "scheduled"  # The clock has not begun.
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Evidence:
    """What is known of one pilot. `accepted` is its first live batch, `ran` the first that ran to its end.

    `refused` is the latest attempt of what has not arrived yet at an address of theirs. `signer_came` says
    whether anybody of theirs who may sign off has ever signed in.
    """

    status: Status
    accepted: Batch | None
    ran: Batch | None
    received: Attempt | None
    signed: SignOff | None
    open: Batch | None
    canceled: Batch | None
    refused: Attempt | None
    has_endpoint: bool
    signer_came: bool
    failures: Sequence[PilotFailure]


def status_at(now: datetime) -> Case:
    """Return how a pilot stands, as an expression over its row.

    A closed one stands as it was closed. Success goes before everything else: three records in time are a success,
    whatever people have written down.
    """
    ran = Exists(_in_time(_ran(), "finished_at", id__lt=_least_id("bat")))
    received = Exists(_in_time(_receipts(), "ended", delivery__event__in=_told_in_time()))
    signed = Exists(_in_time(_signed(), "signed_at"))
    recorded = Exists(PilotFailure.objects.filter(pilot=OuterRef("pk"), withdrawn_at=None))
    over = Q(deadline__lt=now)
    return Case(
        When(~Q(outcome=""), then=F("outcome")),
        When(activated_at__gt=now, then=Value(Status.SCHEDULED)),
        When(Q(ran) & Q(received) & Q(signed), then=Value(Status.SUCCEEDED)),
        When(Q(recorded) | (over & ~Q(ran)), then=Value(Status.FAILED)),
        When(over, then=Value(Status.EXPIRED)),
        default=Value(Status.RUNNING),
        output_field=CharField(),
    )


def evidence_of(pilots: Sequence[Pilot], *, now: datetime) -> dict[str, Evidence]:
    """Return what is known of each pilot by its id, with as many queries for a hundred as for one."""
    asked = Pilot.objects.filter(pk__in=[pilot.pk for pilot in pilots])
    known: Any = {"status": status_at(now), **_records(), **_facts()}
    rows: list[dict[str, Any]] = [*asked.annotate(**known).values("id", *known)]
    batches = Batch.objects.in_bulk(_ids(rows, "accepted", "ran", "open_batch", "canceled"))
    attempts = Attempt.objects.select_related("delivery__event").in_bulk(_ids(rows, "received", "refused"))
    signed = SignOff.objects.select_related("batch", "signed_by").in_bulk(_ids(rows, "signed"))
    failures = _failures(pilots)
    return {
        row["id"]: Evidence(
            status=Status(row["status"]),
            accepted=batches.get(row["accepted"]),
            ran=batches.get(row["ran"]),
            received=attempts.get(row["received"]),
            signed=signed.get(row["signed"]),
            open=batches.get(row["open_batch"]),
            canceled=batches.get(row["canceled"]),
            refused=attempts.get(row["refused"]),
            has_endpoint=row["has_endpoint"],
            signer_came=row["signer_came"],
            failures=failures[row["id"]],
        )
        for row in rows
    }


# --- one pilot's records, each looked up by an index of its customer's rows ------------------------------------------


def _records() -> dict[str, Any]:
    """Return the keys of the records that matter. Of each criterion the earliest in time, else the first late one."""
    ran, receipts, made = _ran(), _receipts(), _batches().order_by("id")
    in_time = _in_time(ran, "finished_at", id__lt=_least_id("bat")).order_by("finished_at", "id")
    received = _in_time(receipts, "ended", delivery__event__in=_told_in_time()).order_by("ended", "delivery_id")
    return {
        "accepted": _first(made),
        "ran": Coalesce(_first(in_time), _first(ran.order_by("id"))),
        "received": Coalesce(_first(received), _first(receipts.order_by("delivery_id", "at"))),
        "signed": _first(_signed().order_by("signed_at", "id")),
        "open_batch": _first(made.open()),
        "canceled": _first(made.filter(canceled_at__isnull=False, id__lt=_least_id("bat"))),
        "refused": _first(_refused()),
    }


def _facts() -> dict[str, Any]:
    """Return what else there is to know, to say what is missing."""
    signers = Membership.objects.filter(
        organization=OuterRef("organization"), role__in=SIGNING_ROLES, user__is_active=True
    )
    own = Endpoint.objects.live_and_own()
    return {
        "has_endpoint": Exists(own.filter(organization=OuterRef("organization"))),
        "signer_came": Exists(signers.filter(user__last_login__isnull=False)),
    }


def _batches() -> BatchQuerySet:
    since = {"mode": Mode.LIVE, "created_at__gte": OuterRef("activated_at")}
    return Batch.objects.filter(organization=OuterRef("organization"), **since)


def _ran() -> BatchQuerySet:
    """Keep what ran to its end, however its items ended. What was canceled did not."""
    return _batches().filter(state__in=FINAL_STATES, canceled_at=None)


def _ends_told() -> AttemptQuerySet:
    return Attempt.objects.filter(
        delivery__organization=OuterRef("organization"),
        delivery__mode=Mode.LIVE,
        delivery__event__type=EventType.BATCH_COMPLETED,
        delivery__event__created_at__gte=OuterRef("activated_at"),
        # Of a batch that was ordered since: one of before the clock began is no batch of the pilot.
        delivery__event__reference__gte=_least_id("bat", OuterRef("activated_at"), later=0),
        duration_ms__isnull=False,
    )


def _told_in_time() -> EventQuerySet:
    """Return the events that can have arrived in time, two levels inside of a pilot's row."""
    # Served by webhooks_event_by_type.
    of_the_customer = {"organization": OuterRef(OuterRef("organization")), "mode": Mode.LIVE}
    deadline = OuterRef(OuterRef("deadline"))
    return Event.objects.filter(**of_the_customer, type=EventType.BATCH_COMPLETED, id__lt=_least_id("evt", deadline))


def _receipts() -> AttemptQuerySet:
    """Keep the attempts with which a batch's end arrived at an address of the customer's own; `ended` is when."""
    took = ExpressionWrapper(F("duration_ms") * Value(timedelta(milliseconds=1)), DurationField())
    return elsewhere(_ends_told().taken()).annotate(ended=ExpressionWrapper(F("at") + took, DateTimeField()))


def _refused() -> AttemptQuerySet:
    # Served by webhooks_delivery_undelivered.
    state = [Delivery.State.PENDING, Delivery.State.EXHAUSTED]
    return elsewhere(_ends_told().filter(delivery__state__in=state)).order_by("-delivery_id", "-number")


def _signed() -> QuerySet[SignOff]:
    of_pilot = {"batch__organization": OuterRef("organization"), "batch__created_at__gte": OuterRef("activated_at")}
    return SignOff.objects.filter(**of_pilot, batch__mode=Mode.LIVE)


def _in_time(rows: Any, at: str, **bound: Any) -> Any:
    """Keep what was there by the deadline. `bound` says the same of ids, so that an index ends there."""
    return rows.filter(**{f"{at}__lte": OuterRef("deadline")}, **bound)


def _first(rows: QuerySet[Any]) -> Subquery:
    return Subquery(rows.values("pk")[:1])


def _least_id(prefix: str, at: OuterRef | None = None, *, later: int = 1) -> Func:
    """Return, as `least_id_at` in SQL, what ids from a moment on are not less than, so many milliseconds later.

    Of the deadline and a millisecond later it is what ids that were made by then are less than.
    """
    milliseconds = f"(floor(extract(epoch FROM %(expressions)s) * 1000)::bigint + {later})"
    letters = (f"substr('{ALPHABET}', ({milliseconds} >> {shift} & 31)::int + 1, 1)" for shift in range(45, -1, -5))
    text = " || ".join([f"'{prefix}_'", *letters])
    return Func(at or OuterRef("deadline"), template=f"({text})", output_field=CharField())


# --- what was found --------------------------------------------------------------------------------------------------


def _ids(rows: Sequence[Mapping[str, Any]], *names: str) -> set[Any]:
    return {row[name] for row in rows for name in names} - {None}


def _failures(pilots: Sequence[Pilot]) -> dict[str, list[PilotFailure]]:
    """Return what people have recorded of each pilot, in that order."""
    found: dict[str, list[PilotFailure]] = defaultdict(list)
    recorded = PilotFailure.objects.filter(pilot__in=pilots).select_related("recorded_by", "withdrawn_by")
    for failure in recorded.order_by("recorded_at", "pk"):
        found[failure.pilot_id].append(failure)
    return found
