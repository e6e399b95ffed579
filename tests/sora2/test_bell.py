"""Bells: rung after the commit, once while one hangs in the queue, and whatever becomes of the broker."""

import os
import uuid
from typing import Any

import pytest
import redis
from django.db import transaction
from pytest_django import Settings

from sora2 import bell
from sora2.celery import app


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, str]]]:
    """The bells that went to the broker."""
    sent: list[tuple[str, dict[str, str]]] = []

    def send_task(task: str, kwargs: dict[str, str], **_: Any) -> None:
        sent.append((task, kwargs))

    monkeypatch.setattr(app, "send_task", send_task)
    return sent


@pytest.fixture
def name() -> str:
    """A task that nobody else rings."""
    return f"test.{uuid.uuid4()}"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_redis")
def test_a_bell_that_hangs_in_the_queue_is_not_rung_again_until_it_is_heard(
    rung: list[tuple[str, dict[str, str]]], name: str
) -> None:
    for _ in range(3):
        bell.ring(name)
    bell.ring(name, route="a")
    bell.ring(name, route="b")
    assert rung == [(name, {}), (name, {"route": "a"}), (name, {"route": "b"})]
    bell.heard(name, {"route": "a"})
    for route in ("a", "b"):
        bell.ring(name, route=route)
    assert rung[3:] == [(name, {"route": "a"})]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_redis")
def test_a_bell_is_noted_after_the_commit_only(rung: list[tuple[str, dict[str, str]]], name: str) -> None:
    with transaction.atomic():
        bell.ring(name)
        assert rung == []
        # Heard between: the commit that comes is yet to be seen.
        bell.heard(name, {})
    assert rung == [(name, {})]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_redis")
def test_a_bell_for_later_is_always_rung_and_holds_up_none_for_now(
    rung: list[tuple[str, dict[str, str]]], name: str
) -> None:
    bell.ring(name, delay_seconds=3)
    bell.ring(name, delay_seconds=3)
    bell.ring(name)
    assert len(rung) == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("url", ["", "redis://127.0.0.1:9/0"])
def test_without_redis_every_bell_is_rung(
    settings: Settings, rung: list[tuple[str, dict[str, str]]], name: str, url: str
) -> None:
    settings.REDIS_URL = url
    bell.ring(name)
    bell.ring(name)
    bell.heard(name, {})
    assert len(rung) == 2


@pytest.mark.usefixtures("_redis")
def test_a_task_that_begins_has_heard_its_bell(name: str) -> None:
    @app.task(name=name)
    def look(route: str) -> str:
        return route

    assert bell._notes().put_up(bell._name(name, {"route": "a"}))
    assert not bell._notes().put_up(bell._name(name, {"route": "a"}))
    look.apply(kwargs={"route": "a"})
    assert bell._notes().put_up(bell._name(name, {"route": "a"}))


@pytest.fixture
def _redis(settings: Settings) -> None:
    settings.REDIS_URL = os.environ["REDIS_URL"]
    assert redis.Redis.from_url(settings.REDIS_URL).ping()
