"""A checklist line by line: what is promised, how it stands, its figure in a sentence, and where to look."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Standing(StrEnum):
    """How a line stands."""

    DONE = "done"
    PARTLY = "partly"
    WAITING = "waiting"
    WRONG = "wrong"


@dataclass(frozen=True)
class Row:
    """One record that a line is about."""

    label: str
    address: str
    detail: str


@dataclass(frozen=True)
class Line:
    """One line. `missing` says in few words what stands in the way of the whole; empty where nothing does."""

    name: str
    standing: Standing
    says: str
    address: str = ""
    missing: str = ""
    rows: Sequence[Row] = ()
    # How many rows there are beside those that are listed.
    more: int = 0


def counted(count: int, word: str, plural: str = "") -> str:
    """Return a number with its word, such as `1 batch` and `2 batches`."""
    plural = plural or (f"{word}es" if word.endswith("ch") else f"{word}s")
    return f"{count:,} {word if count == 1 else plural}"
