"""Where the ids of pilots and leads lead, for our people who may see them."""

from django.urls import reverse

from batches.finding import LOOKUPS, Found
from customers.access import Access, Permission
from pilots.models import Lead, Pilot


def register() -> None:
    """Let the search box find pilots and leads, which lie above what it knows by itself."""
    LOOKUPS.update(pil=_pilots, lea=_leads)


def _pilots(access: Access, ids: set[str]) -> Found:
    if not access.may(Permission.PILOTS_READ):
        return []
    rows = Pilot.objects.within(access).filter(pk__in=ids).values_list("pk", "organization__name")
    return [(pk, reverse("admin:pilot", args=[pk]), who) for pk, who in rows]


def _leads(access: Access, ids: set[str]) -> Found:
    if not access.may(Permission.PILOTS_READ):
        return []
    rows = Lead.objects.filter(pk__in=ids).values_list("pk", "company")
    return [(pk, reverse("admin:lead_list"), who) for pk, who in rows]
