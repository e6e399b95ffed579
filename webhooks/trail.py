"""The trail of a reference's events: what was told of it as a whole, each attempt, and who took it first.

What is told of its parts, such as a batch's items, is in the log of deliveries: there are thousands of those.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from webhooks.models import Attempt, Event, EventType

# Told of a whole, and told once.
OF_THE_WHOLE = (EventType.BATCH_STARTED, EventType.BATCH_COMPLETED)
# The schedule makes ten a delivery, and an organization has twenty endpoints: more come of sending again by hand.
ATTEMPTS_MAX = 500


@dataclass(frozen=True)
class Trail:
    """What was told of a reference: its events, the latest attempts to deliver them, and how many earlier there are.

    `taken` is the attempt with which the end of it first arrived anywhere. Attempts have their delivery loaded.
    """

    events: list[Event]
    attempts: list[Attempt]
    left_out: int
    taken: Attempt | None


def trail_of(reference: str) -> Trail:
    """Return the trail of a reference; as many queries, and rows, whatever the number of its parts."""
    # Each type is served by its own partial index: of the events of the parts there are thousands.
    events = [
        event
        for event_type in OF_THE_WHOLE
        for event in Event.objects.filter(type=event_type, reference=reference).defer("body")
    ]
    made = Attempt.objects.filter(delivery__event__in=[event.pk for event in events])
    latest = list(made.select_related("delivery").defer("response").order_by("-at", "-pk")[: ATTEMPTS_MAX + 1])
    left_out = made.count() - ATTEMPTS_MAX if len(latest) > ATTEMPTS_MAX else 0
    ends = [event.pk for event in events if event.type == EventType.BATCH_COMPLETED]
    taken = made.taken().filter(delivery__event__in=ends).select_related("delivery").order_by("at", "pk")
    return Trail(events, latest[:ATTEMPTS_MAX], left_out, taken.first())


def host_of(url: str) -> str:
    """Return the scheme and host of an address: its path and query may be secrets of who listens there."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"
