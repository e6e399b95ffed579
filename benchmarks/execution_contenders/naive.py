"""The naive design: a Celery task per item in a chord. It submits, sleeps while it polls, downloads and stores.

As fair as we can: the same provider, database and broker, as many worker processes, started with the same options. It
keeps its connections, asks for its job at once and then each tenth of a second, and posts without API, wallet, leases,
proof or webhook. On request it looks into each file as we do. And the least that Celery does: a task that does nothing.
"""

import contextlib
import functools
import hashlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import redis
import requests
from celery import Celery, chord

from batches.media import probe
from sora2.brokers import broker_url
from sora2.processes import Child, Program

ROOT = Path(__file__).resolve().parents[2]
QUEUE = "naive"
DONE = "naive:done"
POLL_SECONDS = 0.1
CLIP_SECONDS = 4
ANSWER_SECONDS = 30.0
MOST_SECONDS = 600
STOP_SECONDS = 20.0
SCHEMA = """
    CREATE TABLE IF NOT EXISTS naive_batch (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, total int NOT NULL, succeeded int, finished_at timestamptz);
    CREATE TABLE IF NOT EXISTS naive_item (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, batch_id bigint NOT NULL REFERENCES naive_batch,
        prompt text NOT NULL, status text NOT NULL, job_id text, video text, bytes bigint, sha256 text,
        finished_at timestamptz);
    CREATE INDEX IF NOT EXISTS naive_item_batch ON naive_item (batch_id);
"""


def _celery(redis_url: str) -> Celery:
    """Return an application whose broker and results are there."""
    found = Celery("naive", broker=broker_url(redis_url), backend=broker_url(redis_url), set_as_current=False)
    found.conf.update(task_default_queue=QUEUE, task_ignore_result=True, worker_prefetch_multiplier=1)
    return found


# The worker's.
app = _celery(os.environ.get("REDIS_URL", ""))


@app.task(name="naive.nothing")
def nothing() -> None:
    """Do nothing."""


@app.task(name="naive.say_done")
def say_done() -> None:
    """Tell that what was sent before this has been begun."""
    _redis().lpush(DONE, "1")


@app.task(name="naive.make", ignore_result=False)
def make(item_id: int, prompt: str, look: bool) -> bool:
    """Make one video, from the submit to its row."""
    database, provider = _database(), _provider()
    base = os.environ["PROVIDER_SIMULATOR_BASE_URL"]
    database.execute("UPDATE naive_item SET status = 'running' WHERE id = %s", [item_id])
    order = {"model": "sora-2", "prompt": prompt, "seconds": str(CLIP_SECONDS), "size": "1280x720"}
    job = provider.post(f"{base}/videos", json=order, timeout=ANSWER_SECONDS).json()
    database.execute("UPDATE naive_item SET job_id = %s WHERE id = %s", [job["id"], item_id])
    status = ""
    for _ in range(int(MOST_SECONDS / POLL_SECONDS)):
        status = provider.get(f"{base}/videos/{job['id']}", timeout=ANSWER_SECONDS).json()["status"]
        if status in ("completed", "failed"):
            break
        time.sleep(POLL_SECONDS)
    content = provider.get(f"{base}/videos/{job['id']}/content", timeout=ANSWER_SECONDS).content
    video = Path(os.environ["SORA2_DATA_DIR"], "media", "naive", f"{item_id}.mp4")
    video.parent.mkdir(parents=True, exist_ok=True)
    video.write_bytes(content)
    if look:
        probe(video, expected_seconds=CLIP_SECONDS, poster=video.with_suffix(".jpg"))
    done = [video.name, len(content), hashlib.sha256(content).hexdigest(), item_id]
    database.execute(
        "UPDATE naive_item SET status = 'succeeded', video = %s, bytes = %s, sha256 = %s, finished_at = now()"
        " WHERE id = %s",
        done,
    )
    return status == "completed"


@app.task(name="naive.finish", ignore_result=False)
def finish(results: Sequence[bool], batch_id: int) -> None:
    """End a batch, as the chord's callback."""
    sql = "UPDATE naive_batch SET succeeded = %s, finished_at = now() WHERE id = %s"
    _database().execute(sql, [sum(results), batch_id])


class Naive:
    """Its workers, while they run."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._database = psycopg.connect(environment["DATABASE_URL"], autocommit=True)
        self._database.execute(SCHEMA)
        self._redis = redis.Redis.from_url(environment["REDIS_URL"], socket_timeout=MOST_SECONDS + ANSWER_SECONDS)
        self._celery = _celery(environment["REDIS_URL"])

    def nothings_per_second(self, count: int) -> float:
        """Return how many tasks that do nothing are done in a second, from the first send to the last task."""
        started = time.perf_counter()
        with self._celery.producer_pool.acquire(block=True) as producer:
            for _ in range(count):
                self._celery.send_task(nothing.name, producer=producer)
            self._celery.send_task(say_done.name, producer=producer)
        assert self._redis.brpop([DONE], timeout=MOST_SECONDS), f"not done within {MOST_SECONDS} s"
        return count / (time.perf_counter() - started)

    def items_per_second(self, prompts: Sequence[str], *, look: bool) -> float:
        """Return how many items are done in a second, from the insert of a batch to its end."""
        started = time.perf_counter()
        batch_id, items = self._insert(prompts)
        named = self._celery.signature
        header = [
            named(make.name, args=(item_id, prompt, look)) for item_id, prompt in zip(items, prompts, strict=True)
        ]
        chord(header, app=self._celery)(named(finish.name, args=(batch_id,))).get(timeout=MOST_SECONDS)
        seconds = time.perf_counter() - started
        found = self._database.execute("SELECT succeeded FROM naive_batch WHERE id = %s", [batch_id]).fetchone()
        assert found == (len(prompts),), f"{found} of {len(prompts)} items succeeded"
        return len(prompts) / seconds

    def close(self) -> None:
        """Let go of the connections."""
        self._database.close()
        self._redis.close()
        self._celery.close()

    def _insert(self, prompts: Sequence[str]) -> tuple[int, list[int]]:
        with self._database.transaction(), self._database.cursor() as cursor:
            cursor.execute("INSERT INTO naive_batch (total) VALUES (%s) RETURNING id", [len(prompts)])
            (batch_id,) = cursor.fetchone() or (0,)
            cursor.execute(
                "INSERT INTO naive_item (batch_id, prompt, status) SELECT %s, prompt, 'pending'"
                " FROM unnest(%s::text[]) WITH ORDINALITY AS p (prompt, n) ORDER BY n RETURNING id",
                [batch_id, list(prompts)],
            )
            return batch_id, [item_id for (item_id,) in cursor.fetchall()]


@contextlib.contextmanager
def naive(environment: dict[str, str], *, workers: int, log: Path) -> Iterator[Naive]:
    """Run so many worker processes of the naive design on a running system's servers and provider."""
    options = ("--concurrency", str(workers), "--pool", "prefork", "-l", "WARNING", "-Q", QUEUE)
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    worker = Program(
        name="naive",
        argv=(sys.executable, "-m", "celery", "-A", __name__, "worker", *options, *quiet),
        log=log,
        environment={**os.environ, **environment},
        directory=ROOT,
        stop_signals=((signal.SIGTERM, STOP_SECONDS),),
    )
    contender, child = Naive(environment), Child(worker)
    try:
        contender.nothings_per_second(1)  # It is ready when it has done something.
        yield contender
    finally:
        contender.close()
        child.stop()


@functools.cache
def _database() -> psycopg.Connection:
    """One connection per worker process."""
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


@functools.cache
def _provider() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


@functools.cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(os.environ["REDIS_URL"])
