"""The one place where a service's commit wakes a worker, by task name, without knowing Celery's tasks.

What is due stands in rows; the bell only says "look now". A bell that is lost costs at most a second:
beat rings each of them anyway. So nothing here is retried, awaited or allowed to fail the caller.

A bell that hangs in the queue already is not rung again: whoever hears it looks after that, and sees all that was
committed before. So a thousand commits at once wake a worker a few times, and not a thousand times.
"""

import functools
import json
import time
from collections.abc import Mapping

import redis
import structlog
from celery import current_app
from django.conf import settings
from django.db import transaction
from redis.backoff import NoBackoff
from redis.retry import Retry

log = structlog.get_logger(__name__)

# A bell nobody heard for this long is stale: beat has rung again since.
EXPIRES_SECONDS = 5
# Where it is noted that a bell hangs in the queue, an answer takes no longer than this, and is not asked for a while
# after it failed. Without the note it is rung.
STORE_TIMEOUT_SECONDS, STORE_REST_SECONDS = 0.5, 5.0


def ring(task: str, *, delay_seconds: float = 0, **arguments: str) -> None:
    """Wake a worker to run `task` (a Celery task name) once the current transaction has committed."""
    transaction.on_commit(functools.partial(_send, task, delay_seconds, arguments), robust=True)


def heard(task: str, arguments: Mapping[str, str]) -> None:
    """Note that a worker has heard a bell and will look now: whoever rings from here on is to be heard again."""
    _notes().take_down(_name(task, arguments))


def _send(task: str, delay_seconds: float, arguments: Mapping[str, str]) -> None:
    if not delay_seconds and not _notes().put_up(_name(task, arguments)):
        return
    try:
        current_app.send_task(
            task,
            kwargs=dict(arguments),
            countdown=delay_seconds or None,
            expires=EXPIRES_SECONDS + delay_seconds,
            retry=False,
            ignore_result=True,
        )
    except Exception as error:  # A dead broker must never fail what is already committed.
        log.warning("bell.broker_unreachable", task=task, error=type(error).__name__)


def _name(task: str, arguments: Mapping[str, str]) -> str:
    return f"sora2:bell:{task}:{json.dumps(dict(arguments), sort_keys=True)}"


class _Notes:
    """Which bells hang in the queue, noted in Redis. Without that none is known to."""

    def __init__(self, url: str) -> None:
        # A connection that the server has closed is opened again at once; what times out is not tried twice.
        retry = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
        limits = {"socket_timeout": STORE_TIMEOUT_SECONDS, "socket_connect_timeout": STORE_TIMEOUT_SECONDS}
        self._store = redis.Redis.from_url(url, retry=retry, **limits) if url else None
        self._rests_until = 0.0

    def put_up(self, name: str) -> bool:
        """Note that a bell is in the queue; return whether it was not, as far as is known."""
        if self._store is None or time.monotonic() < self._rests_until:
            return True
        try:
            return bool(self._store.set(name, "1", nx=True, ex=EXPIRES_SECONDS))
        except (redis.RedisError, OSError):
            self._rests_until = time.monotonic() + STORE_REST_SECONDS
            return True

    def take_down(self, name: str) -> None:
        """Note that it was heard. A note that cannot be taken down ends by itself; beat rings meanwhile."""
        if self._store is None:
            return
        try:
            self._store.delete(name)
        except (redis.RedisError, OSError) as error:
            log.warning("bell.note_stays", error=type(error).__name__)


def _notes() -> _Notes:
    return _notes_at(settings.REDIS_URL)


@functools.lru_cache(maxsize=4)
def _notes_at(url: str) -> _Notes:
    return _Notes(url)
