"""What a check over everything costs, and how that grows: at a tenth, at a third, and at all of the batches.

`s` is the median of the turns, each a whole check as it is scheduled (all views in one transaction, the counts, the
stored run). `growth` is the time over the time at the smallest size, divided by the same of the batches: 1.0 is linear,
less is better. Below, the same by view. Everything happens in one run, on a database of its own that was vacuumed and
analyzed after each load, as autovacuum does.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.database import own_database
from benchmarks.finished_batches import add_finished_batches

BATCHES_PER_WALLET = 100
SHARES = (0.1, 1 / 3, 1.0)


@dataclass(frozen=True)
class Measured:
    """The seconds of a check at one size, as a whole and by view."""

    batches: int
    items: int
    entries: int
    seconds: float
    by_view: dict[str, float]


def measure(turns: int) -> Measured:
    """Check everything so many times. Raises AssertionError if the books are not sound."""
    from django.utils import timezone

    from batches.reconciliation import INVARIANTS, reconcile
    from ledger.reconciliation import check

    whole: list[float] = []
    by_view: dict[str, float] = {}
    for _ in range(turns):
        started = time.perf_counter()
        run = reconcile(now=timezone.now())
        whole.append(time.perf_counter() - started)
        assert run.explained, run.discrepancies
    for invariant in INVARIANTS:
        seconds = [_seconds_of(partial(check, [invariant])) for _ in range(turns)]
        by_view[invariant.view] = statistics.median(seconds)
    return Measured(run.batches, run.items, run.entries, statistics.median(whole), by_view)


def load_up_to(wallets: int, *, present: int, items_per_batch: int) -> float:
    """Add what is missing to so many wallets; return the seconds."""
    from django.db import connection

    started = time.perf_counter()
    add_finished_batches(
        first_wallet=present + 1,
        wallets=wallets - present,
        batches_per_wallet=BATCHES_PER_WALLET,
        items_per_batch=items_per_batch,
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
    return time.perf_counter() - started


def report(found: list[Measured]) -> None:
    """Print the checks by size, and each view's time at the largest with its growth."""
    least, most = found[0], found[-1]
    print(f"{'batches':>9}{'items':>11}{'entries':>9}{'s':>8}{'growth':>8}{'items/s':>10}")
    for one in found:
        growth = one.seconds / least.seconds / (one.batches / least.batches)
        rate = one.items / one.seconds
        print(f"{one.batches:>9,}{one.items:>11,}{one.entries:>9,}{one.seconds:>8.2f}{growth:>8.2f}{rate:>10,.0f}")
    print(f"\n{'view':<40}{'s':>8}{'share':>7}{'growth':>8}")
    total = sum(most.by_view.values())
    for view, seconds in sorted(most.by_view.items(), key=lambda pair: -pair[1]):
        growth = seconds / least.by_view[view] / (most.batches / least.batches)
        print(f"{view:<40}{seconds:>8.3f}{seconds / total:>7.0%}{growth:>8.2f}")


def _seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=100_000, help=f"a multiple of {10 * BATCHES_PER_WALLET}")
    parser.add_argument("--items-per-batch", type=int, default=10, help="at least 2")
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    sizes = [round(arguments.batches * share / BATCHES_PER_WALLET) for share in SHARES]
    if not 0 < sizes[0] < sizes[1] < sizes[2] or arguments.items_per_batch < 2:
        parser.error("too few batches or items")
    with own_database():
        measured: list[Measured] = []
        present = 0
        for wallets in sizes:
            loaded = load_up_to(wallets, present=present, items_per_batch=arguments.items_per_batch)
            present = wallets
            print(
                f"{wallets} wallets loaded in {loaded:.0f} s; load of the machine {os.getloadavg()[0]:.1f}", flush=True
            )
            measured.append(measure(arguments.turns))
        print()
        report(measured)
