"""A Celery worker with its processes: at rest but while it is measured, and what its work takes of the processors."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psutil

from sora2.processes import Child, Program, last_lines

# Processes come and go while they are looked at.
TRIES = 10


@dataclass(frozen=True)
class Run:
    """How long some events took, and what each program took of the processors for them, in seconds."""

    seconds: float
    spent: Mapping[str, float]


class Workers:
    """A running worker; stopped in its tracks, it takes nothing from others."""

    def __init__(self, program: Program) -> None:
        self._child = Child(program)

    @property
    def pid(self) -> int:
        """Its first process."""
        return self._child.pid

    def rest(self) -> None:
        """Stop all its processes where they are."""
        self._signal(signal.SIGSTOP)

    def work(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        if self._child.running():
            self.work()
        self._child.stop()

    def _signal(self, number: signal.Signals) -> None:
        assert self._child.running(), f"{self._child.program.name} ended by itself"
        first = psutil.Process(self.pid)
        for process in (first, *first.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


@contextlib.contextmanager
def workers(program: Program) -> Iterator[Workers]:
    """Run a worker while the block runs."""
    running = Workers(program)
    try:
        yield running
    except BaseException:
        print(f"the end of {program.name}'s log:\n{last_lines(program.log, 40)}", file=sys.stderr)
        raise
    finally:
        running.stop()


def processor_seconds(programs: Mapping[str, int]) -> dict[str, float]:
    """Return what each program with its processes has taken of the processors so far, the embedded servers too."""
    # Not any deeper: what PostgreSQL has just forked looks like itself.
    children = psutil.Process(os.getpid()).children()
    servers = {name: process.pid for process in children if (name := _server(process))}
    return {name: _seconds(pid) for name, pid in {**servers, **programs}.items()}


def spent_since(before: Mapping[str, float], programs: Mapping[str, int]) -> dict[str, float]:
    """Return what each has taken since it had taken so much."""
    return {name: seconds - before.get(name, 0) for name, seconds in processor_seconds(programs).items()}


def _server(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        program = os.path.basename(next(iter(process.cmdline()), ""))
        return {"postgres": "PostgreSQL", "valkey-server": "Valkey"}.get(program, "")
    return ""


def _seconds(pid: int) -> float:
    """Add up a process and its children, those that have ended too; anew when one ends meanwhile."""
    first, spent = psutil.Process(pid), 0.0
    for _ in range(TRIES):
        processes = [first, *first.children(recursive=True)]
        with contextlib.suppress(psutil.NoSuchProcess):
            spent = sum(sum(process.cpu_times()[:4]) for process in processes)
            if processes[1:] == first.children(recursive=True):
                break
    return spent
