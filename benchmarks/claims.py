"""What a look at the queue costs: by open batches, and by finished items, which must cost nothing.

`claim` is one claim of 32 items to submit, `due` one of items to poll where a thousand are in flight, `sweep` what beat
asks for each second. Milliseconds are medians of the turns, each rolled back. `ratio` is over the first line, which has
the fewest open batches and not one finished item. Everything happens in one run, on a database of its own that was
vacuumed and analyzed after each load, as autovacuum does.
"""

import argparse
import contextlib
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

from benchmarks.database import own_database
from benchmarks.finished_batches import add_finished_batches, unguarded

ITEMS_PER_OPEN_BATCH = 5
BATCHES_PER_ORGANIZATION = 50
IN_FLIGHT = 1000

# Open batches of several customers, each with items that wait, and a thousand items in flight over all of them.
OPEN_BATCHES = """
    INSERT INTO batches_batch
        (id, organization_id, mode, wallet_id, request_id, body_sha256, state, total, credits, webhook_url, metadata,
         price_version, created_via, created_by, created_at, settled, refunded)
    SELECT 'bat_open' || lpad(n::text, 22, '0'), 'org_' || lpad((n / %(each)s + 1)::text, 26, '0'), 'live',
           'wal_' || lpad((n / %(each)s + 1)::text, 26, '0'), 'open-' || n, '', 'processing', %(items)s, 10 * %(items)s,
           '', '{}', 'x', 'api', 'system', now(), 0, 0
    FROM generate_series(%(first)s, %(last)s) n;

    INSERT INTO batches_item
        (id, batch_id, index, custom_id, prompt, model, seconds, size, metadata, credits, route, status, stage, due_at,
         attempts_made, failure_type, created_at)
    SELECT 'itm_open' || lpad((n * 100 + i)::text, 22, '0'), 'bat_open' || lpad(n::text, 22, '0'), i, '', 'A scene',
           'sora-2', 4, '1280x720', '{}', 10, 'simulator', 'pending', 'submit', now(), 0, '', now()
    FROM generate_series(%(first)s, %(last)s) n CROSS JOIN generate_series(0, %(items)s - 1) i;
"""
IN_THE_AIR = """
    WITH flying AS (
        UPDATE batches_item SET status = 'running', stage = 'poll', attempts_made = 1,
               deadline_at = now() + interval '1 h'
        WHERE id IN (SELECT id FROM batches_item WHERE stage = 'submit' ORDER BY index, id LIMIT %(count)s)
        RETURNING id
    )
    INSERT INTO batches_attempt (id, item_id, number, route, state, submitted_at, provider_job_id, failure_type, detail)
    SELECT 'att_' || substr(id, 5), id, 1, 'simulator', 'accepted', now(), 'job ' || id, '', '' FROM flying;
"""


def measure(turns: int) -> dict[str, float]:
    """Return the median milliseconds of each look at the queue."""
    from django.utils import timezone

    from batches import stopping
    from batches.catalogue import routes, terms
    from batches.execution.queue import claim_due, claim_submits
    from batches.finalization import finalize_ended
    from batches.models import Stage

    route = replace(routes()[-1], max_in_flight=10 * IN_FLIGHT)
    of_models = terms(route)

    def claim() -> None:
        claimed = claim_submits(route=route, terms=of_models, retired=[], count=32, now=timezone.now())
        assert len(claimed) == 32

    def due() -> None:
        now = timezone.now()
        assert claim_due(route=route.name, stage=Stage.POLL, count=500, lease_seconds=90, now=now)

    def sweep() -> None:
        now = timezone.now()
        stopping.fail_what_must_not_be_submitted(now=now)
        assert finalize_ended(now=now) == 0

    looks: dict[str, Callable[[], None]] = {"claim": claim, "due": due, "sweep": sweep}
    return {name: statistics.median(_ms(look) for _ in range(turns)) for name, look in looks.items()}


def _ms(look: Callable[[], None]) -> float:
    from django.db import transaction

    with contextlib.suppress(_Undo), transaction.atomic():
        started = time.perf_counter()
        look()
        spent = time.perf_counter() - started
        raise _Undo
    return spent * 1000


class _Undo(Exception):
    """Rolls a turn back."""


def load(first: int, last: int) -> None:
    """Add open batches from number `first` to `last`."""
    from django.db import connection, transaction

    values = {"first": first, "last": last, "items": ITEMS_PER_OPEN_BATCH, "each": BATCHES_PER_ORGANIZATION}
    with transaction.atomic(), unguarded(), connection.cursor() as cursor:
        cursor.execute(OPEN_BATCHES, values)
    _vacuum()


def fly() -> None:
    """Put some items in flight, of as many batches as there are."""
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(IN_THE_AIR, {"count": IN_FLIGHT})
    _vacuum()


def _vacuum() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--open", type=int, default=[500, 2_000, 10_000], nargs="+", help="open batches, growing")
    parser.add_argument("--finished", type=int, default=1_000_000, help="finished items, added at last")
    parser.add_argument("--turns", type=int, default=15)
    arguments = parser.parse_args()
    with own_database():
        organizations = max(arguments.open) // BATCHES_PER_ORGANIZATION + 1
        add_finished_batches(first_wallet=1, wallets=organizations, batches_per_wallet=1, items_per_batch=2)
        print(f"{'open batches':>13}{'finished items':>16}{'claim ms':>10}{'ratio':>7}{'due ms':>9}{'ratio':>7}"
              f"{'sweep ms':>10}{'ratio':>7}   load")  # fmt: skip
        base: dict[str, float] = {}
        present = 0

        def say(finished: int) -> None:
            found = measure(arguments.turns)
            base.update(found if not base else {})
            cells = "".join(
                f"{found[name]:>{width}.1f}{found[name] / base[name]:>7.2f}"
                for name, width in (("claim", 10), ("due", 9), ("sweep", 10))
            )
            print(f"{present:>13,}{finished:>16,}{cells}{os.getloadavg()[0]:>7.1f}", flush=True)

        for count in sorted(arguments.open):
            load(present, count - 1)
            if not present:
                fly()
            present = count
            say(2 * organizations)
        wallets = arguments.finished // (100 * 50)
        add_finished_batches(
            first_wallet=organizations + 1, wallets=wallets, batches_per_wallet=100, items_per_batch=50
        )
        _vacuum()
        say(wallets * 5_000)
