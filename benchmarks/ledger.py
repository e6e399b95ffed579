"""What a movement of credits costs, beside the least that any ledger must do and beside django-hordak.

Everything runs on one durable embedded server (fsync on), in turns: each contender works for some seconds, then the
next, and again from the start. A figure is the median of the turns; a ratio is the median of the turns' own ratios to
the baseline that is named, so that what disturbs the machine for a while disturbs both.

From SQL the client is pgbench with prepared statements, from Python each connection is a process of its own. `(a)` is
UPDATE, INSERT, COMMIT on plain tables; `(b)` is one INSERT and COMMIT. A cycle is reserve, settle and refund, each
committed; with its batch it is as the system does it: batch and reserve, then settle, refund and the batch's end. All
but the latter run where the guard `batches_entry_has_batch` is dropped, which asks for a batch with each entry.
"""

import argparse
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.database import own_database
from benchmarks.posting import books
from benchmarks.posting.sql import Pgbench
from benchmarks.posting.worker import workers

CONNECTIONS = (1, 2, 4, 8)
OURS, HORDAK = "benchmarks.posting.ours", "benchmarks.posting.hordak_transfers"


class Client(Protocol):
    """Something that repeats a verb."""

    def rate(self, verb: str, *, connections: int, accounts: int, seconds: float, turn: int) -> float:
        """Return how often a second so many connections together did the verb."""


@dataclass(frozen=True)
class Contender:
    """A verb of a client, of so many movements, and the contenders of its group that it is measured against."""

    name: str
    client: Client
    verb: str
    baselines: Sequence[str] = ()
    movements: int = 1


@dataclass(frozen=True)
class Group:
    """Contenders that are compared, on so many accounts."""

    title: str
    accounts: int
    contenders: Sequence[Contender]

    def named(self, name: str) -> Contender:
        """Return one of them."""
        return next(contender for contender in self.contenders if contender.name == name)


# What each turn brought a second: by group, contender and number of connections.
Figures = dict[str, dict[str, dict[int, list[float]]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=2, help="of each contender in each turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--connections", type=int, nargs="+", default=CONNECTIONS, choices=CONNECTIONS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every turn's figures there")
    parser.add_argument("--without-hordak", action="store_true", help="it is installed from the network otherwise")
    options = parser.parse_args()
    machine = f"{os.cpu_count()} processors, with a load of {os.getloadavg()[0]:.1f} before the start"
    with own_database(), tempfile.TemporaryDirectory(prefix="sora2-bench-posting-") as folder:
        books.fill()
        alone = books.copy_without_batches()
        with _groups(Path(folder), alone, with_hordak=not options.without_hordak) as groups:
            figures = _measure(groups, options.connections, options.turns, options.seconds)
        for group in groups:
            _print(group, figures[group.title], options.connections)
        print(f"\n{machine}")
        if options.json:
            options.json.write_text(json.dumps(figures, indent=1))
        print(f"rows that break an invariant of the wallets: {books.faults(alone)}")


@contextlib.contextmanager
def _groups(folder: Path, alone: str, *, with_hordak: bool) -> Iterator[list[Group]]:
    """Start the workers, and yield who is measured."""
    from_sql, with_batches = Pgbench(alone, folder), Pgbench(books.address("sora2"), folder)
    least, transfer, guarded = "(a) UPDATE, INSERT", "hordak transfer", "hordak transfer, guarded"
    with contextlib.ExitStack() as stack:
        python = stack.enter_context(workers(sys.executable, OURS, alone, max(CONNECTIONS)))
        from_python = [Contender(least, python, "least")]
        if with_hordak:
            interpreter = _hordak_environment(folder)
            database = books.create_for_hordak(interpreter)
            hordak = stack.enter_context(workers(interpreter, HORDAK, database, max(CONNECTIONS)))
            from_python += [Contender(transfer, hordak, "transfer"), Contender(guarded, hordak, "guarded")]
        others = [contender.name for contender in from_python]
        from_python += [
            Contender("reserve", python, "reserve", others),
            Contender("cycle", python, "cycle", others, movements=3),
        ]
        yield [
            Group(
                f"from SQL, {books.WALLETS} wallets",
                books.WALLETS,
                [
                    Contender("(b) INSERT", from_sql, "bare"),
                    Contender(least, from_sql, "least"),
                    Contender("reserve", from_sql, "reserve", [least, "(b) INSERT"]),
                    Contender("cycle", from_sql, "cycle", [least], movements=3),
                    Contender("(a) with its batch", with_batches, "least batch", movements=3),
                    Contender("cycle with its batch", with_batches, "batch", ["(a) with its batch"], movements=3),
                ],
            ),
            Group(
                "from SQL, one hot wallet",
                1,
                [
                    Contender("UPDATE", from_sql, "update"),
                    Contender(least, from_sql, "least"),
                    Contender("reserve", from_sql, "reserve", ["UPDATE", least]),
                    Contender("cycle", from_sql, "cycle", ["UPDATE", least], movements=3),
                ],
            ),
            Group(f"from Python, {books.WALLETS} wallets", books.WALLETS, from_python),
            Group("from Python, one hot wallet", 1, from_python),
        ]


def _hordak_environment(folder: Path) -> str:
    """Install django-hordak into an environment of its own, and return its interpreter."""
    environment = folder / "hordak"
    python = str(environment / "bin" / "python")
    lock = Path(__file__).with_name("requirements.txt")
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
    subprocess.run([*uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, str(lock)], check=True)
    return python


def _measure(groups: Sequence[Group], connections: Sequence[int], turns: int, seconds: int) -> Figures:
    figures: Figures = {
        group.title: {contender.name: {number: [] for number in connections} for contender in group.contenders}
        for group in groups
    }
    numbers = itertools.count()
    for turn, number, group in itertools.product(range(turns), connections, groups):
        # Back and forth, so that nobody always comes after the same one.
        for contender in group.contenders[:: -1 if turn % 2 else 1]:
            rate = contender.client.rate(
                contender.verb, connections=number, accounts=group.accounts, seconds=seconds, turn=next(numbers)
            )
            figures[group.title][contender.name][number].append(rate)
    return figures


def _print(group: Group, figures: dict[str, dict[int, list[float]]], connections: Sequence[int]) -> None:
    """Print a group: a line of medians for each contender, and one of ratios for each of its baselines."""
    print(f"\n{group.title + ', a second on connections:':<46}" + "".join(f"{number:>9}" for number in connections))
    for contender in group.contenders:
        mine = figures[contender.name]
        print(f"{contender.name:<46}" + "".join(f"{statistics.median(mine[number]):>9.0f}" for number in connections))
        for name in contender.baselines:
            weight = contender.movements / group.named(name).movements
            ratios = (_ratio(mine[number], figures[name][number]) * weight for number in connections)
            print(f"{'    by movement, × ' + name:<46}" + "".join(f"{ratio:>9.2f}" for ratio in ratios))


def _ratio(mine: Sequence[float], others: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(mine, others, strict=True))


if __name__ == "__main__":
    main()
