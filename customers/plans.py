"""On what terms a customer is with us: in a pilot, then as an enterprise under a contract. They are written here alone.

Terms are limits, and how fast our support answers. What the system promises of credits is the same under every plan
(docs/decisions/0040-plans.md), so nothing that moves credits asks for one.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Coalesce

from customers.access import Access
from customers.models import Organization, OrganizationQuerySet, Plan, PlanChange, User
from customers.services import audit
from sora2.seen import check_seen, seen_name

# The most that can be agreed of each term; the least is 1. A batch of more items is refused by the intake.
MOST: Mapping[str, int] = {
    "max_items_per_batch": 10_000,
    "rate_limit_per_minute": 100_000,
    "max_open_batches": 10_000,
    "support_response_hours": 720,
}


class InvalidTerms(ValueError):
    """These terms cannot be agreed; the message says which of them, and why."""


@dataclass(frozen=True)
class Terms:
    """What a plan sets. Without `support_response_hours`, as in a pilot, our support answers as best it can."""

    max_items_per_batch: int
    rate_limit_per_minute: int
    max_open_batches: int
    support_response_hours: int | None


@dataclass(frozen=True)
class Agreement:
    """How a customer is with us, and since when in this plan. A pilot has no contract."""

    plan: str
    terms: Terms
    contract_reference: str
    since: datetime

    @property
    def seen(self) -> str:
        """Return a name for what is agreed now: anything else has another."""
        return seen_name(self._named())

    def check(self, seen: str) -> None:
        """Let what was seen be changed. Raises ChangedMeanwhile when it is otherwise now."""
        check_seen(self._named(), seen)

    def _named(self) -> dict[str, Any]:
        return {"plan": self.plan, "terms": asdict(self.terms), "contract_reference": self.contract_reference}


def terms_of(organization: Organization) -> Terms:
    """Return the terms of a customer."""
    return Terms(**{name: getattr(organization, name) for name in MOST})


def agreement_of(organization: Organization) -> Agreement:
    """Return how a customer is with us."""
    changes = list(organization.plan_changes.order_by("pk").only("organization", "at", "contract_reference"))
    return Agreement(
        plan=organization.plan,
        terms=terms_of(organization),
        contract_reference=changes[-1].contract_reference if changes else "",
        since=changes[0].at if changes else organization.created_at,
    )


def enterprises(access: Access) -> OrganizationQuerySet:
    """Return the customers under contract that somebody reaches, each with `under_contract_since`."""
    began = PlanChange.objects.filter(organization=OuterRef("pk")).order_by("at", "pk").values("at")[:1]
    since = Coalesce(Subquery(began), "created_at")
    return Organization.objects.within(access).filter(plan=Plan.ENTERPRISE).annotate(under_contract_since=since)


@transaction.atomic
def change_plan(
    *,
    organization: Organization,
    terms: Terms,
    contract_reference: str,
    reason: str,
    by: User,
    seen: str,
    now: datetime,
) -> bool:
    """Make a customer an enterprise on these terms, or give an enterprise new ones, if all is still as it was `seen`.

    Nothing leads back to a pilot. What is agreed already stays: sent twice, it is done once, and False is returned.
    The limits hold from the next request; what runs goes on. Raises InvalidTerms, ChangedMeanwhile.
    """
    contract_reference, reason = " ".join(contract_reference.split()), " ".join(reason.split())
    _refuse(terms, contract_reference, reason)
    locked = Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
    before = agreement_of(locked)
    after = replace(before, plan=Plan.ENTERPRISE.value, terms=terms, contract_reference=contract_reference)
    if before == after:
        return False
    before.check(seen)
    Organization.objects.filter(pk=organization.pk).update(plan=Plan.ENTERPRISE, **asdict(terms))
    _write_down(organization, before, after, reason, by, now)
    return True


def _refuse(terms: Terms, contract_reference: str, reason: str) -> None:
    for name, most in MOST.items():
        value = getattr(terms, name)
        if value is None or not 1 <= value <= most:
            raise InvalidTerms(f"{name} of an enterprise is from 1 to {most:,}.")
    for name, text in (("contract_reference", contract_reference), ("reason", reason)):
        longest = PlanChange._meta.get_field(name).max_length or 0  # type: ignore[union-attr]
        if not 0 < len(text) <= longest:
            raise InvalidTerms(f"{name} has from 1 to {longest} characters.")


def _write_down(
    organization: Organization, before: Agreement, after: Agreement, reason: str, by: User, now: datetime
) -> None:
    PlanChange.objects.create(
        organization=organization,
        at=now,
        by=by,
        plan_before=before.plan,
        plan_after=after.plan,
        contract_reference=after.contract_reference,
        reason=reason,
        before=asdict(before.terms),
        after=asdict(after.terms),
    )
    audit(
        actor=by.pk,
        action="organization.plan",
        organization_id=organization.pk,
        subject=organization.pk,
        detail={
            "contract_reference": after.contract_reference,
            "reason": reason,
            "old": {"plan": before.plan, **asdict(before.terms)},
            "new": {"plan": after.plan, **asdict(after.terms)},
        },
    )
