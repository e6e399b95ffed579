"""A crew of threads: everything is done, few do what needs the processor, and many wait at once."""

import threading
import time

import pytest

from sora2 import crew as crews
from sora2.crew import FIRST, Crew


def slow(number: int) -> int:
    time.sleep(0.02)
    return number


def all_of(crew: Crew[int, int], tickets: list[int], seconds: float = 30) -> dict[int, int]:
    """Take until every ticket is done; return the results by ticket."""
    results: dict[int, int] = {}
    until = time.monotonic() + seconds
    while len(results) < len(tickets):
        assert time.monotonic() < until, f"{len(results)} of {len(tickets)} are done"
        done = crew.take(0.1)
        if done is not None:
            assert done.error is None
            (results[done.ticket],) = done.results
    return results


def test_everything_is_done_and_told_apart() -> None:
    crew: Crew[int, int] = Crew(lambda number: number * 10, most=4)
    tickets = [crew.give(number) for number in range(100)]
    assert all_of(crew, tickets) == {ticket: number * 10 for number, ticket in enumerate(tickets)}
    crew.close()


def test_what_raises_is_told_and_its_thread_goes_on() -> None:
    def act(number: int) -> int:
        if number == 0:
            raise SystemExit  # Whatever it is: who waits for it must hear.
        return number

    crew = Crew(act, most=1)
    first, second = crew.give(0), crew.give(1)
    done = crew.take(10)
    assert done is not None
    assert (done.ticket, done.results, type(done.error)) == (first, (), SystemExit)
    assert all_of(crew, [second]) == {second: 1}
    crew.close()


def test_with_nothing_done_it_says_so_after_a_while() -> None:
    release = threading.Event()
    crew: Crew[int, bool] = Crew(lambda _: release.wait(30), most=1)
    crew.give(1)
    assert crew.take(0.05) is None
    release.set()
    assert crew.take(10) is not None
    crew.close()


@pytest.mark.parametrize("most", [1, 40])
def test_while_all_wait_it_grows_until_everything_is_under_way(most: int) -> None:
    """Each waits until so many are under way together: a crew that stays small never gets there."""
    together = threading.Barrier(most)

    def act(number: int) -> int:
        together.wait(30)
        return number

    crew = Crew(act, most=most)
    tickets = [crew.give(number) for number in range(most)]
    all_of(crew, tickets)
    assert crew.size == most
    crew.close()


def test_it_never_grows_beyond_the_most() -> None:
    crew = Crew(slow, most=3)
    all_of(crew, [crew.give(number) for number in range(60)])
    assert crew.size == 3
    crew.close()


def test_while_the_process_is_busy_it_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crews, "processor_seconds", time.monotonic)
    crew = Crew(slow, most=64)
    all_of(crew, [crew.give(number) for number in range(60)])
    assert crew.size == FIRST
    crew.close()


def test_closing_it_does_what_was_given_and_leaves_no_thread() -> None:
    done: list[int] = []
    crew: Crew[int, None] = Crew(done.append, most=2)
    for number in range(20):
        crew.give(number)
    before = threading.active_count()
    crew.close()
    assert sorted(done) == list(range(20))
    assert threading.active_count() <= before - crew.size
