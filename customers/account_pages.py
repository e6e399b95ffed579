"""What the pages of accounts share: whose account somebody reaches, and how many people and keys it has."""

from datetime import datetime
from typing import Any

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.shortcuts import get_object_or_404

from customers.access import Access
from customers.models import ApiKey, Membership, Organization, OrganizationQuerySet


def reached_organization(access: Access, *, organization_id: str) -> Organization:
    """Return a customer that somebody reaches. Raises Http404."""
    return get_object_or_404(Organization.objects.within(access), pk=organization_id)


def with_counts(organizations: OrganizationQuerySet, *, now: datetime) -> OrganizationQuerySet:
    """Return customers with how many people may sign in, and how many keys are usable: `people_count`, `key_count`."""
    return organizations.annotate(
        people_count=_count(Membership.objects.filter(user__is_active=True)),
        key_count=_count(ApiKey.objects.usable(now)),
    )


def _count(rows: QuerySet[Any]) -> Coalesce:
    """Return how many of these rows an organization has. Looked up for the few that a page shows; a join would not."""
    own = rows.filter(organization=OuterRef("pk")).order_by().values("organization")
    return Coalesce(Subquery(own.annotate(count=Count("pk")).values("count")), 0)
