"""Polling in bulk: one worker process watches many jobs with few requests, at the pace that the provider hints at."""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from batches.execution import pace
from batches.execution.poll import SEVERAL, poll_due
from batches.execution.queue import claim_due, claim_submits
from batches.execution.submit import submit_due
from batches.models import Item, RouteHealth, Stage
from batches.providers import JobStatus, Verdict
from batches.simulator.provider import Reply, Request
from batches.simulator.server import SimulatorServer
from tests.batches.engine import customer_with, submit, the_route

pytestmark = pytest.mark.django_db

JOBS = 250


def counted(provider: SimulatorServer) -> Counter[str]:
    """Return a counter of what the provider is asked from now on, by kind."""
    asked: Counter[str] = Counter()
    answer = provider.provider.answer

    def count(request: Request) -> Reply:
        is_list = request.path.endswith("/videos")
        asked[f"{request.method} {'list' if is_list else 'one'}"] += 1
        return answer(request)

    provider.provider.answer = count  # type: ignore[method-assign]
    return asked


def in_flight(jobs: int) -> None:
    """Hand jobs that take a minute to the provider, all of them due to be polled."""
    submit(customer_with(10_000), [f"scene {n} [[slow:60]]" for n in range(jobs)])
    submit_due(the_route(max_in_flight=jobs))
    due = Item.objects.filter(stage="poll")
    assert due.count() == jobs
    due.update(due_at=timezone.now())


def test_many_jobs_are_watched_with_a_request_for_each_hundred(provider: SimulatorServer) -> None:
    in_flight(JOBS)
    asked = counted(provider)
    assert poll_due(the_route()) == JOBS
    assert asked == {"GET list": 3}
    assert Item.objects.filter(stage="poll", lease=None).count() == JOBS


def test_what_is_due_within_the_same_round_is_asked_for_along(provider: SimulatorServer, settings: Settings) -> None:
    settings.POLL_SECONDS = 5.0
    in_flight(SEVERAL + 2)
    Item.objects.filter(index=0).update(due_at=timezone.now() + timedelta(seconds=pace.LEAST_SECONDS))
    Item.objects.filter(index=1).update(due_at=timezone.now() + timedelta(seconds=3))
    asked = counted(provider)
    assert poll_due(the_route()) == SEVERAL + 1
    assert asked == {"GET list": 1}


def test_few_jobs_that_are_not_due_are_left_alone(provider: SimulatorServer, settings: Settings) -> None:
    settings.POLL_SECONDS = 5.0
    in_flight(SEVERAL - 1)
    Item.objects.filter(index=0).update(due_at=timezone.now() + timedelta(seconds=0.2))
    assert poll_due(the_route()) == SEVERAL - 2
    assert provider.base_url


@pytest.mark.parametrize(
    ("age", "hint", "in_flight", "seconds"),
    [
        (0.0, None, 1, pace.LEAST_SECONDS),
        (8.0, None, 1, 0.8),
        (600.0, None, 1, 2.0),
        (8.0, 5.0, 1, 5.0),
        (8.0, 0.01, 1, pace.LEAST_SECONDS),
        (1.0, None, 1_000, 0.4),
        (1.0, None, 5_000, 2.0),
        (1.0, None, 1_000_000, 2.0),
    ],
)
def test_a_job_is_asked_for_again_by_its_hint_its_age_and_how_many_there_are(
    settings: Settings, age: float, hint: float | None, in_flight: int, seconds: float
) -> None:
    settings.POLL_SECONDS = 2.0
    now = timezone.now()
    verdict = Verdict(JobStatus.RUNNING, poll_after_seconds=hint)
    submitted_at = now - timedelta(seconds=age)
    pause = pace.pause(verdict, submitted_at=submitted_at, now=now, in_flight=in_flight, silent_since=None)
    assert pause == pytest.approx(seconds)


def test_videos_are_fetched_by_turns_of_the_customers_and_of_their_batches() -> None:
    ours, theirs = customer_with(10_000), customer_with(10_000)
    large, second, other = submit(ours, ["a"] * 30), submit(ours, ["b"] * 4), submit(theirs, ["c"] * 4)
    now = timezone.now()
    claim_submits(route=the_route(), terms={}, retired=[], count=38, now=now)
    for batch, ready in ((large, 30), (second, 20), (other, 10)):
        batch.items.update(stage="collect", lease=None, due_at=now - timedelta(seconds=ready))
    claimed = claim_due(route="simulator", stage=Stage.COLLECT, count=8, lease_seconds=30, now=now)
    assert [sum(item.batch_id == b.pk for item in claimed) for b in (large, second, other)] == [2, 2, 4]
    rest = claim_due(route="simulator", stage=Stage.COLLECT, count=100, lease_seconds=30, now=now)
    assert len(rest) == 30
    assert claim_due(route="simulator", stage=Stage.COLLECT, count=100, lease_seconds=30, now=now) == []


def test_a_provider_that_is_silent_is_asked_ever_more_rarely(provider: SimulatorServer, settings: Settings) -> None:
    in_flight(2)
    settings.PROVIDER_SIMULATOR_BASE_URL = "http://127.0.0.1:9/v1"
    poll_due(the_route())
    since = RouteHealth.objects.get(pk="simulator").unanswered_since
    assert since is not None
    RouteHealth.objects.update(unanswered_since=since - timedelta(seconds=20))
    Item.objects.update(due_at=timezone.now())
    poll_due(the_route())
    waits = [(due - timezone.now()).total_seconds() for due in Item.objects.values_list("due_at", flat=True) if due]
    assert all(8 < wait < 12 for wait in waits)
    settings.PROVIDER_SIMULATOR_BASE_URL = provider.base_url
    Item.objects.update(due_at=timezone.now())
    poll_due(the_route())
    assert RouteHealth.objects.get(pk="simulator").unanswered_since is None
