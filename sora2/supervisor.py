"""Keep programs running: start them in order, start again what dies, stop them in the opposite order.

A supervisor belongs to one thread, which calls `until` to wait for something and `tend` now and then.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sora2.processes import Child, Program, last_lines

Report = Callable[[str], None]


def silent(line: str) -> None:
    """Report nothing."""


# The waits before a program that dies again and again is started again; the last one repeats.
BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
# A program that lived this long starts at the first wait again.
STEADY_SECONDS = 30.0
# While we wait for something, a program that died this many times in a row won't make it.
MOST_DEATHS_AT_START = 5
TICK_SECONDS = 0.05


class Stopped(Exception):
    """Somebody asked for the stop while we were waiting."""


class ProgramFailed(Exception):
    """A program doesn't do what it was started for; the message shows the end of its log and its place."""

    def __init__(self, program: Program, what: str) -> None:
        """`what` goes on after the program's name: `ended with exit status 1`."""
        super().__init__(f"{program.name} {what}. The end of {program.log}:\n{last_lines(program.log)}")


@dataclass
class _Tended:
    program: Program
    child: Child | None = None
    deaths: int = 0
    start_at: float = 0.0


class Supervisor:
    """Programs kept running from `start` to the end of the `with` block."""

    def __init__(
        self,
        *,
        report: Report = silent,
        changed: Callable[[], None] = lambda: None,
        stop: threading.Event | None = None,
    ) -> None:
        """`report` gets a line for each death, `changed` is called when pids change, `stop` ends waits."""
        self._report = report
        self._changed = changed
        self._stop = stop or threading.Event()
        self._tended: list[_Tended] = []

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self, program: Program) -> None:
        """Start `program` and keep it running from now on."""
        tended = _Tended(program)
        self._tended.append(tended)
        self._start(tended)

    def run(self, program: Program) -> None:
        """Run `program` to its end. Raises ProgramFailed when its exit status isn't 0."""
        child = Child(program)
        try:
            self.until(lambda: not child.running(), program=program)
        finally:
            child.stop()
        if child.exit_status != 0:
            raise ProgramFailed(program, f"ended with {child.ending()}")

    def until(self, condition: Callable[[], bool], *, program: Program, seconds: float | None = None) -> None:
        """Wait until `condition()` holds, tending the programs meanwhile.

        Raises ProgramFailed about `program` after `seconds`, or about any program that keeps dying; Stopped
        when the stop is asked for.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while not condition():
            if deadline is not None and time.monotonic() > deadline:
                raise ProgramFailed(program, f"was not ready after {seconds:.0f} s")
            if self._stop.wait(TICK_SECONDS):
                raise Stopped
            self.tend(most_deaths=MOST_DEATHS_AT_START)

    def tend(self, *, most_deaths: int | None = None) -> None:
        """Start again what died and has waited enough. Raises ProgramFailed after `most_deaths` in a row."""
        for tended in self._tended:
            if tended.child is not None and not tended.child.running():
                self._mourn(tended, tended.child)
                if most_deaths is not None and tended.deaths >= most_deaths:
                    raise ProgramFailed(tended.program, f"died {tended.deaths} times at its start")
            if tended.child is None and time.monotonic() >= tended.start_at:
                self._start(tended)

    def pids(self) -> dict[str, int]:
        """Return the process ids of what runs now, by program name."""
        return {tended.program.name: tended.child.pid for tended in self._tended if tended.child is not None}

    def stop(self) -> None:
        """Stop all programs, the last started first. Each has the time that its `stop_signals` give it."""
        while self._tended:
            tended = self._tended.pop()
            if tended.child is not None:
                tended.child.stop()

    def _start(self, tended: _Tended) -> None:
        tended.child = Child(tended.program)
        self._changed()

    def _mourn(self, tended: _Tended, child: Child) -> None:
        lived = time.monotonic() - child.started_at
        tended.child = None
        tended.deaths = 1 if lived >= STEADY_SECONDS else tended.deaths + 1
        wait = BACKOFF_SECONDS[min(tended.deaths, len(BACKOFF_SECONDS)) - 1]
        tended.start_at = time.monotonic() + wait
        self._report(f"{tended.program.name} ended ({child.ending()}) after {lived:.1f} s; again in {wait:g} s")
        self._changed()
