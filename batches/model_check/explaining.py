"""Find an order of concurrent operations that explains what they answered and what they left behind, or say how far
the nearest one is off.

It is the search by which histories are shown to be linearizable: take any operation's next step, let the model do it,
and go on as long as the model allows the answers and posts the very entries that the wallets show, in their order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from batches.model_check.items import Known
from batches.model_check.rules import Books, Posted, Request, Wallet
from batches.model_check.steps import Act, Run, Step, steps_of

# A search that has looked at so many states gives up; four operations at once rarely need a hundred.
STATES_MAX = 200_000
REFUSALS_TOLD = 10


@dataclass(frozen=True)
class SeenItem:
    """An item as it is to be seen; `lease` is the number of the operation that claimed it, and holds it still."""

    price: int
    status: str
    stage: str | None
    attempts: int
    lease: int | None
    known: Known
    has_output: bool


@dataclass(frozen=True)
class SeenBatch:
    """A batch as anybody can see it."""

    state: str
    is_canceled: bool
    settled: int
    refunded: int
    items: tuple[SeenItem, ...]


@dataclass(frozen=True)
class Seen:
    """The books as they are found: wallets, entries since the last look, requests, and batches that may have changed.

    `ranks` says which batch is older.
    """

    wallets: Mapping[str, Wallet]
    posted: Mapping[str, tuple[Posted, ...]]
    requests: Mapping[str, Request]
    batches: Mapping[str, SeenBatch]
    closed: int
    ranks: Mapping[str, int] = field(compare=False)


class Unexplained(Exception):
    """No order of the operations explains what is seen. `differences` are those of the nearest order."""

    def __init__(self, differences: Sequence[str]) -> None:
        super().__init__("; ".join(differences))
        self.differences = differences


def explain(books: Books, runs: Sequence[Run], seen: Seen) -> Books:
    """Return the books after an order of `runs` that explains `seen`. Raises Unexplained when there is none."""
    search = _Search(books, runs, seen)
    for after in search.ends():
        differences = differences_between(after, seen, since=books)
        if not differences:
            return replace(after, posted={})
        search.note(differences)
    raise Unexplained(search.nearest)


def differences_between(books: Books, seen: Seen, *, since: Books) -> list[str]:
    """Say what is otherwise in the database than in the model, a sentence for each.

    Batches that were final in the model at `since` need not be among those seen.
    """
    found = [
        *_differing("wallet", books.wallets, seen.wallets),
        *_differing("new entries of", books.posted, {name: rows for name, rows in seen.posted.items() if rows}),
        *_differing("request", books.requests, seen.requests),
        *_differing("closed", {"months": books.closed}, {"months": seen.closed}),
    ]
    looked_at = {name for name in books.batches if name not in since.batches or not since.batches[name].is_final}
    expected = {name: seen_as(books, name) for name in looked_at | (books.batches.keys() & seen.batches.keys())}
    return [*found, *_differing("batch", expected, seen.batches)]


def seen_as(books: Books, name: str) -> SeenBatch:
    """Return how the model's batch is to be seen from outside."""
    batch = books.batches[name]
    return SeenBatch(
        state=batch.state,
        is_canceled=batch.canceled,
        settled=batch.credits("succeeded") if batch.is_final else 0,
        refunded=batch.credits("refunded"),
        items=tuple(
            SeenItem(i.price, i.status, i.stage, i.attempts, i.lease, i.known, i.status == "succeeded")
            for i in batch.items
        ),
    )


def _differing(what: str, expected: Mapping[str, object], found: Mapping[str, object]) -> Iterator[str]:
    for name in sorted(expected.keys() | found.keys()):
        yield from _differing_values(f"{what} {name}", expected.get(name), found.get(name))


def _differing_values(at: str, expected: object, found: object) -> Iterator[str]:
    """Say where two values differ, going into those of the same shape."""
    if expected == found:
        return
    if isinstance(expected, SeenBatch | SeenItem | Known | Wallet | Request) and type(expected) is type(found):
        for field_ in fields(expected):
            name = field_.name
            yield from _differing_values(f"{at}, {name}", getattr(expected, name), getattr(found, name))
    elif isinstance(expected, tuple) and isinstance(found, tuple) and len(expected) == len(found):
        for index, pair in enumerate(zip(expected, found, strict=True)):
            yield from _differing_values(f"{at} {index}", *pair)
    else:
        yield f"{at}: the model has {expected}, the database {found}"


class _Search:
    """All orders of the runs' steps that the model allows, states that were met before left out."""

    def __init__(self, books: Books, runs: Sequence[Run], seen: Seen) -> None:
        self.start, self.runs, self.seen = books, runs, seen
        self.met: set[object] = set()
        self.refusals: dict[str, None] = {}
        self.least: Sequence[str] | None = None

    @property
    def nearest(self) -> Sequence[str]:
        """What differs at the nearest end; where there is none, what the model did not allow on the way."""
        return self.least or ["no order of the operations allows what they answered and posted", *self.refusals]

    def note(self, differences: Sequence[str]) -> None:
        """Remember the end that differs least."""
        if self.least is None or len(differences) < len(self.least):
            self.least = differences

    def ends(self) -> Iterator[Books]:
        """Yield the books after each complete order; what died may stop anywhere."""
        is_alone = len(self.runs) == 1
        left = tuple(steps_of(run, rank=self.seen.ranks, is_alone=is_alone) for run in self.runs)
        waiting: list[tuple[Books, tuple[tuple[Step, ...], ...]]] = [(self.start, left)]
        while waiting and len(self.met) < STATES_MAX:
            books, left = waiting.pop()
            if all(run.died or not steps for run, steps in zip(self.runs, left, strict=True)):
                yield books
            reached = (self._after(books, left, turn) for turn in reversed(range(len(left))) if left[turn])
            waiting += [state for state in reached if state is not None and self._is_new(*state)]
        if waiting:
            self.note([f"gave up after {STATES_MAX} states"])

    def _after(
        self, books: Books, left: tuple[tuple[Step, ...], ...], turn: int
    ) -> tuple[Books, tuple[tuple[Step, ...], ...]] | None:
        step, *rest = left[turn]
        reached = step(books)
        if reached is None:
            self._note(f"not allowed: {self.runs[turn]}{_allowed(step, books)}")
            return None
        if unseen := self._posts_unseen(reached[0]):
            self._note(f"not posted: {unseen} by {self.runs[turn]}")
            return None
        after, then = reached
        return after, (*left[:turn], (*then, *rest), *left[turn + 1 :])

    def _note(self, refusal: str) -> None:
        if len(self.refusals) < REFUSALS_TOLD:
            self.refusals[refusal] = None

    def _posts_unseen(self, books: Books) -> Posted | None:
        """Return the entry that the model has posted last where the database has another or none."""
        for wallet, rows in books.posted.items():
            if self.seen.posted.get(wallet, ())[: len(rows)] != rows:
                return rows[-1]
        return None

    def _is_new(self, books: Books, left: tuple[tuple[Step, ...], ...]) -> bool:
        """Say whether the search comes to this state for the first time, and remember it."""
        start = self.start
        state = (
            left,
            books.closed,
            frozenset(books.wallets.items()),
            frozenset(pair for pair in books.batches.items() if start.batches.get(pair[0]) is not pair[1]),
            frozenset(pair for pair in books.requests.items() if start.requests.get(pair[0]) is not pair[1]),
            frozenset(pair for pair in books.handles.items() if pair[0] not in start.handles),
        )
        if state in self.met:
            return False
        self.met.add(state)
        return True


def _allowed(step: Step, books: Books) -> str:
    return f", the model answers {' or '.join(step.allowed(books))}" if isinstance(step, Act) else ""
