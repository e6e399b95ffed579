"""Drain what is due: claim rows, act on each in a thread, record outcomes in chunks.

`claim` and `record` use the database and run in the calling thread; `act` does the slow network part and
must not touch the database. A slow act delays neither the recording of others nor further claims.
"""

import contextlib
import mmap
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog
from django.db import DatabaseError

from sora2.crew import Crew, Done

log = structlog.get_logger(__name__)

T = TypeVar("T")
R = TypeVar("R")

# Outcomes that arrive within this time of each other are recorded by the same statements.
GATHER_SECONDS = 0.02
# How long to wait for an act to end before looking for more that is due, and how often to ask whether somebody came.
LOOK_SECONDS, ASK_SECONDS = 0.1, 0.01
# Leases that are renewed last a multiple of this.
RENEW_SECONDS = 5.0

# One byte that a worker shares with the processes it forks: not 0 once it is to end. No lock that could be lost.
_ending = mmap.mmap(-1, 1)


def end_claiming() -> None:
    """Let every drain of this process and its forks finish what is under way, and claim nothing more."""
    _ending[0] = 1


def drain(
    *,
    claim: Callable[[int], Sequence[T]],
    act: Callable[[T], R],
    record: Callable[[Sequence[R]], None],
    width: int,
    seconds: float,
    renew: Callable[[Sequence[T]], None] | None = None,
    last_claim: Callable[[], None] | None = None,
    is_wanted: Callable[[], bool] | None = None,
) -> int:
    """Claim and act on rows until none is due or `seconds` have passed; return how many were claimed.

    At most `width` acts run at once; while some run, what becomes due is claimed too. An act that raises is logged
    and left to its lease: the row is due again when that expires, which is the same as if this process had died
    there. Whatever else is raised, in `claim`, in `record` or by a time limit, ends the claiming only: what is under
    way is still recorded, and then it is raised.

    `renew` is given every few seconds what is still under way: acts may take longer than a lease, which can be short.
    `is_wanted` says whether somebody came meanwhile with more that is due: then it is claimed at once.
    `last_claim` is called when nothing more will be claimed though acts still run: another process may take over.
    """
    until = time.monotonic() + seconds
    claimed = 0
    trouble: Exception | None = None
    running: dict[int, T] = {}
    renewed = time.monotonic()
    with contextlib.closing(Crew(act, most=width)) as crew:
        while True:
            try:
                is_over = trouble is not None or time.monotonic() >= until or bool(_ending[0])
                if is_over and last_claim is not None:
                    last_claim()
                free = 0 if is_over else width - len(running)
                rows = claim(free) if free else []
                claimed += len(rows)
                running |= {crew.give(row): row for row in rows}
                if not running:
                    break
                done = _gather(crew, len(running), is_wanted)
                for each in done:
                    del running[each.ticket]
                if renew is not None and running and time.monotonic() - renewed > RENEW_SECONDS:
                    renew(list(running.values()))
                    renewed = time.monotonic()
                _record(record, [result for each in done for result in each.results])
            except Exception as error:
                log.error("drain.interrupted", exc_info=error)
                trouble = error
    if trouble is not None:
        raise trouble
    return claimed


def _record(record: Callable[[Sequence[R]], None], outcomes: Sequence[R]) -> None:
    """Record outcomes together; if that fails, one by one, so that one which can't be recorded costs no other."""
    if not outcomes:
        return
    try:
        record(outcomes)
    except DatabaseError as error:
        log.warning("drain.recorded_one_by_one", count=len(outcomes), error=type(error).__name__)
        for outcome in outcomes:
            try:
                record([outcome])
            except DatabaseError as fault:
                log.error("drain.not_recorded", exc_info=fault)


def _gather(crew: Crew[T, R], running: int, is_wanted: Callable[[], bool] | None) -> list[Done[R]]:
    """Return what is done of so much that runs: as soon as something is, and what is done soon after it."""
    done: list[Done[R]] = []
    until = time.monotonic() + LOOK_SECONDS
    while len(done) < running and (left := until - time.monotonic()) > 0:
        each = crew.take(min(left, ASK_SECONDS))
        if each is None:
            if not done and is_wanted is not None and is_wanted():
                break
            continue
        if each.error is not None:
            log.error("drain.act_failed", exc_info=each.error)
        if not done:
            until = time.monotonic() + GATHER_SECONDS
        done.append(each)
    return done
