"""Verbs repeated in processes of their own, one connection each, so that no client waits for another's interpreter.

A worker reads lines `verb first accounts seconds` and answers each with how often it did the verb in a second.
It imports nothing of ours: the one for django-hordak runs in another environment.
"""

import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

READY = "ready"
# Movements are numbered anew by each connection in each turn, and no number comes twice.
NUMBERS_OF_CONNECTION = 10_000_000
NUMBERS_OF_TURN = 16 * NUMBERS_OF_CONNECTION

# Takes the number of the movement, which makes its ids, and that of the account.
Verb = Callable[[int, int], object]


def serve(verbs: Mapping[str, Verb]) -> None:
    """Do what stdin says until it ends."""
    print(READY, flush=True)
    for line in sys.stdin:
        name, first, accounts, seconds = line.split()
        print(_rate(verbs[name], int(first), int(accounts), float(seconds)), flush=True)


def _rate(verb: Verb, first: int, accounts: int, seconds: float) -> float:
    started, number = time.perf_counter(), first
    while time.perf_counter() - started < seconds:
        verb(number, random.randint(1, accounts))  # noqa: S311 - no secret.
        number += 1
    return (number - first) / (time.perf_counter() - started)


class Workers:
    """Running workers of one kind."""

    def __init__(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        self._processes = processes

    def rate(self, verb: str, *, connections: int, accounts: int, seconds: float, turn: int) -> float:
        """Return how often a second so many workers together did the verb."""
        chosen = self._processes[:connections]
        for index, process in enumerate(chosen):
            first = turn * NUMBERS_OF_TURN + index * NUMBERS_OF_CONNECTION
            assert process.stdin is not None
            process.stdin.write(f"{verb} {first} {accounts} {seconds}\n")
            process.stdin.flush()
        return sum(float(_answer(process)) for process in chosen)


@contextlib.contextmanager
def workers(python: str, module: str, database: str, count: int) -> Iterator[Workers]:
    """Run so many workers of `module` on the database, in the environment of the interpreter `python`."""
    root = Path(__file__).resolve().parents[2]
    processes = [
        subprocess.Popen(
            [python, "-m", module, database], cwd=root, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(count)
    ]
    try:
        for process in processes:
            if _answer(process) != READY:
                raise SystemExit(f"{module} did not start")
        yield Workers(processes)
    finally:
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()  # The end of its input ends a worker.
        for process in processes:
            process.wait()


def _answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    answer = process.stdout.readline().strip()
    if not answer:
        raise SystemExit("a worker died: see above")
    return answer
