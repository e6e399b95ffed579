"""What the dashboard's pages cost when there is a thousand times as much: each page in a small and in a large system.

The small system holds a hundred finished batches of ten items, the large one a hundred thousand, and a wallet with so
many entries more that there are three million in all. In each, one customer owns nine batches of ten, and others have
ten each; they lie within the last month, and days are rolled up as they are every minute. A page of a batch of ten
thousand items is compared with the page of one of ten in the small system, the statement with the largest one there.

Both systems are databases of one server, analyzed after loading, each behind a gunicorn of one worker process without
DEBUG. Requests go to one after the other, a round of all for each system in turn. A time is from the first byte sent to
the last one read; the ratio is large ÷ small, of the medians and of the times within which 95 of 100 were done.
"""

import argparse
import json
import math
import os
import secrets
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.database import copied, own_database
from benchmarks.finished_batches import add_finished_batches, unguarded
from benchmarks.web import Web, web

AIM = 2.0
SMALL = 100
ITEMS_PER_BATCH, MANY_ITEMS = 10, 10_000
FEW = 10
ENTRIES_PER_BATCH = 3
SPAN = timedelta(days=28)
HISTORY_SPAN = timedelta(days=90)
WARM_UP = 3
PAGES_BACK = 20
SMALL_DATABASE = "small"
HISTORY = {"organization": f"org_{'h' * 26}", "wallet": f"wal_{'h' * 26}"}


@dataclass(frozen=True)
class Page:
    """A page of one system, and whose session asks for it."""

    path: str
    session: str


def main() -> None:
    options = _options()
    machine = f"{os.cpu_count()} processors, with a load of {os.getloadavg()[0]:.1f} before the start"
    # Sessions are made here and read there.
    os.environ["SECRET_KEY"] = key = secrets.token_urlsafe(50)
    with own_database(), tempfile.TemporaryDirectory(prefix="sora2-bench-web-") as folder, ExitStack() as held:
        started = time.perf_counter()
        pages_small = load(SMALL, first_wallet=1, many=False)
        url = copied(SMALL_DATABASE)
        pages_large = load(options.batches, first_wallet=20, many=True, entries=options.entries)
        print(f"loaded in {time.perf_counter() - started:.0f} s: {_sizes()}", flush=True)
        small = held.enter_context(web(Path(folder, "small.log"), SECRET_KEY=key, DATABASE_URL=url))
        large = held.enter_context(web(Path(folder, "large.log"), SECRET_KEY=key))
        figures = measure(small, pages_small, large, pages_large, options.requests)
    report(figures)
    print(f"\n{machine}, and of {os.getloadavg()[0]:.1f} at the end")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def load(batches: int, *, first_wallet: int, many: bool, entries: int = 0) -> dict[str, Page]:
    """Add so many batches, nine of ten to one customer, and a wallet with what is missing to so many entries."""
    from django.db import connection
    from django.utils import timezone

    from batches.models import Batch, Item
    from ledger.days import roll_up
    from ledger.models import Entry
    from ledger.reconciliation import Findings, extent, keep_run

    since = datetime.now(UTC) - SPAN
    shares = (
        (first_wallet, 1, batches * 9 // 10, ITEMS_PER_BATCH),
        (first_wallet + 2, batches // 10 // FEW, FEW, ITEMS_PER_BATCH),
        *([(first_wallet + 1, 1, 1, MANY_ITEMS)] if many else []),
    )
    for first, wallets, each, items in shares:
        add_finished_batches(
            first_wallet=first,
            wallets=wallets,
            batches_per_wallet=each,
            items_per_batch=items,
            since=since,
            span=SPAN,
            chained=False,
        )
    missing = entries - Entry.objects.count()
    if missing > 0:
        _add_history(missing // ENTRIES_PER_BATCH)
    started = time.perf_counter()
    changed = roll_up()
    print(f"{changed} figures of days rolled up in {time.perf_counter() - started:.1f} s", flush=True)
    now = timezone.now()
    keep_run(
        started_at=now,
        extent=extent(batches=Batch.objects.count(), items=Item.objects.count()),
        findings=Findings({}, []),
    )
    pages = _pages(first_wallet, many=many, biggest=HISTORY["organization"] if missing > 0 else "")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
    return pages


def measure(
    small: Web, of_small: Mapping[str, Page], large: Web, of_large: Mapping[str, Page], requests: int
) -> dict[str, list[list[float]]]:
    """Return the sorted seconds of each page, in the small system and in the large one."""
    found: dict[str, list[list[float]]] = {name: [[], []] for name in of_small}
    for turn in range(WARM_UP + requests):
        for name in of_small:
            took = [_seconds(serving, pages[name]) for serving, pages in ((small, of_small), (large, of_large))]
            if turn >= WARM_UP:
                for times, seconds in zip(found[name], took, strict=True):
                    times.append(seconds)
    return {name: [sorted(times) for times in both] for name, both in found.items()}


def report(found: Mapping[str, Sequence[Sequence[float]]]) -> None:
    """Print the milliseconds of each page, and the ratios."""
    columns = ("median", "large", "ratio", "p95", "large", "ratio")
    print(f"\n{'milliseconds (aim of the ratios: ' + str(AIM) + ')':<46}" + "".join(f"{c:>8}" for c in columns))
    for name, (small, large) in found.items():
        figures = []
        for of in (statistics.median, _p95):
            figures += [1000 * of(small), 1000 * of(large), of(large) / of(small)]
        over = " over" if max(figures[2], figures[5]) > AIM else ""
        print(f"{name:<46}" + "".join(f"{figure:>8.1f}" for figure in figures) + over)


def _pages(first_wallet: int, *, many: bool, biggest: str) -> dict[str, Page]:
    """Return every kind of page, about the middle of what there is."""
    from batches.models import Batch

    owned = Batch.objects.filter(organization__name__startswith="Benchmark", wallet__mode="live")
    much = owned.get(request_id=f"order-{first_wallet}-1").organization
    every = list(owned.order_by("-pk").values_list("pk", "request_id", "created_at"))
    middle, request_id, at = every[len(every) // 2]
    deep = every[min(PAGES_BACK * 50, len(every) // 2)][0]
    long = owned.get(request_id=f"order-{first_wallet + 1}-1").pk if many else middle
    finance, customer = _session(), _session(much.pk)
    day = at.astimezone(UTC).date()
    paths = {
        **{
            f"batches, {what}": f"/admin/batches/?{query}" for what, query in _filters(much.pk, request_id, day).items()
        },
        f"batches, page {PAGES_BACK}": f"/admin/batches/?after={deep}",
        **_tabs(middle, "a batch of ten items"),
        **_tabs(long, "a batch of ten thousand items"),
        "ledger, the wallets": "/admin/ledger/",
        "ledger, a day": f"/admin/ledger/days/{day}",
        "ledger, a month of the biggest wallet": f"/admin/ledger/{biggest or much.pk}?month={day:%Y-%m}",
        "why available, a wallet's": f"/admin/ledger/{much.pk}/why/available",
        "why available, the biggest wallet's": f"/admin/ledger/{biggest or much.pk}/why/available",
        "why settled, of all wallets": "/admin/ledger/why/settled",
        "why reserved, of all batches": "/admin/batches/why/reserved?mode=live",
        "webhooks, the deliveries": "/admin/webhooks/deliveries/",
        "checks": "/admin/reconciliations/",
        "audit log": "/admin/audit/",
    }
    return {
        "home, finance": Page("/admin/", finance),
        "home, customer": Page("/admin/", customer),
        "batches, customer": Page("/admin/batches/", customer),
        **{name: Page(path, finance) for name, path in paths.items()},
    }


def _filters(organization: str, request_id: str, day: date) -> dict[str, str]:
    return {
        "all": "",
        "live": "mode=live",
        "of a state": "state=partial",
        "none of a state": "state=completed",
        "of a customer": f"customer={organization}",
        "of a customer's name": "customer=Benchmark",
        "of a day": f"from={day}&until={day + timedelta(days=1)}",
        "of a text": f"q={request_id}",
    }


def _tabs(batch_id: str, what: str) -> dict[str, str]:
    tabs = {"tasks": "", "billing": "/billing", "webhooks": "/webhooks", "why settled,": "/why/settled"}
    return {f"{tab} of {what}": f"/admin/batches/{batch_id}{path}" for tab, path in tabs.items()}


def _session(organization: str = "") -> str:
    """Return the session of somebody in finance, a customer's or ours."""
    from django.test import Client

    from customers.models import Membership, User
    from customers.services import create_staff
    from sora2.ids import new_id

    client = Client()
    if organization:
        user = User.objects.create_user(username=new_id("usr"))
        Membership.objects.create(user=user, organization_id=organization, role="customer finance")
    else:
        user, _ = create_staff(username=new_id("usr"), role="finance")
    client.force_login(user)
    session, now = client.session, time.time()
    # As sessions.begin leaves it, the second step taken.
    session.update({"begun_at": now, "seen_at": now, "two_step": True})
    session.save()
    return client.cookies["sessionid"].value


def _add_history(turns: int) -> None:
    from django.db import connection, transaction

    statements = Path(__file__).with_suffix(".sql").read_text()
    with transaction.atomic(), unguarded(), connection.cursor() as cursor:
        cursor.execute(statements, {**HISTORY, "turns": turns, "span": HISTORY_SPAN.total_seconds()})


def _sizes() -> str:
    from batches.models import Batch, Item
    from ledger.models import Entry

    counts: dict[str, Any] = {"batches": Batch, "items": Item, "entries": Entry}
    return ", ".join(f"{model.objects.count():,} {name}" for name, model in counts.items())


def _seconds(serving: Web, page: Page) -> float:
    started = time.perf_counter()
    status, answer = serving.page(page.path, page.session)
    took = time.perf_counter() - started
    assert status == 200, (page.path, status, answer)
    return took


def _p95(times: Sequence[float]) -> float:
    return times[math.ceil(0.95 * len(times)) - 1]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=100_000, help="of the large system; a multiple of 100")
    parser.add_argument("--entries", type=int, default=3_000_000, help="of the large system, at least")
    parser.add_argument("--requests", type=int, default=40, help="of each page, to each system")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every time there, in seconds")
    return parser.parse_args()


if __name__ == "__main__":
    main()
