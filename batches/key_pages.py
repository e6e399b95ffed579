"""What the page of an API key shows: the key with its work, what happened to it, and what would end with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import BigIntegerField, Count, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce

from batches.audit_words import in_words
from batches.list_pages import OPEN
from batches.models import Batch
from customers.access import Access, Permission
from customers.key_pages import Known, known, reached_key
from customers.models import ApiKey, AuditEvent
from customers.naming import names_of
from ledger.pages import Equation, Part
from sora2.pages import with_query

BATCHES_SHOWN = 5
HAPPENINGS_SHOWN = 20


@dataclass(frozen=True)
class Happening:
    """One thing that was done to a key, or with it: who did it, and what is known besides."""

    event: AuditEvent
    who: str
    act: str
    said: str


@dataclass(frozen=True)
class Work:
    """What a key has used of its budget, and its open batches with what they hold: all of one moment.

    `ordered` is where its batches are listed.
    """

    ordered: str
    budget: int | None
    used: int
    open: int
    held: int

    @property
    def charged(self) -> int:
        """Return what its ended batches were charged."""
        return self.used - self.held

    @property
    def equation(self) -> Equation | None:
        """Return the budget in its parts, if there is one."""
        if self.budget is None:
            return None
        parts = (
            Part("Charged", self.charged, "accent", self.ordered),
            Part("Held", self.held, "held", f"{self.ordered}&state={OPEN}"),
            Part("Left", self.budget - self.used, "quiet", self.ordered),
        )
        return Equation("Budget", self.budget, parts, "#happened")


@dataclass(frozen=True)
class KeyPage:
    """A key with its work, the latest of its batches, and what happened to it, newest first.

    `has_more` says that more has happened than is shown.
    """

    known: Known
    work: Work
    latest: list[Batch]
    happenings: list[Happening]
    has_more: bool


@dataclass(frozen=True)
class Revoking:
    """What would end with a key: `open` batches run on; `others` of its mode work too, `makers` of them make keys."""

    known: Known
    open: int
    others: int
    makers: int


def key_page(access: Access, *, organization_id: str, key_id: str, now: datetime) -> KeyPage:
    """Return what a key's page shows. Raises Http404."""
    key = reached_key(access, organization_id=organization_id, key_id=key_id)
    events = AuditEvent.objects.within(access).filter(subject=key.pk).order_by("-at", "-id")
    found = list(events[: HAPPENINGS_SHOWN + 1])
    names = names_of(access, [key.created_by, *(event.actor for event in found)])
    # Served by batches_batch_by_maker.
    ordered = Batch.objects.within(access).filter(created_by=key.pk).order_by("-id")
    return KeyPage(
        known=known(key, names=names, now=now),
        work=_work(key),
        latest=list(ordered[:BATCHES_SHOWN]),
        happenings=[_happening(event, names) for event in found[:HAPPENINGS_SHOWN]],
        has_more=len(found) > HAPPENINGS_SHOWN,
    )


def revoking(access: Access, *, key: ApiKey, now: datetime) -> Revoking:
    """Return what the page that revokes a key says first."""
    others = ApiKey.objects.usable(now).filter(organization=key.organization, mode=key.mode).exclude(pk=key.pk)
    return Revoking(
        known=known(key, names=names_of(access, [key.created_by]), now=now),
        open=_work(key).open,
        others=others.count(),
        makers=others.filter(scopes__contains=[Permission.KEYS_WRITE]).count(),
    )


def _work(key: ApiKey) -> Work:
    # One statement: a batch that begins or ends between two would be counted in one of them only.
    opened = Batch.objects.open().filter(created_by=OuterRef("pk")).order_by().values("created_by")
    row = ApiKey.objects.filter(pk=key.pk).annotate(
        open=Coalesce(Subquery(opened.annotate(found=Count("*")).values("found")), 0),
        held=Coalesce(
            Subquery(opened.annotate(found=Sum("credits")).values("found")), 0, output_field=BigIntegerField()
        ),
    )
    ordered = with_query("admin:batch_list", by=key.pk, mode=key.mode)
    return Work(ordered, *row.values_list("budget_credits", "used_credits", "open", "held").get())


def _happening(event: AuditEvent, names: Mapping[str, str]) -> Happening:
    who = "whoever had its secret" if event.action == "key.use" else names.get(event.actor, event.actor)
    return Happening(event, who, in_words(event.action), _said(event.action, event.detail))


def _said(action: str, detail: Mapping[str, Any]) -> str:
    """Return in words what the record keeps of an act. Never a budget: not everybody may see credits."""
    if action == "key.rotate":
        return f"with {detail['overlap_hours']} h of overlap"
    if action == "key.use":
        return f"from {detail['address'] or 'an unknown address'}"
    if action == "key.rename":
        return f"was: {detail['old']}"
    return str(detail.get("reason", ""))
