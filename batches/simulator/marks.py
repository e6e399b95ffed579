"""The script that a prompt can carry: marks such as `[[fail_once:capacity]]`, anywhere in the text."""

import re
from dataclasses import dataclass

from batches.failures import FailureType

MARK = re.compile(r"\[\[(fail|fail_once|hang|slow|rate_limit|ambiguous|bad_output)(?::([^\[\]]{1,40}))?\]\]")
# What the platform says of itself; no provider can cause it.
OURS = {FailureType.CANCELED, FailureType.INTERNAL_ERROR}
PLAYABLE = tuple(failure for failure in FailureType if failure not in OURS)
MAX_SLOW_SECONDS = 86_400.0
MAX_RATE_LIMITED = 1000


class UnplayableMark(Exception):
    """A mark that says something no provider can do: a typing mistake had better be noticed than ignored."""


@dataclass(frozen=True)
class Script:
    """What the provider does with a prompt.

    `first` is what the first submits meet, in order; `always` is what every later one meets. `ambiguous`
    takes the job and drops the connection. `slow_seconds` replaces the usual latency.
    """

    first: tuple[FailureType, ...] = ()
    always: FailureType | None = None
    ambiguous: bool = False
    slow_seconds: float | None = None

    def failure_at(self, submit: int) -> FailureType | None:
        """Return what submit number `submit` (from 0) meets."""
        return self.first[submit] if submit < len(self.first) else self.always


def script_of(prompt: str) -> Script:
    """Read the marks in `prompt`; the last one of a kind holds. Raises UnplayableMark."""
    said = {match[1]: match[2] or "" for match in MARK.finditer(prompt)}
    once = (_failure(said["fail_once"]),) if "fail_once" in said else ()
    limited = int(_number(said.get("rate_limit", "0"), at_most=MAX_RATE_LIMITED))
    return Script(
        first=(FailureType.RATE_LIMITED,) * limited + once,
        always=_always(said),
        ambiguous="ambiguous" in said,
        slow_seconds=_number(said["slow"], at_most=MAX_SLOW_SECONDS) if "slow" in said else None,
    )


def _always(said: dict[str, str]) -> FailureType | None:
    if "fail" in said:
        return _failure(said["fail"])
    if "hang" in said:
        return FailureType.TIMEOUT
    return FailureType.OUTPUT_INVALID if "bad_output" in said else None


def _failure(name: str) -> FailureType:
    if name not in PLAYABLE:
        raise UnplayableMark(f"A provider cannot cause '{name}'. It can cause: {', '.join(PLAYABLE)}.")
    return FailureType(name)


def _number(text: str, *, at_most: float) -> float:
    if not re.fullmatch(r"\d{1,6}(\.\d{1,3})?", text) or float(text) > at_most:
        raise UnplayableMark(f"'{text}' is not a number from 0 to {at_most:g}.")
    return float(text)
