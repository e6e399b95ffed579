"""Polling in bulk: one worker process watches many jobs with few requests, at the pace that the provider hints at."""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from batches.execution.poll import MANY, poll_due
from batches.execution.submit import submit_due
from batches.models import Item, RouteHealth
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
    assert Item.objects.filter(stage="poll", due_at__gt=timezone.now()).count() == JOBS


def test_what_is_due_a_little_later_is_asked_for_along_with_many(provider: SimulatorServer, settings: Settings) -> None:
    settings.POLL_SECONDS = 5.0
    in_flight(MANY + 20)
    soon = list(Item.objects.order_by("index").values_list("pk", flat=True)[:20])
    Item.objects.filter(pk__in=soon).update(due_at=timezone.now() + timedelta(seconds=3))
    asked = counted(provider)
    assert poll_due(the_route()) == MANY + 20
    assert asked == {"GET list": 1}


def test_few_jobs_that_are_not_due_are_left_alone(provider: SimulatorServer, settings: Settings) -> None:
    settings.POLL_SECONDS = 5.0
    in_flight(3)
    Item.objects.filter(index=0).update(due_at=timezone.now() + timedelta(seconds=3))
    assert poll_due(the_route()) == 2
    assert provider.base_url


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
