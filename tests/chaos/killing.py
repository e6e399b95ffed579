"""Somebody who kills, stops and wakes the programs of a running system at random, and writes down what he did."""

import contextlib
import random
import signal
import time
from collections.abc import Iterator, Sequence
from threading import Event, Thread

import psutil

from tests.flows.system import System

PAUSE_SECONDS = (0.4, 2.0)
STOPPED_SECONDS = (0.5, 6.0)
# What is struck, and how often compared with the others: workers most, as they hold the leases.
PROGRAMS = {"worker": 6, "beat": 2, "simulator": 3, "valkey": 2, "postgres": 2, "web": 2}
# A program with all its processes, its first process alone, any one of its processes; stopped for a while, with all.
BLOWS = {"kill": 4, "kill head": 2, "kill one": 4, "stop": 4}


class Killer:
    """Strikes once every second or so, as its dice say, while `at_work` runs. Programs of others are never touched."""

    def __init__(self, system: System, dice: random.Random) -> None:
        self._system = system
        self._dice = dice
        self._over = Event()
        self._stopped: list[tuple[float, Sequence[psutil.Process]]] = []
        self.diary: list[str] = []
        self.blows = 0

    @contextlib.contextmanager
    def at_work(self, *, seconds: float) -> Iterator[None]:
        """Strike while the block runs, and for so many seconds at least; afterwards nothing is stopped any more."""
        thread = Thread(target=self._work, name="killer")
        end = time.monotonic() + seconds
        thread.start()
        try:
            yield
            self._over.wait(max(0.0, end - time.monotonic()))
        finally:
            self._over.set()
            thread.join()

    def _work(self) -> None:
        started = time.monotonic()
        try:
            while not self._over.wait(self._dice.uniform(*PAUSE_SECONDS)):
                self._wake(time.monotonic())
                program, blow = self._pick(PROGRAMS), self._pick(BLOWS)
                struck = self._strike(program, blow)
                self.blows += bool(struck)
                self.diary.append(f"{time.monotonic() - started:6.1f} s: {blow} {program} {struck or '(is down)'}")
        finally:
            self._wake(float("inf"))

    def _pick(self, weights: dict[str, int]) -> str:
        return self._dice.choices(list(weights), list(weights.values()))[0]

    def _strike(self, program: str, blow: str) -> list[int]:
        """Strike, and return the pids that were there to be struck."""
        processes = self._system.processes(program)
        if blow == "kill head":
            processes = processes[:1]
        elif blow == "kill one" and processes:
            processes = [self._dice.choice(processes)]
        _send(processes, signal.SIGSTOP if blow == "stop" else signal.SIGKILL)
        if blow == "stop":
            self._stopped.append((time.monotonic() + self._dice.uniform(*STOPPED_SECONDS), processes))
        return [process.pid for process in processes]

    def _wake(self, now: float) -> None:
        for until, processes in self._stopped:
            if until <= now:
                _send(processes, signal.SIGCONT)
        self._stopped = [entry for entry in self._stopped if entry[0] > now]


def _send(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # psutil knows a number that has become another's.
            process.send_signal(number)
