"""Work: a batch, its items, each submit of an item to a provider, what came out, and the proof of the end."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from batches.catalogue_models import CatalogueModel, Price, PriceList, ProviderRoute, RouteHealth
from batches.failures import POLICIES, FailureType, Policy
from batches.signing_models import Side, SignOff
from batches.sla.models import Probe, Prober
from customers.models import Mode, Organization, OwnedQuerySet
from ledger.models import Wallet
from sora2.ids import new_id, new_ids

# Django finds an app's models here.
__all__ = [
    "FINAL_STATES",
    "OPEN_STATES",
    "OPEN_STATUSES",
    "STATUS_OF_STATE",
    "Attempt",
    "Batch",
    "BatchQuerySet",
    "CatalogueModel",
    "Item",
    "ItemQuerySet",
    "Output",
    "Price",
    "PriceList",
    "Priority",
    "Probe",
    "Prober",
    "Proof",
    "ProviderRoute",
    "RouteHealth",
    "Side",
    "SignOff",
    "Stage",
    "State",
    "Status",
    "new_attempt_id",
    "new_batch_id",
    "new_item_id",
    "new_item_ids",
]


def new_batch_id() -> str:
    return new_id("bat")


def new_item_id() -> str:
    return new_id("itm")


def new_item_ids(count: int) -> list[str]:
    return new_ids("itm", count)


def new_attempt_id() -> str:
    return new_id("att")


class State(models.TextChoices):
    """The batch's state machine. The database refuses every other move."""

    QUEUED = "queued"  # -> PROCESSING, COMPLETED, PARTIAL, FAILED
    PROCESSING = "processing"  # -> COMPLETED, PARTIAL, FAILED
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"


OPEN_STATES = (State.QUEUED, State.PROCESSING)
FINAL_STATES = (State.COMPLETED, State.PARTIAL, State.FAILED)

# A batch's progress in the customer's words is read off its state.
STATUS_OF_STATE = {
    State.QUEUED: "pending",
    State.PROCESSING: "running",
    State.COMPLETED: "succeeded",
    State.PARTIAL: "partial",
    State.FAILED: "failed",
}


class Status(models.TextChoices):
    """An item's progress in the customer's words. The database refuses every other move."""

    PENDING = "pending"  # -> RUNNING, FAILED
    RUNNING = "running"  # -> SUCCEEDED, FAILED
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # -> REFUNDED, when the batch's credits are finalized
    REFUNDED = "refunded"


OPEN_STATUSES = (Status.PENDING, Status.RUNNING)


class Stage(models.TextChoices):
    """What an open item is due for. A claim sets the stage that is right if the claimer dies (see batches.queue)."""

    SUBMIT = "submit"  # -> LOOKUP, when claimed
    LOOKUP = "lookup"  # -> POLL, SUBMIT (certainly not sent), or the end
    POLL = "poll"  # -> COLLECT, SUBMIT (the job failed and may be tried again), or the end
    COLLECT = "collect"  # -> SUBMIT (an unusable file, and may be tried again), or the end


class Priority(models.IntegerChoices):
    """Which of a customer's own batches goes first; it gives nobody an advantage over other customers."""

    LOW = -1
    NORMAL = 0
    HIGH = 1


class BatchQuerySet(OwnedQuerySet["Batch"]):
    def open(self) -> Self:
        """Keep the batches that have not reached a final state."""
        return self.filter(state__in=OPEN_STATES)


class Batch(models.Model):
    """A batch of items, paid by one wallet. What it costs was frozen when it was accepted."""

    id = models.CharField(primary_key=True, max_length=30, default=new_batch_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="batches")
    mode = models.CharField(max_length=4, choices=Mode)
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="+")
    request_id = models.CharField(max_length=255)
    body_sha256 = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    total = models.PositiveIntegerField()
    credits = models.BigIntegerField()
    webhook_url = models.CharField(max_length=2000, blank=True)
    metadata = models.JSONField(default=dict)
    deadline = models.DateTimeField(null=True)
    price_version = models.CharField(max_length=40)
    priority = models.SmallIntegerField(choices=Priority, default=Priority.NORMAL, db_default=Priority.NORMAL)
    created_via = models.CharField(max_length=20, default="api")
    created_by = models.CharField(max_length=40)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    canceled_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    succeeded = models.PositiveIntegerField(null=True)
    failed = models.PositiveIntegerField(null=True)
    settled = models.BigIntegerField(default=0)
    refunded = models.BigIntegerField(default=0)
    retry_of = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="retries")

    objects = BatchQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "batches"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "mode", "request_id"], name="batches_batch_request_id_once"
            ),
            models.CheckConstraint(condition=Q(mode__in=["live", "test"]), name="batches_batch_mode_known"),
            models.CheckConstraint(
                condition=Q(state__in=["queued", "processing", "completed", "partial", "failed"]),
                name="batches_batch_state_known",
            ),
            models.CheckConstraint(condition=Q(total__gt=0, credits__gt=0), name="batches_batch_not_empty"),
            models.CheckConstraint(condition=Q(priority__in=[-1, 0, 1]), name="batches_batch_priority_known"),
            models.CheckConstraint(
                condition=Q(
                    state__in=["queued", "processing"],
                    finished_at=None,
                    succeeded=None,
                    failed=None,
                    settled=0,
                    refunded=0,
                )
                | Q(
                    state__in=["completed", "partial", "failed"],
                    finished_at__isnull=False,
                    succeeded__isnull=False,
                    failed__isnull=False,
                    credits=models.F("settled") + models.F("refunded"),
                    total=models.F("succeeded") + models.F("failed"),
                ),
                name="batches_batch_totals_when_final",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "mode", "-id"], name="batches_batch_newest"),
            # The newest of one state, and how many of an organization are open.
            models.Index(fields=["organization", "mode", "state", "-id"], name="batches_batch_by_state"),
            models.Index(fields=["id"], condition=Q(state__in=["queued", "processing"]), name="batches_batch_open"),
            # Request ids by what they begin with, over all customers.
            models.Index(fields=["request_id"], opclasses=["varchar_pattern_ops"], name="batches_batch_by_request_id"),
            # The totals of the list, whatever it is filtered by of these.
            models.Index(
                fields=["organization", "mode", "state"],
                include=["total", "credits", "settled", "refunded"],
                name="batches_batch_totals",
            ),
            # What a key or a person has ordered, with its totals.
            models.Index(
                fields=["created_by", "-id"],
                include=["organization", "mode", "state", "total", "credits", "settled", "refunded"],
                name="batches_batch_by_maker",
            ),
            # Refund coverage: how many items failed, in batches that have ended. Most have none, and few numbers recur.
            models.Index(
                fields=["organization", "mode", "failed"], condition=Q(failed__gt=0), name="batches_batch_with_failures"
            ),
            # What of an organization ended in a month, with its figures.
            models.Index(
                fields=["organization", "mode", "finished_at"],
                include=["total", "succeeded", "failed", "refunded"],
                condition=Q(finished_at__isnull=False),
                name="batches_batch_by_end",
            ),
        ]

    def __str__(self) -> str:
        return self.pk

    @property
    def is_final(self) -> bool:
        """Say whether the batch has ended and its credits are finalized."""
        return self.state in FINAL_STATES

    @property
    def status(self) -> str:
        """Return the batch's progress in the customer's words."""
        return STATUS_OF_STATE[State(self.state)]

    @property
    def livemode(self) -> bool:
        """Say whether this batch spends real credits."""
        return self.mode == Mode.LIVE


class ItemQuerySet(OwnedQuerySet["Item"]):
    organization_path = "batch__organization_id"
    mode_path = "batch__mode"


class Item(models.Model):
    """One video to be made. `credits` is its price, frozen when the batch was accepted.

    `stage`, `due_at` and `lease` are the queue: an open item is due for `stage` at `due_at`; whoever claims it moves
    `due_at` past the end of the lease and writes a token of its own into `lease`. An ended item has none of the three.
    """

    id = models.CharField(primary_key=True, max_length=30, default=new_item_id, editable=False)
    # The key is made by migration 0002, not deferrable: COPY checks it before any wallet is locked.
    batch = models.ForeignKey(
        Batch, on_delete=models.PROTECT, related_name="items", db_constraint=False, db_index=False
    )
    index = models.PositiveIntegerField()
    custom_id = models.CharField(max_length=64, blank=True)
    prompt = models.TextField()
    model = models.CharField(max_length=60)
    seconds = models.PositiveSmallIntegerField()
    size = models.CharField(max_length=20)
    metadata = models.JSONField(default=dict)
    credits = models.BigIntegerField()
    route = models.CharField(max_length=40)
    status = models.CharField(max_length=9, choices=Status, default=Status.PENDING)
    stage = models.CharField(max_length=7, choices=Stage, null=True, default=Stage.SUBMIT)  # noqa: DJ001 - no stage at all.
    due_at = models.DateTimeField(null=True)
    lease = models.UUIDField(null=True, editable=False)
    attempts_made = models.PositiveSmallIntegerField(default=0)
    failure_type = models.CharField(max_length=20, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    refunded_at = models.DateTimeField(null=True)
    # The refunded item of an earlier batch that this one tries anew; each is tried anew once.
    retry_of = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, db_constraint=False, db_index=False, related_name="+"
    )

    objects = ItemQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch", "index"], name="batches_item_index_once"),
            models.UniqueConstraint(
                fields=["batch", "custom_id"], condition=~Q(custom_id=""), name="batches_item_custom_id_once"
            ),
            models.UniqueConstraint(
                fields=["retry_of"], condition=Q(retry_of__isnull=False), name="batches_item_retried_once"
            ),
            models.CheckConstraint(condition=Q(credits__gt=0), name="batches_item_credits_positive"),
            models.CheckConstraint(
                condition=Q(status__in=["pending", "running", "succeeded", "failed", "refunded"]),
                name="batches_item_status_known",
            ),
            models.CheckConstraint(
                condition=Q(
                    status__in=["pending", "running"],
                    stage__isnull=False,
                    due_at__isnull=False,
                    finished_at=None,
                )
                | Q(
                    status__in=["succeeded", "failed", "refunded"],
                    stage=None,
                    due_at=None,
                    finished_at__isnull=False,
                ),
                name="batches_item_due_while_open",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["failed", "refunded"]) & ~Q(failure_type="")
                | Q(status__in=["pending", "running", "succeeded"], failure_type=""),
                name="batches_item_failure_said",
            ),
            models.CheckConstraint(
                condition=Q(status="refunded", refunded_at__isnull=False)
                | (~Q(status="refunded") & Q(refunded_at=None)),
                name="batches_item_refunded_at_when_refunded",
            ),
        ]
        indexes = [
            # Claims of submits take a batch's items in order; its count in flight makes them fair.
            models.Index(fields=["batch", "index"], condition=Q(stage="submit"), name="batches_item_to_submit"),
            models.Index(
                fields=["route", "batch"],
                condition=Q(stage__in=["lookup", "poll"]),
                name="batches_item_in_flight",
            ),
            models.Index(
                fields=["route", "stage", "due_at"],
                condition=Q(stage__in=["lookup", "poll", "collect"]),
                name="batches_item_due",
            ),
            models.Index(fields=["batch"], condition=Q(status__in=["pending", "running"]), name="batches_item_open"),
            # What waits for another submit, by its deadline.
            models.Index(
                fields=["deadline_at"],
                condition=Q(stage="submit", deadline_at__isnull=False),
                name="batches_item_overdue",
            ),
            # What failed in a batch, by type.
            models.Index(fields=["batch"], condition=Q(status__in=["failed", "refunded"]), name="batches_item_failed"),
            # The batches that have an item of this name.
            models.Index(fields=["custom_id", "batch"], condition=~Q(custom_id=""), name="batches_item_by_custom_id"),
            # Refund coverage: those of open batches wait for the end, and there should be no others.
            models.Index(fields=["batch"], condition=Q(status="failed"), name="batches_item_unrefunded"),
        ]

    def __str__(self) -> str:
        return self.pk

    @property
    def failure(self) -> tuple[FailureType, str, bool] | None:
        """Return why the item failed: the type, what the customer is told, and whether a new batch may succeed."""
        if not self.failure_type:
            return None
        kind = FailureType(self.failure_type)
        return kind, POLICIES[kind].message, POLICIES[kind].retryable

    @property
    def failed_by(self) -> Policy | None:
        """Return what is known of failures like the item's, if it has failed."""
        return POLICIES[FailureType(self.failure_type)] if self.failure_type else None


class Attempt(models.Model):
    """One submit of an item. Written before the post, so that no paid job can be forgotten."""

    class State(models.TextChoices):
        SENDING = "sending"  # -> ACCEPTED, NOT_ACCEPTED, AMBIGUOUS
        AMBIGUOUS = "ambiguous"  # -> ACCEPTED (found by look-up), LOST
        ACCEPTED = "accepted"  # -> SUCCEEDED, FAILED
        NOT_ACCEPTED = "not_accepted"
        LOST = "lost"
        SUCCEEDED = "succeeded"
        FAILED = "failed"

    id = models.CharField(primary_key=True, max_length=30, default=new_attempt_id, editable=False)
    item = models.ForeignKey(
        Item, on_delete=models.PROTECT, related_name="attempts", db_constraint=False, db_index=False
    )
    number = models.PositiveSmallIntegerField()
    route = models.CharField(max_length=40)
    # The model's name as the provider was told it.
    model = models.CharField(max_length=200, blank=True, default="", db_default="")
    provider_job_id = models.CharField(max_length=512, null=True)  # noqa: DJ001 - null is "unknown", unique otherwise.
    state = models.CharField(max_length=12, choices=State, default=State.SENDING)
    submitted_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    ready_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    failure_type = models.CharField(max_length=20, blank=True)
    # Whether the item might be submitted again after this failure; null while there is none.
    retryable = models.BooleanField(null=True)
    detail = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "number"], name="batches_attempt_number_once"),
            models.UniqueConstraint(fields=["route", "provider_job_id"], name="batches_attempt_job_once"),
        ]
        # A route's submits within the last minute.
        indexes = [models.Index(fields=["route", "submitted_at"], name="batches_attempt_by_time")]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.item_id}"


class Output(models.Model):
    """The video of a succeeded item, in our storage. An item is charged only when this row exists."""

    item = models.OneToOneField(
        Item, on_delete=models.PROTECT, primary_key=True, related_name="output", db_constraint=False
    )
    video = models.CharField(max_length=200)
    poster = models.CharField(max_length=200)
    content_type = models.CharField(max_length=60, default="video/mp4")
    bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    duration_ms = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=timezone.now)
    # When the customer's retention policy ends for it, and when its files were deleted; the record stays.
    expires_at = models.DateTimeField(null=True)
    purged_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(bytes__gt=0), name="batches_output_not_empty")]
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=Q(expires_at__isnull=False, purged_at=None),
                name="batches_output_to_purge",
            )
        ]

    def __str__(self) -> str:
        return f"output of {self.item_id}"


class Proof(models.Model):
    """The reconciliation proof of a batch: its exact text, fixed when the credits were finalized."""

    batch = models.OneToOneField(Batch, on_delete=models.PROTECT, primary_key=True, related_name="proof")
    body = models.TextField()
    sha256 = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"proof of {self.batch_id}"
