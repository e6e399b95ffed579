"""A running system of ours: batches posted through its API, and their ends read from its database."""

import contextlib
import itertools
import os
import signal
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import requests

from sora2.processes import last_lines
from tests.flows.system import System, running

CREDITS = 100_000
LOOK_SECONDS = 0.02
LOOKING = "worker, looking into files"
# So that a benchmark of a broken engine ends too.
MOST_SECONDS = 300.0


@dataclass(frozen=True)
class Ended:
    """A batch that ended: Unix times, and how many items succeeded."""

    id: str
    posted_at: float
    finished_at: float
    succeeded: int

    @property
    def seconds(self) -> float:
        """Return how long it took, from before the post to the commit that ended it."""
        return self.finished_at - self.posted_at


class Site:
    """A system that runs, with what it takes to post batches to it and to see when they end."""

    def __init__(self, system: System, database: psycopg.Connection) -> None:
        self.system = system
        self._database = database
        self._numbers = itertools.count(1)

    def customer(self) -> str:
        """Return the key of a new customer with credits for ten thousand items."""
        limits = {"max_items": 10_000, "max_open_batches": 1000}
        key: str = self.system.provision(credits=CREDITS, name=f"Customer {next(self._numbers)}", **limits)["api_key"]
        return key

    def prompts(self, items: int, *, seconds: float) -> list[str]:
        """Return prompts that no other batch has, for clips that the provider takes so many seconds for."""
        number = next(self._numbers)
        return [f"batch {number} clip {index} [[slow:{seconds:g}]]" for index in range(items)]

    def post(self, key: str, prompts: Sequence[str]) -> tuple[str, float]:
        """Post a batch; return its id, and when the request was begun."""
        body = {"request_id": os.urandom(8).hex(), "items": [{"prompt": prompt} for prompt in prompts]}
        posted_at = time.time()
        answer = requests.post(self._api("/video-batch"), json=body, headers={"X-API-Key": key}, timeout=60)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["batch_id"]), posted_at

    def cancel(self, key: str, batch_id: str) -> None:
        """Cancel what has not been submitted of a batch that has not ended."""
        address = self._api(f"/video-batch/{batch_id}/cancel")
        answer = requests.post(address, json={}, headers={"X-API-Key": key}, timeout=60)
        assert answer.status_code == 200, answer.text

    def end(self, batch_id: str, posted_at: float) -> Ended:
        """Wait for a batch's end."""
        sql = "SELECT extract(epoch FROM finished_at)::float8, succeeded FROM batches_batch WHERE id = %s"
        for _ in _looks():
            finished_at, succeeded = self._database.execute(sql, [batch_id]).fetchone() or (None, None)
            if finished_at is not None:
                return Ended(batch_id, posted_at, finished_at, succeeded)
        raise self._too_late(f"{batch_id} has not ended")

    def run(self, key: str, prompts: Sequence[str]) -> Ended:
        """Post a batch and wait for its end; every item must have succeeded."""
        ended = self.end(*self.post(key, prompts))
        assert ended.succeeded == len(prompts), f"{ended.succeeded} of {len(prompts)} items succeeded"
        return ended

    def wait_for_items(self, batch_id: str, count: int) -> None:
        """Wait until so many items of a batch have succeeded."""
        sql = "SELECT count(*) FROM batches_item WHERE batch_id = %s AND status = 'succeeded'"
        for _ in _looks():
            (succeeded,) = self._database.execute(sql, [batch_id]).fetchone() or (0,)
            if succeeded >= count:
                return
        raise self._too_late(f"{batch_id} has not come as far as {count} items")

    def provider_done_at(self, prompts: Sequence[str]) -> float:
        """Return when the provider had done the last of these."""
        marks = ", ".join("?" * len(prompts))
        with sqlite3.connect(f"file:{self.system.directory}/simulator.sqlite?mode=ro", uri=True) as file:
            sql = f"SELECT max(created_at + work_seconds) FROM job WHERE prompt IN ({marks})"
            return float(file.execute(sql, list(prompts)).fetchone()[0])

    @property
    def environment(self) -> dict[str, str]:
        """Where its servers and its provider are, as environment variables."""
        environment: dict[str, str] = self.system.state["environment"]
        return environment

    def log(self, name: str) -> Path:
        """Return the place of a log in its directory."""
        return self.system.directory / "log" / f"{name}.log"

    def processor_seconds(self) -> Mapping[str, float]:
        """Return what each program has taken of the processors so far; looking into files is told apart."""
        spent = defaultdict[str, float](float)
        for name in self.system.state["pids"]:
            for number, process in enumerate(self.system.processes(name)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    times, looks = process.cpu_times(), "media_worker.py" in " ".join(process.cmdline())
                    spent[LOOKING if looks else name] += times.user + times.system
                    # What ended below the worker's processes has looked into files.
                    ended = times.children_user + times.children_system
                    spent[LOOKING if name == "worker" and number else name] += ended
        return spent

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[None]:
        """Stop worker and beat while the block runs: what is measured there has the machine for itself."""
        resting = [process for name in ("beat", "worker") for process in self.system.processes(name)]
        _signal(resting, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(resting, signal.SIGCONT)

    def _too_late(self, what: str) -> TimeoutError:
        log = last_lines(self.log("worker"), 40)
        return TimeoutError(f"{what} after {MOST_SECONDS:.0f} s. The end of the worker's log:\n{log}")

    def _api(self, path: str) -> str:
        return f"{self.system.url}/api/enterprise{path}"


@contextlib.contextmanager
def site(*, workers: int, in_flight: int, poll_seconds: float, hints: bool) -> Iterator[Site]:
    """Run a system in a temporary directory, with a provider that has no latency of its own and one clip for all."""
    provider = "--latency 0 --same-clip" + ("" if hints else " --no-hints")
    settings = {
        "PROVIDER_SIMULATOR_MAX_IN_FLIGHT": str(in_flight),
        "POLL_SECONDS": str(poll_seconds),
        "SIMULATOR_OPTIONS": provider,
        "LOG_LEVEL": "WARNING",
    }
    with (
        running(workers=workers, **settings) as system,
        psycopg.connect(system.database_url, autocommit=True) as database,
    ):
        yield Site(system, database)


def _looks() -> Iterator[None]:
    end = time.monotonic() + MOST_SECONDS
    while time.monotonic() < end:
        yield
        time.sleep(LOOK_SECONDS)


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
