"""What a batch costs by its size: submitting and finalizing, against the bare COPY of the same rows.

The baseline is one COPY of the same item rows into the same table, in one transaction, on the same connection and in
the same run. Each figure is the median of the turns; statements are counted by Django.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from benchmarks.database import own_database

T = TypeVar("T")

SIZES = (10, 1000, 10_000)
HEAD = (
    f"{'items':>7}{'COPY ms':>10}{'submit ms':>11}{'ratio':>7}{'stmts':>7}{'finalize ms':>13}{'ratio':>7}{'stmts':>7}"
)


@dataclass
class Timed:
    """Milliseconds of each turn, and the statements of the last one."""

    milliseconds: list[float] = field(default_factory=list)
    statements: int = 0

    @property
    def median(self) -> float:
        """Return the median of the turns."""
        return statistics.median(self.milliseconds)

    def run(self, work: Callable[[], T]) -> T:
        """Do the work once more."""
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as captured:
            started = time.perf_counter()
            result = work()
            self.milliseconds.append(1000 * (time.perf_counter() - started))
        self.statements = len(captured)
        return result


def measure(size: int, turns: int) -> str:
    """Return the line of one size."""
    from django.utils import timezone

    from batches import finalization
    from tests.batches.engine import customer_with, submit

    copied, submitted, finalized = Timed(), Timed(), Timed()
    prompts = [f"prompt {number}" for number in range(size)]
    for _ in range(turns):
        customer = customer_with(10 * size)
        batch = submitted.run(partial(submit, customer, prompts))
        copied.run(_bare_copy(batch.pk))
        _fail_all(batch.pk)
        finalized.run(partial(finalization.finalize_batch_credits, batch_id=batch.pk, now=timezone.now()))
    base = copied.median
    return (
        f"{size:>7}{base:>10.1f}{submitted.median:>11.1f}{submitted.median / base:>7.2f}{submitted.statements:>7}"
        f"{finalized.median:>13.1f}{finalized.median / base:>7.2f}{finalized.statements:>7}"
    )


def _bare_copy(batch_id: str) -> Callable[[], None]:
    """Return the COPY of a batch's rows once more, rolled back at its end."""
    from django.db import connection, transaction
    from psycopg.types.json import Jsonb

    from batches.models import Item
    from batches.services import COPY_ITEMS, ITEM_COLUMNS
    from sora2.ids import new_id

    rows = [
        {**row, "id": new_id("itm"), "index": row["index"] + 1_000_000, "metadata": Jsonb(row["metadata"])}
        for row in Item.objects.filter(batch_id=batch_id).values(*ITEM_COLUMNS)
    ]

    def copy_rows() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            with cursor.copy(COPY_ITEMS) as copy:
                for row in rows:
                    copy.write_row([row[name] for name in ITEM_COLUMNS])
            transaction.set_rollback(True)

    return copy_rows


def _fail_all(batch_id: str) -> None:
    from django.utils import timezone

    from batches.models import Item, Status

    rows = Item.objects.filter(batch_id=batch_id)
    rows.update(status=Status.RUNNING, attempts_made=1)
    rows.update(status=Status.FAILED, failure_type="timeout", stage=None, due_at=None, finished_at=timezone.now())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    with own_database():
        print(HEAD)
        for size in SIZES:
            print(measure(size, arguments.turns))
