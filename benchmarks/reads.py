"""What reading costs when there is a thousand times as much: each GET, and its filters, in a small and a large system.

The small system holds a hundred finished batches of ten items, the large one a hundred thousand. In each, one customer
owns nine batches of ten, and others have ten each; `much` is what the first one asks, `few` what one of the others
asks. Both systems are databases of one server, analyzed after loading, each behind a gunicorn of one worker process
without DEBUG. Requests go to one after the other, a round of all for each system in turn. A time is from the first byte
sent to the last one read; the ratio is large ÷ small, of the medians and of the times within which 95 of 100 were done.
"""

import argparse
import base64
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.database import copied, own_database
from benchmarks.finished_batches import add_finished_batches
from benchmarks.web import Web, web

AIM = 1.5
SMALL = 100
ITEMS_PER_BATCH = 10
FEW = 10
WARM_UP = 10
# What lies this many rows before the oldest.
DEPTH = 25

SMALL_DATABASE = "small"


@dataclass(frozen=True)
class Asked:
    """A customer's key, and what to ask with it, by name."""

    secret: str
    paths: Mapping[str, str]


def main() -> None:
    options = _options()
    machine = f"{os.cpu_count()} processors, with a load of {os.getloadavg()[0]:.1f} before the start"
    with own_database(), tempfile.TemporaryDirectory(prefix="sora2-bench-web-") as folder, ExitStack() as held:
        asked_small = load(SMALL, first_wallet=1)
        url = copied(SMALL_DATABASE)
        asked_large = load(options.batches, first_wallet=10)
        print(f"loaded {options.batches} batches", flush=True)
        small = held.enter_context(web(Path(folder, "small.log"), DATABASE_URL=url))
        large = held.enter_context(web(Path(folder, "large")))
        figures = {
            who: measure(small, asked_small[who], large, asked_large[who], options.requests) for who in asked_small
        }
    for who, found in figures.items():
        report(who, found)
    print(f"\n{machine}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def load(batches: int, *, first_wallet: int) -> dict[str, Asked]:
    """Add so many batches, nine of ten to one customer; return what that one and one of the others ask."""
    from django.db import connection

    add_finished_batches(
        first_wallet=first_wallet,
        wallets=1,
        batches_per_wallet=batches * 9 // 10,
        items_per_batch=ITEMS_PER_BATCH,
    )
    add_finished_batches(
        first_wallet=first_wallet + 1,
        wallets=batches // 10 // FEW,
        batches_per_wallet=FEW,
        items_per_batch=ITEMS_PER_BATCH,
    )
    with connection.cursor() as cursor:
        cursor.execute("UPDATE customers_organization SET rate_limit_per_minute = 1000000")
        cursor.execute("VACUUM (ANALYZE)")
    return {"much": _asked(first_wallet), "few": _asked(first_wallet + 1)}


def measure(small: Web, of_small: Asked, large: Web, of_large: Asked, requests: int) -> dict[str, list[list[float]]]:
    """Return the sorted seconds of each request, in the small system and in the large one."""
    found: dict[str, list[list[float]]] = {name: [[], []] for name in of_small.paths}
    for turn in range(WARM_UP + requests):
        for name in of_small.paths:
            took = [
                _seconds(serving, asked.paths[name], asked.secret)
                for serving, asked in ((small, of_small), (large, of_large))
            ]
            if turn >= WARM_UP:
                for times, seconds in zip(found[name], took, strict=True):
                    times.append(seconds)
    return {name: [sorted(times) for times in both] for name, both in found.items()}


def report(who: str, found: Mapping[str, Sequence[Sequence[float]]]) -> None:
    """Print the milliseconds of each request, and the ratios."""
    columns = ("median", "large", "ratio", "p95", "large", "ratio")
    print(f"\n{who + ', milliseconds (aim of the ratios: ' + str(AIM) + ')':<50}" + "".join(f"{c:>8}" for c in columns))
    for name, (small, large) in found.items():
        figures = []
        for of in (statistics.median, _p95):
            figures += [1000 * of(small), 1000 * of(large), of(large) / of(small)]
        over = " over" if max(figures[2], figures[5]) > AIM else ""
        print(f"{name:<50}" + "".join(f"{figure:>8.2f}" for figure in figures) + over)


def _asked(wallet: int) -> Asked:
    """Return a key of a customer and every kind of request, about the middle of what there is."""
    from batches.models import Batch
    from customers.models import Mode, Organization
    from customers.services import create_api_key
    from webhooks.models import Delivery

    organization = Organization.objects.get(name__startswith="Benchmark", batches__request_id=f"order-{wallet}-1")
    batches = list(Batch.objects.filter(organization=organization).order_by("pk"))
    deliveries = list(Delivery.objects.filter(organization=organization).order_by("pk").values_list("pk", flat=True))
    middle = batches[len(batches) // 2]
    item = middle.items.get(index=ITEMS_PER_BATCH - 1)
    lists = _lists(batches, deliveries)
    paths = {
        "GET /video-batch/{id}": f"/video-batch/{middle.pk}",
        "GET /video-batch/{id}/items/{id}": f"/video-batch/{middle.pk}/items/{item.pk}",
        "GET /video-batch/{id}/ledger": f"/video-batch/{middle.pk}/ledger",
        "GET /video-batch/{id}/proof": f"/video-batch/{middle.pk}/proof",
        "GET /wallet": "/wallet",
        "GET /webhook-deliveries/{id}": f"/webhook-deliveries/{deliveries[len(deliveries) // 2]}",
    }
    for path, queries in lists.items():
        name = f"GET {path.replace(middle.pk, '{id}')}"
        paths |= {f"{name}{', ' * bool(what)}{what}": f"{path}?{query}" for what, query in queries.items()}
    _, secret = create_api_key(organization=organization, mode=Mode.LIVE, name="Benchmark")
    return Asked(secret, paths)


def _lists(batches: Sequence[Any], deliveries: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the queries that each list is asked with, by what they ask for, about the middle of what there is."""
    from sora2.times import timestamp

    middle, deep = batches[len(batches) // 2], min(DEPTH, len(batches) - 1)
    return {
        "/video-batch": {
            "": "",
            "100 at once": "limit=100",
            "far back": f"cursor={_cursor(batches[deep].pk)}",
            "all of a state": "state=partial",
            "none of a state": "state=completed",
            "none of a status": "status=running",
            "a request id": f"request_id={middle.request_id}",
            "after the middle": f"created_after={timestamp(middle.created_at)}",
            "before the middle": f"created_before={timestamp(middle.created_at)}",
            "none so late": "created_after=2100-01-01T00:00:00Z",
            "none so early": "created_before=2000-01-01T00:00:00Z",
        },
        f"/video-batch/{middle.pk}/items": {
            "": "",
            "of a status": "status=refunded",
            "of a failure": "failure_type=timeout",
            "none of an id": "custom_id=unknown",
        },
        "/ledger": {
            "": "",
            "far back": f"cursor={_cursor(3 * deep)}",
            "of a kind": "kind=refund",
            "the only one of a kind": "kind=grant",
            "none of a kind": "kind=adjustment_in",
            "of a batch": f"batch_id={middle.pk}",
            "after the middle": f"created_after={timestamp(middle.created_at)}",
            "before the middle": f"created_before={timestamp(middle.created_at)}",
        },
        "/webhook-deliveries": {
            "": "",
            "far back": f"cursor={_cursor(deliveries[deep])}",
            "all of a state": "state=delivered",
            "none of a state": "state=exhausted",
            "undelivered": "undelivered=true",
            "all of an event": "event=batch.completed",
            "none of an event": "event=credits.low",
            "of a batch": f"batch_id={middle.pk}",
            "after the middle": f"created_after={timestamp(middle.created_at)}",
            "before the middle": f"created_before={timestamp(middle.created_at)}",
        },
    }


def _cursor(value: object) -> str:
    return base64.urlsafe_b64encode(str(value).encode()).decode()


def _seconds(serving: Web, path: str, secret: str) -> float:
    started = time.perf_counter()
    status, answer = serving.send("GET", path, secret)
    took = time.perf_counter() - started
    assert status == 200, (path, answer)
    return took


def _p95(times: Sequence[float]) -> float:
    return times[math.ceil(0.95 * len(times)) - 1]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=100_000, help="of the large system; a multiple of 100")
    parser.add_argument("--requests", type=int, default=200, help="of each kind, to each system")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every time there, in seconds")
    return parser.parse_args()


if __name__ == "__main__":
    main()
