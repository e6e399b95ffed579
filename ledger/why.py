"""Why an amount is what it is: the shape of an explanation, of a wallet's figure, a batch's or a total.

An explanation holds the figure as it is stored against what its rows add up to. Whoever makes one reads both, each from
where it stands; nothing here reads.
"""

from dataclasses import dataclass
from itertools import chain

# So many rows of a figure are listed; of the others, how many there are and what they add up to.
ROWS_SHOWN = 100


@dataclass(frozen=True)
class Row:
    """A row that a figure sums: what it is, its credits, where it is seen, a note on it, and what is wrong with it."""

    label: str
    credits: int
    address: str = ""
    note: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Term:
    """A part of a figure, added or (`sign` −1) taken off: its credits, and the rows that these are the sum of.

    `rest` stands for the rows that are not listed.
    """

    label: str
    credits: int
    rows: tuple[Row, ...] = ()
    rest: Row | None = None
    sign: int = 1

    @property
    def anchor(self) -> str:
        """Return the name of its place on the page."""
        return self.label.lower().replace(" ", "-")

    @property
    def operator(self) -> str:
        """Return the sign before the term."""
        return "+" if self.sign > 0 else "−"

    @property
    def unexplained(self) -> int:
        """Return how many of its credits the rows leave unexplained; below zero when they are too much."""
        return self.credits - sum(row.credits for row in (*self.rows, *([self.rest] if self.rest else [])))


@dataclass(frozen=True)
class Why:
    """A figure with its explanation: a sentence, the figure as it is `stored`, and the terms that must make it.

    `broken` are rows that contradict it, besides those of the terms.
    """

    label: str
    sentence: str
    stored: int
    terms: tuple[Term, ...]
    broken: tuple[Row, ...] = ()

    @property
    def computed(self) -> int:
        """Return what the terms add up to."""
        return sum(term.sign * term.credits for term in self.terms)

    @property
    def faults(self) -> list[str]:
        """Say what does not add up, and by how much. Of a figure that is explained: nothing."""
        faults = []
        if self.stored != self.computed:
            faults.append(f"{_differs(self.stored, self.computed)} than the rows add up to, {self.computed:,}.")
        for term in self.terms:
            if term.unexplained:
                made = term.credits - term.unexplained
                faults.append(f"{term.label}: {_differs(term.credits, made)} than its rows add up to, {made:,}.")
        return faults

    @property
    def wrong(self) -> list[Row]:
        """Return the rows with which something is wrong."""
        listed = chain.from_iterable(term.rows for term in self.terms)
        return [*self.broken, *(row for row in listed if row.fault)]

    @property
    def holds(self) -> bool:
        """Say whether the figure is explained in full."""
        return not self.faults and not self.wrong


def listed(rows: list[Row], *, count: int, credits: int, address: str) -> tuple[tuple[Row, ...], Row | None]:
    """Return the first of some rows, and one that stands for what is left of `count` rows of so many `credits`."""
    shown = rows[:ROWS_SHOWN]
    if count <= len(shown):
        return tuple(shown), None
    rest = Row(f"and {count - len(shown):,} more", credits - sum(row.credits for row in shown), address)
    return tuple(shown), rest


def _differs(stored: int, made: int) -> str:
    distance = stored - made
    credits = "credit" if abs(distance) == 1 else "credits"
    return f"It says {stored:,}, which is {abs(distance):,} {credits} {'more' if distance > 0 else 'fewer'}"
