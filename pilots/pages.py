"""What the pages of pilots share: which pilot or lead somebody reaches."""

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404

from customers.access import Access
from pilots.models import Lead, Pilot


def reached_pilot(access: Access, *, pilot_id: str) -> Pilot:
    """Return a pilot that somebody reaches, with its organization. Raises Http404."""
    pilots = Pilot.objects.within(access).select_related("organization", "preflight", "closed_by")
    return get_object_or_404(pilots, pk=pilot_id)


def leads_of(access: Access) -> QuerySet[Lead]:
    """Return the leads that somebody reaches: our own people all of them, customers none."""
    return Lead.objects.all() if access.organization_ids is None else Lead.objects.none()


def reached_lead(access: Access, *, lead_id: str) -> Lead:
    """Return a lead that somebody reaches, with its organization and pilot. Raises Http404."""
    leads = leads_of(access).select_related("organization__pilot", "created_by")
    return get_object_or_404(leads, pk=lead_id)
