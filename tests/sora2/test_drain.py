"""Drain what is due: whatever goes wrong, what is under way is recorded."""

import threading
import time
from collections.abc import Callable, Sequence

import pytest
from django.db import DatabaseError

from sora2 import drain as draining
from sora2.drain import drain


def rows(*chunks: Sequence[int]) -> Callable[[int], Sequence[int]]:
    """Return a claim that gives out the chunks one after the other, then nothing."""
    waiting = list(chunks)
    return lambda _: waiting.pop(0) if waiting else []


def test_everything_claimed_is_acted_on_and_recorded() -> None:
    recorded: list[int] = []
    claimed = drain(claim=rows([1, 2], [3]), act=lambda n: n * 10, record=recorded.extend, width=2, seconds=5)
    assert claimed == 3
    assert sorted(recorded) == [10, 20, 30]


def test_an_act_that_raises_costs_no_other() -> None:
    recorded: list[int] = []

    def act(number: int) -> int:
        if number == 2:
            raise ValueError
        return number

    drain(claim=rows([1, 2, 3]), act=act, record=recorded.extend, width=3, seconds=5)
    assert sorted(recorded) == [1, 3]


def test_an_outcome_that_cannot_be_recorded_costs_no_other() -> None:
    recorded: list[int] = []

    def record(outcomes: Sequence[int]) -> None:
        if 2 in outcomes:
            raise DatabaseError
        recorded.extend(outcomes)

    drain(claim=rows([1, 2, 3]), act=lambda n: n, record=record, width=3, seconds=5)
    assert sorted(recorded) == [1, 3]


def test_a_claim_that_fails_ends_the_claiming_and_loses_nothing() -> None:
    recorded: list[int] = []
    chunks = [[1, 2]]

    def claim(_: int) -> Sequence[int]:
        if not chunks:
            raise DatabaseError("gone")
        return chunks.pop()

    with pytest.raises(DatabaseError, match="gone"):
        drain(claim=claim, act=lambda n: n, record=recorded.extend, width=8, seconds=5)
    assert sorted(recorded) == [1, 2]


def test_what_takes_long_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "RENEW_SECONDS", 0.0)
    renewed: list[int] = []
    go_on = threading.Event()

    def act(number: int) -> int:
        go_on.wait(10)
        return number

    def renew(still: Sequence[int]) -> None:
        renewed.extend(still)
        go_on.set()

    recorded: list[int] = []
    drain(claim=rows([7]), act=act, record=recorded.extend, width=1, seconds=5, renew=renew)
    assert (renewed, recorded) == ([7], [7])


def test_nothing_is_claimed_after_the_time_is_up() -> None:
    assert drain(claim=rows([1]), act=lambda n: n, record=lambda _: None, width=1, seconds=0) == 0


def test_what_becomes_due_while_something_runs_is_claimed_too() -> None:
    release = threading.Event()
    recorded: list[int] = []
    chunks: list[list[int]] = [[1], [2]]

    def act(number: int) -> int:
        if number == 1:
            release.wait(5)  # A slow one.
        else:
            release.set()
        return number

    drain(claim=lambda _: chunks.pop(0) if chunks else [], act=act, record=recorded.extend, width=4, seconds=5)
    assert sorted(recorded) == [1, 2]


def test_whoever_takes_over_is_told_when_nothing_more_will_be_claimed() -> None:
    told: list[int] = []
    recorded: list[int] = []
    chunks = [[1]]

    def act(number: int) -> int:
        while not told:
            time.sleep(0.01)
        return number

    drain(
        claim=lambda _: chunks.pop() if chunks else [],
        act=act,
        record=recorded.extend,
        width=4,
        seconds=0.05,
        last_claim=lambda: told.append(len(recorded)),
    )
    assert told[0] == 0  # While the act still ran.
    assert recorded == [1]


def test_a_process_that_is_to_end_finishes_what_runs_and_claims_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "_ending", bytearray(1))
    recorded: list[int] = []
    chunks = [[3], [2], [1]]

    def act(number: int) -> int:
        draining.end_claiming()
        return number

    drain(claim=lambda _: chunks.pop() if chunks else [], act=act, record=recorded.extend, width=1, seconds=5)
    assert (recorded, chunks) == ([1], [[3], [2]])


def test_who_comes_while_an_act_runs_is_not_kept_waiting_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "LOOK_SECONDS", 60)
    second_is_due, second_ran = threading.Event(), threading.Event()
    wanted, looks = [True], [[2], [1]]

    def claim(_: int) -> Sequence[int]:
        if len(looks) == 1 and not second_is_due.is_set():
            return []
        return looks.pop() if looks else []

    def act(number: int) -> int:
        if number == 1:
            second_is_due.set()
            assert second_ran.wait(30)
        else:
            second_ran.set()
        return number

    claimed = drain(
        claim=claim,
        act=act,
        record=lambda _: None,
        width=2,
        seconds=90,
        is_wanted=lambda: second_is_due.is_set() and bool(wanted) and wanted.pop(),
    )
    assert claimed == 2
