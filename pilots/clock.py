"""The clock of a pilot, as the pages draw it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.pages import Part
from pilots.models import Pilot


@dataclass(frozen=True)
class Clock:
    """How the hours of a pilot are used up. `begins_in` is None once it has begun, `left` once it is over."""

    begins_in: timedelta | None
    left: timedelta | None
    hours: int
    parts: tuple[Part, Part]

    @property
    def minutes(self) -> int:
        """Return how long it runs in all."""
        return sum(part.value for part in self.parts)


def clock_of(pilot: Pilot, *, now: datetime) -> Clock:
    """Return the clock of a pilot."""
    nothing, whole = timedelta(), pilot.deadline - pilot.activated_at
    left = min(max(pilot.deadline - now, nothing), whole)
    return Clock(
        begins_in=max(pilot.activated_at - now, nothing) or None,
        left=left or None,
        hours=round(whole / timedelta(hours=1)),
        parts=(
            Part("minutes passed", _minutes(whole - left), "held"),
            Part("minutes left", _minutes(left), "quiet"),
        ),
    )


def _minutes(time: timedelta) -> int:
    return time // timedelta(minutes=1)
