"""Threads that do one kind of work: few while the interpreter is busy with it, more while it waits for others.

Threads that compute take turns at the interpreter, and each turn costs: sixteen posts at once to a receiver that
answers at once take twice the processor time that two do. Threads that wait cost nothing. So a crew begins small, and
grows while there is work to do and the process is not busy.
"""

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

FIRST = 2
processor_seconds = time.process_time
# How often it is judged, and the share of a processor from which on the process counts as busy.
JUDGED_SECONDS, BUSY = 0.01, 0.6


@dataclass(frozen=True)
class Done(Generic[R]):
    """What came of one piece of work, by its ticket: its results, which is one, or none when it raised `error`."""

    ticket: int
    results: tuple[R, ...] = ()
    error: BaseException | None = None


class Crew(Generic[T, R]):
    """Up to `most` threads that `act` on what they are given. For one thread to use, which ends it by `close`."""

    def __init__(self, act: Callable[[T], R], *, most: int) -> None:
        self._act, self._most = act, most
        self._to_do: SimpleQueue[tuple[int, T] | None] = SimpleQueue()
        self._done: SimpleQueue[Done[R]] = SimpleQueue()
        self._tickets = itertools.count()
        self._threads: list[threading.Thread] = []
        self._judged_at, self._spent = time.monotonic(), processor_seconds()
        self._seen_at = self._judged_at

    @property
    def size(self) -> int:
        """Return how many threads there are."""
        return len(self._threads)

    def give(self, row: T) -> int:
        """Give it something to do; return the ticket of it."""
        if self.size < min(FIRST, self._most):
            self._grow(1)
        ticket = next(self._tickets)
        self._to_do.put((ticket, row))
        return ticket

    def take(self, seconds: float) -> Done[R] | None:
        """Return something that is done, or None when nothing is within so many seconds."""
        until = time.monotonic() + seconds
        if time.monotonic() - self._seen_at > JUDGED_SECONDS / 2:
            # Who asks was away, and the crew may have had nothing to do: that judges nothing.
            self._judged_at, self._spent = time.monotonic(), processor_seconds()
        try:
            while True:
                self._judge()
                left = until - time.monotonic()
                try:
                    return self._done.get(timeout=max(0.0, min(left, JUDGED_SECONDS)))
                except Empty:
                    if left <= 0:
                        return None
        finally:
            self._seen_at = time.monotonic()

    def close(self) -> None:
        """End its threads, once all is done."""
        for _ in self._threads:
            self._to_do.put(None)
        for thread in self._threads:
            thread.join()

    def _judge(self) -> None:
        """Double the crew if there is work to do, and the process had time for it."""
        now = time.monotonic()
        elapsed = now - self._judged_at
        if elapsed < JUDGED_SECONDS:
            return
        spent = processor_seconds()
        is_busy = spent - self._spent >= BUSY * elapsed
        self._judged_at, self._spent = now, spent
        waiting = self._to_do.qsize()
        if waiting and not is_busy:
            self._grow(min(self.size, waiting, self._most - self.size))

    def _grow(self, count: int) -> None:
        for _ in range(count):
            thread = threading.Thread(target=self._work, name="crew", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _work(self) -> None:
        while (given := self._to_do.get()) is not None:
            ticket, row = given
            try:
                done = Done(ticket, (self._act(row),))
            except BaseException as error:
                done = Done(ticket, error=error)
            self._done.put(done)
