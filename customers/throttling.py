"""How many requests an organization may send: a moving window of 60 seconds, counted in Redis.

Deciding and counting are one script there, so the limit is exact however many requests come at once. Without the
store every request is let through, with a warning in the logs: it is better to be asked too often than not at all.
"""

import functools
import math
import time
from dataclasses import dataclass

import structlog
from django.conf import settings
from limits import RateLimitItemPerSecond
from limits.errors import ConfigurationError
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from customers.models import Organization
from sora2.brokers import limits_url

log = structlog.get_logger(__name__)

WINDOW_SECONDS = 60
# A store that hangs holds a request for this long; after a failure it is not asked again for a while.
STORE_TIMEOUT_SECONDS = 0.2
STORE_REST_SECONDS = 2.0


@dataclass(frozen=True)
class Allowance:
    """What is left to an organization after a request. `reset_seconds`: until the window frees its oldest place."""

    limit: int
    remaining: int
    reset_seconds: int
    allowed: bool = True


def hit(organization: Organization) -> Allowance:
    """Count one request of the organization and say whether it may go on."""
    return _limiter(settings.REDIS_URL).hit(organization.pk, organization.rate_limit_per_minute)


class RateLimiter:
    """Counts in the store at `redis_url`; one per process, shared by its threads."""

    def __init__(self, redis_url: str, *, window_seconds: int = WINDOW_SECONDS) -> None:
        # A connection that the server has closed is opened again at once; what times out is not tried twice.
        retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
        storage = RedisStorage(
            limits_url(redis_url),
            socket_timeout=STORE_TIMEOUT_SECONDS,
            socket_connect_timeout=STORE_TIMEOUT_SECONDS,
            retry=retry,  # type: ignore[arg-type]  # Handed on to redis-py.
        )
        self._window_seconds = window_seconds
        self._strategy = MovingWindowRateLimiter(storage)
        self._asked_again_at = 0.0

    def hit(self, name: str, limit: int) -> Allowance:
        """Count one request of `name`, unless `limit` are in the window already."""
        if limit < 1:
            return Allowance(0, 0, WINDOW_SECONDS, allowed=False)
        if time.monotonic() < self._asked_again_at:
            return _unlimited(limit)
        try:
            return self._counted(name, limit)
        except (RedisError, OSError) as error:
            self._asked_again_at = time.monotonic() + STORE_REST_SECONDS
            log.warning("throttling.store_unreachable", error=type(error).__name__)
            return _unlimited(limit)

    def _counted(self, name: str, limit: int) -> Allowance:
        item = RateLimitItemPerSecond(limit, self._window_seconds)
        allowed = self._strategy.hit(item, name)
        reset_at, remaining = self._strategy.get_window_stats(item, name)
        reset_seconds = min(max(math.ceil(reset_at - time.time()), 1), WINDOW_SECONDS)
        return Allowance(limit, max(remaining, 0) if allowed else 0, reset_seconds, allowed)


class _Open(RateLimiter):
    """Counts nothing: no store is configured."""

    def __init__(self) -> None:
        log.warning("throttling.no_store")

    def hit(self, name: str, limit: int) -> Allowance:  # noqa: ARG002
        return _unlimited(limit)


def _unlimited(limit: int) -> Allowance:
    return Allowance(limit, limit, WINDOW_SECONDS)


@functools.lru_cache(maxsize=4)
def _limiter(redis_url: str) -> RateLimiter:
    """Return the limiter for a store. Making one does not connect."""
    try:
        return RateLimiter(redis_url)
    except (ConfigurationError, ValueError):
        return _Open()
