"""Check a plan: carry it out group by group, and after each ask the model for an explanation of what is there."""

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Barrier

from django.db import connection, connections

from batches.model_check.explaining import Unexplained, differences_between, explain
from batches.model_check.items import Key
from batches.model_check.looking import Eye
from batches.model_check.performing import World, make_world, perform
from batches.model_check.plan import COMING_TO_REST, WALLETS, Group, Late, plan_of
from batches.model_check.rules import Books, Wallet
from batches.model_check.steps import Run
from batches.reconciliation import INVARIANTS
from ledger.reconciliation import discrepancies

# Of a trace that long only the end is told; the seed brings the rest back.
TOLD_STEPS = 30


@dataclass(frozen=True)
class Mismatch:
    """Where model and database went apart, in which step, and the last steps with what they answered."""

    step: int
    differences: Sequence[str]
    trace: Sequence[str]


@dataclass(frozen=True)
class Report:
    """What a run did. `mismatch` is None when the model explains all of it."""

    operations: int
    deaths: int
    batches: int
    entries: int
    mismatch: Mismatch | None


def check(*, seed: int, steps: int, connections: int, books: Books | None = None) -> Report:
    """Carry out the plan of a seed on this database, and compare it with the model after each group of operations.

    It ends by bringing everything to rest and reading all invariants. `books` is the model at the start. The database
    must be committed to: a test that calls this needs real transactions.
    """
    books = books or Books(dict.fromkeys(WALLETS, Wallet()))
    with _workers(connections) as workers:
        run = _Check(books, workers)
        mismatch = run.through((*plan_of(seed=seed, steps=steps, connections=connections), *COMING_TO_REST))
    return Report(
        operations=run.operations,
        deaths=run.deaths,
        batches=len(run.books.batches),
        entries=sum(run.eye.last_seq.values()),
        mismatch=mismatch,
    )


class _Check:
    """One run: the world, the model of it, and what happened so far."""

    def __init__(self, books: Books, workers: Sequence[ThreadPoolExecutor]) -> None:
        self.world: World = make_world()
        self.eye = Eye(self.world)
        self.books, self.workers = books, workers
        self.kept: list[Key] = []
        self.trace: list[str] = []
        self.operations = self.deaths = 0

    def through(self, groups: Sequence[Group]) -> Mismatch | None:
        """Go through all groups, and to the end of the books; return the first mismatch."""
        for number, group in enumerate(groups, 1):
            runs = [Run(self.operations + turn, planned) for turn, planned in enumerate(group, 1)]
            try:
                self._step(runs)
            except Unexplained as error:
                self._tell(number, runs)
                return Mismatch(number, error.differences, self.trace)
            self._tell(number, runs)
        differences = self._final_differences()
        return Mismatch(len(groups), differences, self.trace) if differences else None

    def _step(self, runs: Sequence[Run]) -> None:
        for run in runs:
            if isinstance(run.planned.operation, Late):
                count = run.planned.operation.count
                run.late, self.kept = self.kept[:count], self.kept[count:]
        self._perform(runs)
        self.operations += len(runs)
        self.deaths += sum(run.died for run in runs)
        self.books = explain(self.books, runs, self.eye.look())
        self._keep(runs)

    def _perform(self, runs: Sequence[Run]) -> None:
        """Carry out the operations at the same moment, each on a connection of its own."""
        start = Barrier(len(runs))

        def work(run: Run) -> None:
            connection.ensure_connection()
            start.wait()
            perform(self.world, run)

        done = [worker.submit(work, run) for worker, run in zip(self.workers, runs, strict=False)]
        for future in done:
            future.result()

    def _keep(self, runs: Sequence[Run]) -> None:
        """Let living workers keep what they have not reported on; what the dead held is nobody's."""
        for run in runs:
            self.kept += run.kept
        held = set(self.kept)
        self.world.held = {key: item for key, item in self.world.held.items() if key in held}
        self.books = replace(self.books, handles={k: v for k, v in self.books.handles.items() if k in held})

    def _tell(self, number: int, runs: Sequence[Run]) -> None:
        self.trace += [f"{number:>5}  {run}" for run in runs]
        self.trace = self.trace[-TOLD_STEPS:]

    def _final_differences(self) -> Sequence[str]:
        """Say what differs at the end, in all batches, and which promises are broken."""
        found = differences_between(self.books, self.eye.look(at_all=True), since=self.books)
        held = [f"wallet {name} still holds {w.reserved}" for name, w in self.books.wallets.items() if w.reserved]
        broken = [f"{d.promise} {d.subject}: {d.detail}" for d in discrepancies(INVARIANTS)]
        return [*found, *held, *broken]


@contextlib.contextmanager
def _workers(count: int) -> Iterator[Sequence[ThreadPoolExecutor]]:
    """Yield so many threads, each of which keeps its connection to the database until the end."""
    workers = [ThreadPoolExecutor(1) for _ in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.submit(connections.close_all).result()
            worker.shutdown()
