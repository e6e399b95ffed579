"""What lots cost, and how that grows: with the entries of each customer, and with the customers.

Three groups of customers stand in one database, vacuumed and analyzed: some with few batches each, as many with many
times as many batches, and many times as many with few. `s` is the median of the turns of attributing a month's use to
the lots of a group; the ratio is over the first group. It should follow the customers, and not their entries. The last
line is the whole report of the month over all of them: lots, rolls, invoices, journal, compared with the ledger.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

from benchmarks.database import own_database
from benchmarks.finished_batches import add_finished_batches

ITEMS_PER_BATCH, CREDITS_PER_ITEM = 2, 10


def load(groups: list[tuple[int, int]]) -> None:
    """Add the groups, each so many customers with so many batches each."""
    from django.db import connection

    first = 1
    for customers, batches in groups:
        add_finished_batches(
            first_wallet=first,
            wallets=customers,
            batches_per_wallet=batches,
            items_per_batch=ITEMS_PER_BATCH,
            chained=False,
        )
        first += customers
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")


def report(groups: list[tuple[int, int]], turns: int) -> None:
    """Print what each group's lots cost, and the whole report."""
    from ledger.intervals import month_at, month_before
    from ledger.models import Entry, Wallet
    from ledger.revenue.months import revenue_of
    from ledger.revenue.wallet_lots import lots_of

    # The batches lie before the end of the month before last.
    month = month_before(month_at(datetime.now(UTC)))
    assert month is not None
    wallets, base = list(Wallet.objects.filter(mode="live", last_seq__gt=0).order_by("pk")), 0.0
    print(f"{'customers':>10}{'entries':>10}{'s':>8}{'ratio':>7}")
    for customers, batches in groups:
        group, wallets = wallets[:customers], wallets[customers:]
        used = sum(found.marks[-1].settled for found in lots_of(months=[month], wallets=group))
        assert used == customers * batches * CREDITS_PER_ITEM, used
        seconds = _median(lambda group=group: lots_of(months=[month], wallets=group), turns)  # type: ignore[misc]
        base = base or seconds
        entries = Entry.objects.filter(wallet__in=group).count()
        print(f"{customers:>10,}{entries:>10,}{seconds:>8.3f}{seconds / base:>7.2f}")
    whole = _median(lambda: revenue_of([month]), turns)
    print(
        f"{sum(customers for customers, _ in groups):>10,}{Entry.objects.count():>10,}{whole:>8.3f}  the whole report"
    )


def _median(work: Callable[[], object], turns: int) -> float:
    seconds = []
    for _ in range(turns):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=200)
    parser.add_argument("--batches", type=int, default=10, help="of each customer")
    parser.add_argument("--times", type=int, default=20, help="how many times as much the larger groups have")
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    few, many = given.customers, given.customers * given.times
    sizes = [(few, given.batches), (few, given.batches * given.times), (many, given.batches)]
    with own_database():
        load(sizes)
        print(f"load of the machine {os.getloadavg()[0]:.1f}")
        report(sizes, given.turns)
