"""What the pages of pilots share: which pilot somebody reaches."""

from django.shortcuts import get_object_or_404

from customers.access import Access
from pilots.models import Pilot


def reached_pilot(access: Access, *, pilot_id: str) -> Pilot:
    """Return a pilot that somebody reaches, with its organization. Raises Http404."""
    pilots = Pilot.objects.within(access).select_related("organization", "preflight", "closed_by")
    return get_object_or_404(pilots, pk=pilot_id)
