"""Steps of something's life, each with its time and how long it took from the one before."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Step:
    """One step: when it was taken, and how long after the one before; `words` say why it has no time."""

    label: str
    at: datetime | None
    took: timedelta | None = None
    words: str = "not yet"


def steps(taken: Iterable[tuple[str, datetime | None, str]]) -> list[Step]:
    """Return steps given as (label, time, why there is none), each with how long it took from the last one taken.

    Two that happen out of the usual order have no length of time between them.
    """
    found: list[Step] = []
    last: datetime | None = None
    for label, at, words in taken:
        took = at - last if at and last and at >= last else None
        found.append(Step(label, at, took, words))
        last = at or last
    return found
