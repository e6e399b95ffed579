"""From what an operation was, and what it answered, to the steps that the model must find in some order.

A step is what happens at one instant: a transaction, or a statement outside of one. Between the steps of one operation
those of others may come. Where an operation died, any number of its last steps are missing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from batches.model_check.items import Key, Known
from batches.model_check.plan import (
    Ask,
    Cancel,
    Close,
    Decide,
    Finalize,
    Grant,
    Late,
    Planned,
    Submit,
    Sweep,
    Turn,
    Word,
)
from batches.model_check.rules import Answer, Books, batch_name

ItemName = tuple[str, int]
STAGES = ("submit", "lookup", "poll", "collect")
T = TypeVar("T")


@dataclass
class Run:
    """One operation as it was carried out. `number` is its lease; `said` None: it died.

    `claimed` are the items that a turn got, with what it was told of them; `late` those that it was given to report on.
    """

    number: int
    planned: Planned
    said: str | None = None
    claimed: Mapping[ItemName, Known] = field(default_factory=dict)
    late: Sequence[Key] = ()

    def __str__(self) -> str:
        got = f" of {len(self.claimed)} items" if self.claimed else ""
        return f"{self.planned.operation}{got} -> {self.said or f'died: {self.planned.death}'}"

    @property
    def died(self) -> bool:
        return self.said is None

    @property
    def kept(self) -> Sequence[Key]:
        """The items that a worker holds on to after its turn, if it lives."""
        turn = self.planned.operation
        if self.died or not isinstance(turn, Turn):
            return ()
        return self.keys[len(told_now(turn, self.keys)) :]

    @property
    def keys(self) -> Sequence[Key]:
        """The items that a turn got, as keys of `Books.handles`, in an order that does not depend on chance."""
        turn = self.planned.operation
        if not isinstance(turn, Turn):
            return ()
        return [(self.number, turn.stage, name, index) for name, index in sorted(self.claimed)]


@dataclass(frozen=True)
class Act:
    """Something with an answer: it must be one that the model allows. `then` are the steps that follow."""

    rule: Callable[[Books], Answer] = field(compare=False)
    said: str | None
    then: tuple["Step", ...] = ()

    def allowed(self, books: Books) -> tuple[str, ...]:
        """Return what the model would have answered."""
        return self.rule(books)[1]

    def __call__(self, books: Books) -> "Next | None":
        after, allowed = self.rule(books)
        if self.said is not None and self.said not in allowed:
            return None
        return after, (self.then if after is not books else ())


@dataclass(frozen=True)
class Claim:
    """Items are claimed: due ones only, as they were, and as many as were asked for if nobody else was at it."""

    turn: Turn
    keys: tuple[Key, ...]
    known: tuple[Known, ...]
    lease: int
    is_alone: bool

    def __call__(self, books: Books) -> "Next | None":
        due = books.due(self.turn.stage, expired=self.turn.expired)
        items = [(name, index) for _, _, name, index in self.keys]
        wanted = min(self.turn.count, len(due))
        if not due.issuperset(items) or len(items) > wanted or (self.is_alone and len(items) < wanted):
            return None
        after = books.claim(items, stage=self.turn.stage, lease=self.lease)
        told = tuple(after.handles[key].item.known for key in self.keys)
        return (after, ()) if told == self.known else None


@dataclass(frozen=True)
class Start:
    """The batches of what was submitted are under way."""

    names: frozenset[str]

    def __call__(self, books: Books) -> "Next":
        return books.start(self.names), ()


@dataclass(frozen=True)
class Report:
    """What became of items is recorded; then the batches of those that ended are finalized if nothing else is open."""

    keys: tuple[Key, ...]
    words: tuple[Word, ...]
    starts: bool
    rank: Mapping[str, int] = field(compare=False)

    def __call__(self, books: Books) -> "Next":
        after, ended = books.report([books.handles[key] for key in self.keys], self.words)
        start = (Start(frozenset(name for _, _, name, _ in self.keys)),) if self.starts else ()
        return after, (*start, *finalizing(ended, self.rank))


@dataclass(frozen=True)
class Pick:
    """A sweep looks for batches; what it does to them comes later, when they may have changed."""

    choose: Callable[[Books], frozenset[str]]
    fails_waiting: bool
    rank: Mapping[str, int] = field(compare=False)

    def __call__(self, books: Books) -> "Next":
        chosen = self.choose(books)
        if not self.fails_waiting:
            return books, finalizing(chosen, self.rank)
        return books, ((FailWaiting(chosen, self.rank),) if chosen else ())


@dataclass(frozen=True)
class FailWaiting:
    """What waits in these batches fails; if anything did, they are finalized where nothing else is open."""

    names: frozenset[str]
    rank: Mapping[str, int] = field(compare=False)

    def __call__(self, books: Books) -> "Next":
        after = books.fail_waiting(self.names)
        any_failed = any(after.batches[name] != books.batches[name] for name in self.names)
        return after, (finalizing(self.names, self.rank) if any_failed else ())


@dataclass(frozen=True)
class FinalizeOne:
    """A batch is finalized if its items have ended."""

    name: str

    def __call__(self, books: Books) -> "Next":
        return books.finalize(self.name)[0], ()


@dataclass(frozen=True)
class CloseMonth:
    """A month is closed, unless somebody else was closing the same one."""

    said: str | None
    is_alone: bool

    def __call__(self, books: Books) -> "Next | None":
        if self.said == "AlreadyClosed" and not self.is_alone:
            return books, ()
        return (books.close(), ()) if self.said in (None, "closed") else None


@dataclass(frozen=True)
class Unexplained:
    """An answer that no operation may give, such as an error that nobody expects."""

    def __call__(self, _: Books) -> None:
        return None


Step = Act | Claim | Start | Report | Pick | FailWaiting | FinalizeOne | CloseMonth | Unexplained
Next = tuple[Books, tuple[Step, ...]]


def finalizing(names: Iterable[str], rank: Mapping[str, int]) -> tuple[Step, ...]:
    """Return the steps that finalize batches one after the other, the oldest first."""
    return tuple(FinalizeOne(name) for name in sorted(names, key=rank.__getitem__))


def steps_of(run: Run, *, rank: Mapping[str, int], is_alone: bool) -> tuple[Step, ...]:
    """Return the steps of an operation as it was carried out; `rank` says which batch is older."""
    match run.planned.operation:
        case Turn() as turn:
            return _steps_of_turn(run, turn, rank, is_alone) if run.said in (None, "done") else (Unexplained(),)
        case Late(words=words):
            return _reports(run.late, words, rank) if run.said in (None, "done") else (Unexplained(),)
        case Sweep(past_deadlines=past_deadlines):
            late = (Pick(Books.overdue, fails_waiting=True, rank=rank),) if past_deadlines else ()
            picks = (
                Pick(Books.to_cancel, fails_waiting=True, rank=rank),
                *late,
                Pick(Books.to_finalize, fails_waiting=False, rank=rank),
            )
            return picks if run.said in (None, "done") else (Unexplained(),)
        case Close():
            return (CloseMonth(run.said, is_alone),)
        case act:
            return (_act(act, run.said),)


def _act(operation: Grant | Ask | Decide | Submit | Cancel | Finalize, said: str | None) -> Step:
    match operation:
        case Grant():
            return Act(lambda books: books.grant(operation), said)
        case Ask():
            return Act(lambda books: books.ask(operation), said)
        case Decide():
            return Act(lambda books: books.decide(operation), said)
        case Submit():
            return Act(lambda books: books.submit(operation), said)
        case Cancel(wallet=wallet, order=order):
            name = batch_name(wallet, order)
            return Act(lambda books: books.cancel(name), said, then=(FinalizeOne(name),))
        case Finalize(wallet=wallet, order=order):
            name = batch_name(wallet, order)
            return Act(lambda books: books.finalize(name), said)


def _steps_of_turn(run: Run, turn: Turn, rank: Mapping[str, int], is_alone: bool) -> tuple[Step, ...]:
    if run.died and not run.claimed:
        return ()
    known = tuple(run.claimed[name, index] for _, _, name, index in run.keys)
    claim = Claim(turn, tuple(run.keys), known, run.number, is_alone)
    start = (Start(frozenset(name for name, _ in run.claimed)),) if turn.stage == "submit" else ()
    return (claim, *start, *_reports(told_now(turn, run.keys), turn.words, rank) * (1 + turn.twice))


def _reports(keys: Sequence[Key], words: tuple[Word, ...], rank: Mapping[str, int]) -> tuple[Step, ...]:
    """Return one report for each stage, in the order of the stages."""
    by_stage = {stage: tuple(key for key in keys if key[1] == stage) for stage in STAGES}
    return tuple(Report(held, words, starts=stage == "lookup", rank=rank) for stage, held in by_stage.items() if held)


def told_now(turn: Turn, claimed: Sequence[T]) -> Sequence[T]:
    """Return what a turn reports on at once of what it has claimed; the rest is kept for later."""
    return claimed[: max(0, len(claimed) - turn.keep)]
