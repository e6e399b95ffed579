"""How many requests an organization may send."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pytest_django import Settings

from customers import throttling
from sora2.ids import new_id
from tests.factories import make_account


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[str]:
    """The address of a store that takes connections and never answers."""
    path = tmp_path / "redis.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(100)
        yield f"unix://{path}"


@pytest.mark.django_db
def test_every_answer_says_what_is_left() -> None:
    api = make_account(rate_limit_per_minute=3).api
    for left in ("2", "1", "0"):
        response = api.get("/wallet")
        assert response.status_code == 200
        assert response.headers["RateLimit-Limit"] == "3"
        assert response.headers["RateLimit-Remaining"] == left
        assert 1 <= int(response.headers["RateLimit-Reset"]) <= 60
    refused = api.get("/wallet")
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert refused.headers["RateLimit-Remaining"] == "0"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


@pytest.mark.django_db
def test_errors_count_and_say_what_is_left_too() -> None:
    api = make_account(rate_limit_per_minute=2).api
    assert api.get("/video-batch/nonsense").headers["RateLimit-Remaining"] == "1"
    assert api.send("PUT", "/wallet").headers["RateLimit-Remaining"] == "0"


@pytest.mark.django_db
def test_both_modes_share_the_limit_and_organizations_do_not() -> None:
    account, other = make_account(rate_limit_per_minute=1), make_account(rate_limit_per_minute=1)
    assert account.api.get("/wallet").status_code == 200
    assert account.test_api.get("/wallet").status_code == 429
    assert other.api.get("/wallet").status_code == 200


@pytest.mark.django_db
def test_the_rate_is_looked_at_before_the_scope() -> None:
    api = make_account(rate_limit_per_minute=0).api
    assert api.send("POST", "/video-batch", b"{", "text/plain").status_code == 429


def test_the_limit_is_exact_when_many_ask_at_once(settings: Settings) -> None:
    limiter, name = throttling.RateLimiter(settings.REDIS_URL), new_id("org")
    with ThreadPoolExecutor(16) as pool:
        allowances = list(pool.map(lambda _: limiter.hit(name, 50), range(120)))
    assert sum(allowance.allowed for allowance in allowances) == 50


def test_the_window_moves(settings: Settings) -> None:
    limiter, name = throttling.RateLimiter(settings.REDIS_URL, window_seconds=1), new_id("org")
    assert [limiter.hit(name, 1).allowed, limiter.hit(name, 1).allowed] == [True, False]
    time.sleep(1.1)
    assert limiter.hit(name, 1).allowed


@pytest.mark.django_db
def test_without_the_store_requests_are_let_through(settings: Settings, tmp_path: Path) -> None:
    api = make_account(rate_limit_per_minute=1).api
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    started = time.monotonic()
    for _ in range(3):
        response = api.get("/wallet")
        assert response.status_code == 200
        assert response.headers["RateLimit-Limit"] == "1"
    assert time.monotonic() - started < 1


def test_a_store_that_hangs_is_asked_once_and_then_left_alone(hanging: str) -> None:
    limiter = throttling.RateLimiter(hanging)
    started = time.monotonic()
    assert limiter.hit("org", 1).allowed
    assert 0.15 < time.monotonic() - started < 0.4
    started = time.monotonic()
    assert all(limiter.hit("org", 1).allowed for _ in range(20))
    assert time.monotonic() - started < 0.1


def test_a_store_that_came_back_counts_again(settings: Settings) -> None:
    limiter, name = throttling.RateLimiter(settings.REDIS_URL), new_id("org")
    limiter._asked_again_at = time.monotonic() + 0.1
    assert limiter.hit(name, 1).remaining == 1
    time.sleep(0.15)
    assert [limiter.hit(name, 1).allowed, limiter.hit(name, 1).allowed] == [True, False]


def test_no_store_at_all_is_no_failure(settings: Settings) -> None:
    settings.REDIS_URL = ""
    assert throttling._limiter("").hit("org", 5) == throttling.Allowance(5, 5, 60)
