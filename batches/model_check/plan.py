"""What a run does, as plain data: the operations, and the plan that a seed makes of them.

The plan knows nothing of what the operations answer. So it is the same for the same seed whatever happens, and a plan
of more steps begins with those of a shorter one.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

WALLETS = ("A live", "A test", "B live", "B test")
PEOPLE = ("Ann", "Ben", "Eve", "Tom")
PRICES = (1, 7, 10, 30, 97)
# Names are used again soon after: doubles are what idempotency is for.
RECENT, RECENT_ORDERS = 4, 16
ITEMS_MAX = 4
# How often all connections do the same at once, and how often an operation is to die, around one of its first
# statements. (Few make more; those that make less survive.)
DOUBLED = 0.2
DEADLY = 0.3
DIES_WITHIN = 9


class Word(StrEnum):
    """What a worker has to report of an item, whatever it was claimed for."""

    GOOD = "good"  # taken, found, made, stored
    BAD = "bad"  # failed for good
    AGAIN = "again"  # failed, and may be submitted again
    UNCLEAR = "unclear"  # nobody knows yet

    def __repr__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Grant:
    """Bring credits in that need no second person: a pilot's into a live wallet, play money into a test wallet."""

    wallet: str
    reference: str
    amount: int


@dataclass(frozen=True)
class Ask:
    """Ask for a grant or an adjustment."""

    wallet: str
    kind: str
    reference: str
    amount: int
    person: str


@dataclass(frozen=True)
class Decide:
    """Approve or reject what was asked for last under this reference."""

    reference: str
    person: str
    approve: bool


@dataclass(frozen=True)
class Submit:
    """Submit a batch. The same order twice is a replay if the prices are the same, else a reused request id."""

    wallet: str
    order: str
    prices: tuple[int, ...]
    has_deadline: bool


@dataclass(frozen=True)
class Cancel:
    """Cancel a batch."""

    wallet: str
    order: str


@dataclass(frozen=True)
class Finalize:
    """Finalize a batch, ended or not, final or not."""

    wallet: str
    order: str


@dataclass(frozen=True)
class Turn:
    """A worker's turn: claim up to `count` items that are due for `stage`, and report on all but `keep` of them.

    `twice`: every report is sent again. `expired`: leases count as over, so the items of others are taken as well.
    """

    stage: str
    count: int
    words: tuple[Word, ...]
    keep: int = 0
    twice: bool = False
    expired: bool = False


@dataclass(frozen=True)
class Late:
    """Report, late, on up to `count` items that earlier turns kept; others may hold them by now, or they have ended."""

    count: int
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Sweep:
    """End what must not go on, and finalize what a dead worker left unfinalized."""

    past_deadlines: bool = False


@dataclass(frozen=True)
class Close:
    """Close the month that is due: all wallets are locked at once, and no credit moves."""


Operation = Grant | Ask | Decide | Submit | Cancel | Finalize | Turn | Late | Sweep | Close


@dataclass(frozen=True)
class Death:
    """A worker's connection is cut around its n-th statement, and the worker does nothing more.

    `after`: when the statement was answered, so before the COMMIT where that comes next. `hangs_up`: the socket is
    closed, as by a process that was killed; else the server ends the connection, as by an administrator.
    """

    statement: int
    after: bool
    hangs_up: bool


@dataclass(frozen=True)
class Planned:
    """An operation, and how it dies if it does."""

    operation: Operation
    death: Death | None = None


Group = tuple[Planned, ...]

# How often each operation comes, in parts of the whole.
WEIGHTS: Mapping[type, int] = {
    Grant: 8,
    Ask: 10,
    Decide: 14,
    Submit: 24,
    Turn: 36,
    Late: 7,
    Cancel: 4,
    Finalize: 8,
    Sweep: 2,
    Close: 3,
}
# Most videos are made.
WORDS = (*[Word.GOOD] * 6, Word.BAD, Word.AGAIN, Word.UNCLEAR)
# A stage that comes often enough brings items to their end.
STAGES = ("submit", "submit", "lookup", "poll", "poll", "collect", "collect")

# Something to spend; one wallet has to wait for what comes by chance.
BEGINNING: tuple[Group, ...] = tuple(
    (Planned(Grant(wallet, f"first credits of {wallet}", 500)),) for wallet in WALLETS[:-1]
)
# Whatever was left open comes to its end: afterwards no credit may be held.
COMING_TO_REST: tuple[Group, ...] = tuple(
    (Planned(operation),)
    for operation in (
        Sweep(),
        Turn("lookup", 1_000_000, (Word.GOOD,), expired=True),
        Turn("submit", 1_000_000, (Word.GOOD,)),
        Turn("poll", 1_000_000, (Word.GOOD,), expired=True),
        Turn("collect", 1_000_000, (Word.GOOD,), expired=True),
        Sweep(),
    )
)


def plan_of(*, seed: int, steps: int, connections: int) -> Iterator[Group]:
    """Yield the groups of operations of a run; those of one group run at once."""
    draw = _Drawing(Random(seed))  # noqa: S311 - to be repeated, not to be secret.
    yield from BEGINNING
    for _ in range(steps):
        yield draw.group(connections)


class _Drawing:
    """Draws operations, remembering the names it has used."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.wallets: tuple[str, ...] = WALLETS
        # Of grants, which may be doubled, and of all that somebody may decide on.
        self.grants, self.asked = deque(["grant 1"], RECENT), deque(["grant 1"], RECENT)
        self.orders = deque([Submit(WALLETS[0], "order 1", PRICES[:1], has_deadline=False)], RECENT_ORDERS)
        self.made = Counter(grant=1, order=1)

    def group(self, connections: int) -> Group:
        random = self.random
        # Mostly they meet on one wallet.
        self.wallets = WALLETS if random.random() < 0.3 else (random.choice(WALLETS),)
        operations = [self.operation() for _ in range(random.randint(1, connections))]
        # Two adjustments that are asked for are two, as they have no reference of their own.
        if random.random() < DOUBLED and getattr(operations[0], "kind", "grant") == "grant":
            operations = operations[:1] * len(operations)
        return tuple(Planned(operation, self.death(operation)) for operation in operations)

    def operation(self) -> Operation:
        (kind,) = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))
        operation: Operation = getattr(self, kind.__name__.lower())()
        return operation

    def death(self, operation: Operation) -> Death | None:
        random = self.random
        if random.random() > DEADLY:
            return None
        # Who collects has claimed, moved and recorded its items by then, and what comes next is the end of batches.
        soonest = 4 if isinstance(operation, Turn) and operation.stage == "collect" else 1
        statement = random.randint(soonest, DIES_WITHIN)
        return Death(statement, after=random.random() < 0.5, hangs_up=random.random() < 0.5)

    def grant(self) -> Grant:
        return Grant(self.random.choice(self.wallets), self.reference(), self.random.randint(1, 300))

    def ask(self) -> Ask:
        kind = self.random.choice(("grant", "adjustment_in", "adjustment_out", "adjustment_out"))
        self.asked.append(self.reference() if kind == "grant" else self.new("adjustment"))
        return Ask(
            self.random.choice(self.wallets),
            kind,
            self.asked[-1],
            self.random.randint(1, self.random.choice((100, 2000))),
            self.random.choice(PEOPLE),
        )

    def decide(self) -> Decide:
        approve = self.random.random() < 0.8
        return Decide(self.random.choice(self.asked), self.random.choice(PEOPLE), approve)

    def submit(self) -> Submit:
        if self.random.random() < 0.3:
            before = self.random.choice(self.orders)
            return before if self.random.random() < 0.7 else replace(before, prices=self.prices())
        has_deadline = self.random.random() < 0.3
        new = Submit(self.random.choice(self.wallets), self.new("order"), self.prices(), has_deadline)
        self.orders.append(new)
        return new

    def cancel(self) -> Cancel:
        order = self.random.choice(self.orders)
        return Cancel(order.wallet, order.order)

    def finalize(self) -> Finalize:
        order = self.random.choice(self.orders)
        return Finalize(order.wallet, order.order)

    def turn(self) -> Turn:
        random = self.random
        return Turn(
            stage=random.choice(STAGES),
            count=random.randint(1, 8),
            words=self.words(),
            keep=random.choice((0, 0, 0, 1, 2)),
            twice=random.random() < 0.2,
            expired=random.random() < 0.2,
        )

    def late(self) -> Late:
        return Late(self.random.randint(1, 3), self.words())

    def sweep(self) -> Sweep:
        return Sweep(past_deadlines=self.random.random() < 0.3)

    def close(self) -> Close:
        return Close()

    def words(self) -> tuple[Word, ...]:
        return tuple(self.random.choices(WORDS, k=ITEMS_MAX))

    def prices(self) -> tuple[int, ...]:
        return tuple(self.random.choices(PRICES, k=self.random.randint(1, ITEMS_MAX)))

    def reference(self) -> str:
        """A grant's reference, new or used before. (An adjustment's is its own id, and always new.)"""
        if self.random.random() < 0.5:
            return self.random.choice(self.grants)
        self.grants.append(self.new("grant"))
        return self.grants[-1]

    def new(self, what: str) -> str:
        self.made[what] += 1
        return f"{what} {self.made[what]}"
