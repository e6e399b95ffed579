"""The audit trail of one thing: who tried what with it, and what came of it."""

from dataclasses import dataclass
from datetime import datetime

from customers.models import AuditEvent
from customers.naming import names_for_staff


@dataclass(frozen=True)
class Step:
    """A line of a trail: the event, and who that was in words of our own people."""

    event: AuditEvent
    who: str


def trail(subject: str, *, organization_id: str, since: datetime) -> list[Step]:
    """Return what was tried with a customer's thing, oldest first; `since` is when it was made."""
    # Served by customers_audit_by_org.
    events = AuditEvent.objects.filter(organization=organization_id, at__gte=since, subject=subject)
    found = list(events.order_by("at", "pk"))
    names = names_for_staff(event.actor for event in found)
    return [Step(event, names.get(event.actor, event.actor)) for event in found]
