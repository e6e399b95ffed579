"""What the system knows of a pilot for its checklists, each asked once, when it is wanted first."""

import json
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db.models import Min, Q, QuerySet

from batches.models import Batch, Item, SignOff
from customers.handing_over import Named
from customers.models import ApiKey, Handover, Mode
from pilots.boundary import BOUNDARY
from pilots.criteria import Judgement
from pilots.models import Pilot, Preflight, ReviewAnswer, SalesMail, Tick
from pilots.orders import ADVISED_LEAST, ADVISED_MOST
from webhooks.models import Attempt, Endpoint

# What the mails that hand something over hold of it.
IN_MAILS = {"guide": "/docs/enterprise/webhooks", "example": "batch_basic.ts", "boundary": BOUNDARY}
REQUIRED_FIELDS = (
    "batch_id",
    *(f"summary.{name}" for name in ("total", "succeeded", "failed")),
    *(f"ledger.{name}" for name in ("reserved", "settled", "refunded")),
    "timestamp",
)


class Facts:
    """What is known of a pilot: its judgement, and the rest by name."""

    def __init__(self, judgement: Judgement) -> None:
        self.judgement = judgement
        self.pilot: Pilot = judgement.pilot
        self.organization_id = judgement.pilot.organization_id

    @cached_property
    def ticks(self) -> dict[str, Tick]:
        """The ticks that stand, by item."""
        return {tick.item: tick for tick in Tick.objects.filter(pilot=self.pilot, undone_at=None)}

    @cached_property
    def preflight(self) -> Preflight | None:
        """The preflight on which the pilot was provisioned, else the latest that has ended."""
        ended = Preflight.objects.filter(ended_at__isnull=False)
        return ended.filter(pk=self.pilot.preflight_id).first() or ended.order_by("-ended_at").first()

    def preflight_check(self, name: str) -> dict[str, Any] | None:
        """Return how a check of the preflight went; None if it was not made."""
        checks = self.preflight.checks if self.preflight else []
        return next((check for check in checks if check["name"] == name), None)

    @cached_property
    def key_used(self) -> bool:
        """Whether a live key of the customer was ever used."""
        used = ApiKey.objects.filter(organization=self.organization_id, mode=Mode.LIVE, last_used_at__isnull=False)
        return used.exists()

    @cached_property
    def handed_over(self) -> bool:
        """Whether somebody has opened a one-time link with a live key."""
        links = Handover.objects.filter(organization=self.organization_id, names__contains=[Named.LIVE_KEY])
        return links.filter(revealed_at__isnull=False).exists()

    @cached_property
    def mailed(self) -> dict[str, datetime | None]:
        """When the customer was first sent a mail that holds each of IN_MAILS."""
        gone = SalesMail.objects.filter(organization=self.organization_id).gone()
        firsts = {name: Min("created_at", filter=Q(body__contains=text)) for name, text in IN_MAILS.items()}
        return gone.aggregate(**firsts)

    @cached_property
    def endpoint(self) -> Endpoint | None:
        """A live endpoint of the customer's own that is on."""
        return Endpoint.objects.live_and_own().filter(organization=self.organization_id).order_by("pk").first()

    @cached_property
    def batch(self) -> Batch | None:
        """The first live batch of the pilot."""
        return self._batches().first()

    @cached_property
    def sized_batch(self) -> Batch | None:
        """The first of the advised size."""
        return self._batches().filter(total__range=(ADVISED_LEAST, ADVISED_MOST)).first()

    def _batches(self) -> QuerySet[Batch]:
        made = Batch.objects.filter(organization=self.organization_id, mode=Mode.LIVE)
        return made.filter(created_at__gte=self.pilot.activated_at).order_by("pk")

    @cached_property
    def is_distinguishable(self) -> bool:
        """Whether the items of that batch can be told apart by what the customer gave them."""
        given = Item.objects.filter(batch=self.sized_batch).values_list("custom_id", "metadata")
        marks = [json.dumps([custom_id, metadata], sort_keys=True) for custom_id, metadata in given]
        return json.dumps(["", {}]) not in marks and len(set(marks)) == len(marks)

    @property
    def received(self) -> Attempt | None:
        """The attempt with which batch.completed arrived at the customer's own address."""
        evidence = self.judgement.criteria[1].evidence
        return evidence if isinstance(evidence, Attempt) else None

    @property
    def missing_fields(self) -> list[str]:
        """Which required fields the body that was delivered there lacks."""
        received = self.received
        body = json.loads(received.delivery.event.body) if received else {}
        return [name for name in REQUIRED_FIELDS if not _holds(body, name.split("."))]

    @property
    def signed(self) -> SignOff | None:
        """The first sign-off of a live batch."""
        evidence = self.judgement.criteria[2].evidence
        return evidence if isinstance(evidence, SignOff) else None

    @cached_property
    def answers(self) -> int:
        """How many answers of the review are recorded."""
        return ReviewAnswer.objects.filter(pilot=self.pilot).count()


def _holds(body: Any, path: list[str]) -> bool:
    for name in path:
        if not isinstance(body, dict) or body.get(name) is None:
            return False
        body = body[name]
    return True
