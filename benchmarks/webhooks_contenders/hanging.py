"""How long messages to a receiver that works take, while others hang."""

import time
from collections.abc import Mapping, Sequence

from benchmarks.webhooks_contenders.events import Event, new_events
from benchmarks.webhooks_contenders.ours import Customer, Ours
from benchmarks.webhooks_contenders.receiver import HANGS

STEADY_SECONDS = 1.0
LOOK_SECONDS = 0.5
# Longer than a few deadlines of posts that hang.
MOST_SECONDS = 120.0


def delays(running: Ours, *, endpoints: int, waiting: int, messages: int, every_seconds: float) -> list[float]:
    """Return the delay of each message to an endpoint that works, from before its publishing to its arrival.

    So many other endpoints hang meanwhile, and so many messages wait for each of those.
    """
    healthy, hanging = running.customers(1), running.customers(endpoints, HANGS)
    running.receiver.forget()
    running.publish(new_events(endpoints * waiting), hanging)
    events = new_events(messages)
    with running.at_work():
        _wait_until_steady(running)
        published = _publish(running, events, healthy, every_seconds)
        arrived = _wait_for(running, healthy[0].path, messages)
        running.receiver.release()
    return [arrived[event.id] - published[event.id] for event in events]


def _wait_until_steady(running: Ours) -> None:
    """Wait until nothing more comes: what is in flight hangs."""
    end, came = time.monotonic() + MOST_SECONDS, -1
    while came != (came := running.receiver.count()):
        assert time.monotonic() < end, "posts to what hangs go on and on"
        time.sleep(STEADY_SECONDS)


def _publish(
    running: Ours, events: Sequence[Event], healthy: Sequence[Customer], every_seconds: float
) -> Mapping[str, float]:
    """Publish one at a time; return when, by event."""
    published, started = {}, time.monotonic()
    for number, event in enumerate(events):
        time.sleep(max(0.0, started + number * every_seconds - time.monotonic()))
        published[event.id] = time.time()
        running.publish([event], healthy)
    return published


def _wait_for(running: Ours, path: str, messages: int) -> Mapping[str, float]:
    """Wait until so many messages have come to this path; return when each first came."""
    end = time.monotonic() + MOST_SECONDS
    while True:
        came = [arrival for arrival in running.receiver.arrivals() if arrival.path == path]
        arrived = {arrival.headers["webhook-id"]: arrival.at for arrival in reversed(came)}
        if len(arrived) == messages:
            return arrived
        assert time.monotonic() < end, f"{len(arrived)} of {messages} came within {MOST_SECONDS:.0f} s"
        time.sleep(LOOK_SECONDS)
