"""django-webhook beside ours: the same events to the same receiver, a Celery task each, on the same servers.

It has its own environment, its own database, its own queue on the same broker, and as many worker processes, started
with the same options. What it does at a model's signal, sending a task for each webhook, is done here before the clock
starts. Best as it can be configured: see django_webhook_settings and django_webhook_app.
"""

import contextlib
import hashlib
import hmac
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
from celery import Celery

from benchmarks.posting.books import address, run_sql
from benchmarks.webhooks_contenders.events import Event, bodies_of, new_events
from benchmarks.webhooks_contenders.receiver import ROOT, Arrival, Receiver
from benchmarks.webhooks_contenders.workers import Run, Workers, processor_seconds, spent_since, workers
from sora2.brokers import broker_url
from sora2.processes import Program

PACKAGE = "benchmarks.webhooks_contenders"
DATABASE, QUEUE, TASK = "django_webhook", "django-webhook", "django_webhook.tasks.fire_webhook"
UNFINISHED = "SELECT FROM django_webhook_webhookevent WHERE status <> 'SUCCESS'"
SECRET = "a secret of twelve letters or more"  # noqa: S105 - no secret.
WARM_UP_EVENTS = 100
STOP_SECONDS = 20.0
MOST_SECONDS = 600.0
STORED_SECONDS = 10.0


class Theirs:
    """A running worker of theirs, at rest but while it delivers."""

    def __init__(self, working: Workers, receiver: Receiver, webhook_ids: Sequence[int]) -> None:
        self.workers, self.receiver, self._ids = working, receiver, webhook_ids
        self._celery = Celery(broker=broker_url(os.environ["REDIS_URL"]), set_as_current=False)
        self._database = psycopg.connect(address(DATABASE), autocommit=True)

    def run(self, count: int, endpoints: int) -> Run:
        """Deliver so many events; the time is from their release to the last one's arrival."""
        events = new_events(count)
        self.receiver.forget()
        self._send(events, self._ids[:endpoints])
        programs = {"the worker": self.workers.pid, "the receiver": self.receiver.pid}
        before, started = processor_seconds(programs), time.time()
        self.workers.work()
        self.receiver.wait_for(count, seconds=MOST_SECONDS)
        self._wait_for_outcomes()
        spent = spent_since(before, programs)
        self.workers.rest()
        self._check(events)
        return Run(max(arrival.at for arrival in self.receiver.arrivals()) - started, spent)

    def close(self) -> None:
        """Let go of the connections."""
        self._database.close()
        self._celery.close()

    def _send(self, events: Sequence[Event], webhook_ids: Sequence[int]) -> None:
        topic = {"topic": "auth.User/create", "object_type": "auth.User"}
        with self._celery.producer_pool.acquire(block=True) as producer:
            for number, event in enumerate(events):
                arguments = (webhook_ids[number % len(webhook_ids)], event.body)
                self._celery.send_task(TASK, arguments, topic, producer=producer, queue=QUEUE)

    def _wait_for_outcomes(self) -> None:
        end = time.monotonic() + STORED_SECONDS
        while self._database.execute(UNFINISHED).fetchone():
            assert time.monotonic() < end, "an event has failed"
            time.sleep(0.05)

    def _check(self, events: Sequence[Event]) -> None:
        arrivals = self.receiver.arrivals()
        assert bodies_of(arrivals) == sorted(event.body for event in events), "not each event came once"
        assert all(_is_signed(arrival) for arrival in arrivals), "a signature is wrong"


def _is_signed(arrival: Arrival) -> bool:
    signed = f"{arrival.headers['django-webhook-request-timestamp']}:{arrival.body}"
    expected = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()
    return arrival.headers["django-webhook-signature-v1"] == expected


class Installed:
    """django-webhook in an environment and with tables of its own."""

    def __init__(self, folder: Path, receiver: Receiver, endpoints: int) -> None:
        """Install it, with so many webhooks."""
        self._python, self._folder, self._receiver = _environment(folder), folder, receiver
        run_sql(address("postgres"), f"CREATE DATABASE {DATABASE}")
        urls = [f"{receiver.root}/theirs/{number}" for number in range(endpoints)]
        # It looks into the database while it is being set up, and Django warns of that.
        command = [self._python, "-W", "ignore::RuntimeWarning", "-m", f"{PACKAGE}.django_webhook_app", SECRET, *urls]
        run = subprocess.run(
            command, cwd=ROOT, env=dict(self._variables()), stdout=subprocess.PIPE, text=True, check=True
        )
        self._ids = [int(part) for part in run.stdout.split()]

    @contextlib.contextmanager
    def running(self, processes: int) -> Iterator[Theirs]:
        """Run a worker with so many processes; at rest when the block begins."""
        with workers(self._worker(processes)) as working:
            contender = Theirs(working, self._receiver, self._ids)
            try:
                contender.run(WARM_UP_EVENTS * processes, 1)
                yield contender
            finally:
                contender.close()

    def _worker(self, processes: int) -> Program:
        options = ("--concurrency", str(processes), "--pool", "prefork", "-l", "WARNING", "-Q", QUEUE)
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        return Program(
            name="django-webhook",
            argv=(self._python, "-m", "celery", "-A", f"{PACKAGE}.django_webhook_app", "worker", *options, *quiet),
            log=self._folder / "log" / "django-webhook.log",
            environment=self._variables(),
            directory=ROOT,
            stop_signals=((signal.SIGTERM, STOP_SECONDS),),
        )

    def _variables(self) -> dict[str, str]:
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": f"{PACKAGE}.django_webhook_settings",
            "DJANGO_WEBHOOK_DATABASE_URL": address(DATABASE),
            "DJANGO_WEBHOOK_BROKER_URL": broker_url(os.environ["REDIS_URL"]),
        }


def _environment(folder: Path) -> str:
    """Install what the lock names into an environment of its own, and return its interpreter."""
    python, lock = folder / "django-webhook" / "bin" / "python", ROOT / "benchmarks" / "requirements.txt"
    uv = (sys.executable, "-m", "uv")
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(python.parents[1])], check=True)
    install = ("pip", "sync", "--quiet", "--require-hashes", "--python", str(python))
    subprocess.run([*uv, *install, str(lock)], check=True)
    return str(python)
