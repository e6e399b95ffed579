"""What taking a batch in costs over HTTP, against the bare COPY of the same rows in the same run.

*Ours* is `POST /video-batch` to gunicorn with one worker process, from the first byte sent to the last one of the
answer, one request after the other on one connection. The *COPY* is psycopg's, of the very rows that such a request
has stored (the batch's, its items', the reserve's, under new keys), prepared before the clock starts, into the same
tables with all their constraints, triggers and indexes, in one durable transaction. They work in turns. A figure is the
median of the turns, with the least and the most of them; a ratio is that of the turns' own ratios.

Last comes the largest body that is taken, and what the server's process needs of memory for it.
"""

import argparse
import functools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.types.json import Jsonb

from benchmarks.database import own_database
from benchmarks.web import Web, web
from sora2.ids import new_id

AIM, AIMED_SIZE = 3, 1000
LEAST_TURNS, MOST_TURNS = 5, 300
CREDITS = 10**9
# What is given of an entry; the trigger fills the rest.
ENTRY_COLUMNS = ("entry_id", "wallet_id", "kind", "amount", "reference", "request_id", "actor", "reason")
# With ten thousand of these, of two bytes a character, a body is nearly as large as one may be.
LARGE_PROMPT = "ü" * 750

# What each turn brought, by name.
Figures = dict[str, list[float]]


def main() -> None:
    options = _options()
    machine = f"{os.cpu_count()} processors, with a load of {os.getloadavg()[0]:.1f} before the start"
    with (
        own_database(),
        tempfile.TemporaryDirectory(prefix="sora2-bench-web-") as folder,
        web(Path(folder, "web.log")) as serving,
    ):
        customer = Customer()
        figures: Figures = {}
        for size in options.sizes:
            figures |= measure(serving, customer, size, min(max(LEAST_TURNS, options.items // size), MOST_TURNS))
        figures |= memory(serving, customer)
    print(f"\n{machine}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


class Customer:
    """An organization that may send as much as it likes, and its key."""

    def __init__(self) -> None:
        from customers.models import Mode
        from tests.factories import fund, make_account

        limits = {"max_items_per_batch": 10_000, "rate_limit_per_minute": 10**6, "max_open_batches": 10**6}
        account = make_account(0, "Benchmark", **limits)
        fund(account.wallets[Mode.TEST], CREDITS)
        self.secret = account.secrets[Mode.TEST]

    def post(self, serving: Web, body: bytes) -> str:
        """Create a batch and return its id."""
        status, answer = serving.send("POST", "/video-batch", self.secret, body)
        assert status == 201, answer
        batch_id: str = json.loads(answer)["batch_id"]
        return batch_id


def measure(serving: Web, customer: Customer, size: int, turns: int) -> Figures:
    """Measure and print one size."""
    (worker,) = serving.server.workers()
    mine, theirs, processor = [], [], 0.0
    for turn in range(turns + 1):
        body, before = _body(size), _processor_seconds(worker)
        took, batch_id = _timed(functools.partial(customer.post, serving, body))
        processor += (_processor_seconds(worker) - before) * bool(turn)
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            copied, _ = _timed(_copy(connection, batch_id))
        if turn:  # The first one warms up.
            mine.append(took)
            theirs.append(copied)
    ratios = [one / other for one, other in zip(mine, theirs, strict=True)]
    _title(f"{size} items, {turns} turns:")
    _line("ours, milliseconds", [1000 * one for one in mine])
    _line("COPY, milliseconds", [1000 * one for one in theirs])
    _line("ours, items a second", [size / one for one in mine])
    _line("COPY, items a second", [size / one for one in theirs])
    _line(f"    ours ÷ COPY, of the milliseconds{f' (aim: {AIM})' * (size == AIMED_SIZE)}", ratios)
    print(f"{'the server process took of a processor, on average':<50}{1000 * processor / turns:>10.1f} milliseconds")
    return {f"{size} items: ours": mine, f"{size} items: COPY": theirs}


def memory(serving: Web, customer: Customer) -> Figures:
    """Measure and print what the largest body needs of the server's memory at its peak (on Linux)."""
    body = _body(10_000, prompt=LARGE_PROMPT)
    (worker,) = serving.server.workers()
    Path(f"/proc/{worker.pid}/clear_refs").write_text("5")  # The peak is counted anew.
    before = worker.memory_info().rss
    customer.post(serving, body)
    growth = _peak_bytes(worker.pid) - before
    print(
        f"\nA body of {len(body) / 2**20:.1f} MiB: {before / 2**20:.0f} MiB before, {growth / 2**20:.0f} more at the "
        f"peak, which is {growth / len(body):.1f} times the body"
    )
    return {"memory: body": [len(body)], "memory: growth": [growth]}


def _body(size: int, prompt: str = "A cat playing piano on the roof of an old house, take") -> bytes:
    """Return a batch such as a customer sends: each item with an id and metadata of its own."""
    items = [
        {
            "prompt": f"{prompt} {number}",
            "model": "sora-2",
            "seconds": 4,
            "size": "1280x720",
            "custom_id": f"sku-{number}",
            "metadata": {"sku": str(number)},
        }
        for number in range(size)
    ]
    return json.dumps({"request_id": new_id("req"), "items": items}, ensure_ascii=False).encode()


def _copy(connection: psycopg.Connection, batch_id: str) -> Callable[[], None]:
    """Return the COPY of everything that a batch has stored once more, under new keys."""
    from batches.services import COPY_ITEMS, ITEM_COLUMNS

    columns = [name.name for name in connection.execute("SELECT * FROM batches_batch LIMIT 0").description or ()]
    (batch,) = _rows(connection, "batches_batch", "id", columns, batch_id)
    batch |= {"id": new_id("bat"), "request_id": new_id("req")}
    (entry,) = _rows(connection, "credit_ledger", "reference", ENTRY_COLUMNS, batch_id)
    entry |= {"entry_id": new_id("led"), "reference": batch["id"]}
    items = [
        {**row, "id": new_id("itm"), "batch_id": batch["id"]}
        for row in _rows(connection, "batches_item", "batch_id", ITEM_COLUMNS, batch_id)
    ]
    copies = (
        (_statement("batches_batch", columns), [tuple(batch.values())]),
        (COPY_ITEMS, [tuple(item.values()) for item in items]),
        (_statement("credit_ledger", ENTRY_COLUMNS), [tuple(entry.values())]),
    )

    def work() -> None:
        with connection.transaction(), connection.cursor() as cursor:
            for statement, rows in copies:
                with cursor.copy(statement) as copy:
                    for row in rows:
                        copy.write_row(row)

    return work


def _rows(
    connection: psycopg.Connection, table: str, key: str, columns: Sequence[str], value: str
) -> list[dict[str, Any]]:
    found = connection.execute(f"SELECT {_quoted(columns)} FROM {table} WHERE {key} = %s ORDER BY 1", [value])
    return [
        {name: Jsonb(each) if isinstance(each, dict) else each for name, each in zip(columns, row, strict=True)}
        for row in found
    ]


def _statement(table: str, columns: Sequence[str]) -> str:
    return f"COPY {table} ({_quoted(columns)}) FROM STDIN"


def _quoted(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _peak_bytes(pid: int) -> int:
    """Return the most memory that a process has had (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def _title(text: str) -> None:
    print(f"\n{text:<50}" + "".join(f"{column:>10}" for column in ("median", "least", "most")))


def _line(name: str, values: Sequence[float]) -> None:
    columns = (statistics.median(values), min(values), max(values))
    print(f"{name:<50}" + "".join(f"{value:>10.{0 if value > 100 else 2}f}" for value in columns), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 1000, 10_000], help="items in a batch")
    parser.add_argument(
        "--items", type=int, default=50_000, help="of all turns of a size; 5 turns at least, and 300 at most"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every turn's figures there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
