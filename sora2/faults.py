"""Faults of what a customer sent: every one is told with its JSON pointer, not just the first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_FAULTS = 100


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, where (a JSON pointer; empty for the whole), with a stable code and what to do."""

    pointer: str
    code: str
    detail: str


class Invalid(Exception):
    """What was sent has `count` faults; the first 100 of them are told."""

    def __init__(self, faults: list[Fault], count: int | None = None) -> None:
        self.faults, self.count = faults, count or len(faults)
        super().__init__(f"{self.count} faults")


class Reader:
    """Collects faults while a body is read; who reads goes on with something harmless."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.count = 0

    def fault(self, pointer: str, code: str, detail: str) -> None:
        """Note a fault."""
        self.count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(pointer, code, detail))

    def unknown_fields(self, pointer: str, given: Mapping[str, Any], known: frozenset[str]) -> None:
        """Note the fields of an object that there are not."""
        for name in sorted(given.keys() - known):
            self.fault(f"{pointer}/{token(name)}", "unknown_field", "There is no such field. Remove it.")

    def finish(self) -> None:
        """Raise Invalid if anything was wrong."""
        if self.faults:
            raise Invalid(self.faults, self.count)


def token(name: str) -> str:
    """Return one token of a JSON pointer; very long names are cut."""
    return name[:100].replace("~", "~0").replace("/", "~1")


def whole(given: Any) -> int | None:
    """Return a whole number as JSON Schema means it (4.0 is one, true is none), or None for anything else."""
    if isinstance(given, float) and given.is_integer():
        return int(given)
    return given if type(given) is int else None
