"""Ours: events written by `webhooks.services.publish`, and a worker with its processes that runs `webhooks.deliver`."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis
from celery import Celery

from benchmarks.webhooks_contenders.events import Event, bodies_of, new_events
from benchmarks.webhooks_contenders.receiver import Receiver
from benchmarks.webhooks_contenders.workers import Run, Workers, processor_seconds, spent_since, workers
from sora2.brokers import broker_url
from sora2.parts import Parts

# Celery's own default, which ours keeps.
QUEUE = "celery"
LOOK_SECONDS, BEAT_SECONDS = 0.005, 1.0
# So that a benchmark of something broken ends too.
MOST_SECONDS = 300.0
QUIET_SECONDS = 0.5
WARM_UPS, WARM_UP_EVENTS = 3, 40


@dataclass(frozen=True)
class Customer:
    """An organization with one endpoint."""

    organization_id: str
    path: str
    secret: str


class Ours:
    """A running worker of ours, at rest but while it delivers."""

    def __init__(self, working: Workers, receiver: Receiver) -> None:
        self.workers, self.receiver = working, receiver
        self._broker = redis.Redis.from_url(os.environ["REDIS_URL"])
        self._celery = Celery(broker=broker_url(os.environ["REDIS_URL"]), set_as_current=False)

    def customers(self, count: int, prefix: str = "/") -> list[Customer]:
        """Create so many customers, whose endpoints are paths of the receiver that begin so."""
        from customers.models import Mode, Organization
        from webhooks.endpoints import create_endpoint

        found = []
        for number in range(count):
            organization = Organization.objects.create(name=f"Benchmark {number}")
            path = f"{prefix}{organization.pk}"
            _, secret = create_endpoint(organization=organization, mode=Mode.TEST, url=self.receiver.root + path)
            found.append(Customer(organization.pk, path, secret))
        return found

    def publish(self, events: Sequence[Event], customers: Sequence[Customer]) -> None:
        """Publish events to the customers in turn, in one transaction."""
        from django.db import transaction

        from customers.models import Mode
        from webhooks.models import EventType
        from webhooks.services import publish

        with transaction.atomic():
            for number, event in enumerate(events):
                publish(
                    organization_id=customers[number % len(customers)].organization_id,
                    mode=Mode.TEST,
                    event_type=EventType.BATCH_COMPLETED,
                    event_id=event.id,
                    body=event.body,
                    reference=event.batch_id,
                )

    def run(self, count: int, endpoints: int) -> Run:
        """Deliver so many events; the time is from their release to the last outcome on record."""
        customers, events = self.customers(endpoints), new_events(count)
        self.receiver.forget()
        self.publish(events, customers)
        programs = {"the worker": self.workers.pid, "the receiver": self.receiver.pid}
        before, started = processor_seconds(programs), time.monotonic()
        with self.at_work():
            self.receiver.wait_for(count, seconds=MOST_SECONDS)
            wait_until(lambda: not waiting())
            run = Run(time.monotonic() - started, spent_since(before, programs))
        self._check(events, customers)
        return run

    def warm_up(self) -> None:
        """Let each process come to its work."""
        for _ in range(WARM_UPS):
            self.run(WARM_UP_EVENTS, 1)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Let the worker work while the block runs, and come to its rest once it has heard all bells."""
        over = threading.Event()
        beat = threading.Thread(target=self._ring_until, args=(over,), daemon=True)
        self.workers.work()
        beat.start()
        try:
            yield
        finally:
            over.set()
            beat.join()
        wait_until(lambda: self._broker.llen(QUEUE) == 0)
        time.sleep(QUIET_SECONDS)
        self.workers.rest()

    def close(self) -> None:
        """Let go of the broker."""
        self._broker.close()
        self._celery.close()

    def _ring_until(self, over: threading.Event) -> None:
        """Ring as beat does."""
        while True:
            self._celery.send_task("webhooks.deliver", expires=BEAT_SECONDS, ignore_result=True)
            if over.wait(BEAT_SECONDS):
                return

    def _check(self, events: Sequence[Event], customers: Sequence[Customer]) -> None:
        from webhooks.models import Attempt
        from webhooks.signing import verify

        arrivals = self.receiver.arrivals()
        assert bodies_of(arrivals) == sorted(event.body for event in events), "not each event came once"
        secrets = {customer.path: customer.secret for customer in customers}
        faults = {verify(secrets=[secrets[one.path]], headers=one.headers, body=one.body.encode()) for one in arrivals}
        assert faults == {""}, f"signatures: {faults}"
        attempts = Attempt.objects.filter(delivery__event__in=[event.id for event in events], status_code=200)
        assert attempts.exclude(duration_ms=None).count() == len(events), "not each attempt is on record"


def waiting() -> int:
    """Return how many deliveries have no outcome."""
    from webhooks.models import Delivery

    return Delivery.objects.filter(state=Delivery.State.PENDING).count()


def forget_deliveries() -> None:
    """Empty the tables of events, deliveries and attempts."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE webhooks_attempt, webhooks_delivery, webhooks_event CASCADE")


@contextlib.contextmanager
def ours(processes: int, receiver: Receiver, folder: Path) -> Iterator[Ours]:
    """Run the worker as our own stack does, with so many processes; at rest when the block begins."""
    parts = Parts(directory=folder, environment=dict(os.environ), port=0)
    with workers(parts.worker(processes)) as working:
        contender = Ours(working, receiver)
        try:
            wait_until(parts.worker_ready)
            contender.warm_up()
            yield contender
        finally:
            contender.close()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    end = time.monotonic() + MOST_SECONDS
    while not condition():
        assert time.monotonic() < end, f"not within {MOST_SECONDS:.0f} s"
        time.sleep(LOOK_SECONDS)
