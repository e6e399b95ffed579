"""What customers said or asked by themselves."""

from django.db.models import Q

from customers.models import Organization
from pilots.models import OPENS_TRANSITION, Signal


def transition_opened_by(organization: Organization) -> Signal | None:
    """Return the first signal by which a customer has asked for a contract, about it or its lead; None before."""
    about = Q(organization=organization) | Q(lead__organization=organization)
    asked = Signal.objects.filter(about, code__in=OPENS_TRANSITION).select_related("recorded_by")
    return asked.order_by("seen_at", "pk").first()
