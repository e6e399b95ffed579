"""Liveness and readiness. Neither waits long: who asks wants to know now."""

import redis
import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe
from redis.backoff import NoBackoff
from redis.retry import Retry

log = structlog.get_logger(__name__)

# libpq waits for no shorter time than this.
DATABASE_TIMEOUT_SECONDS = 2
BROKER_TIMEOUT_SECONDS = 0.5


@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """Answer that this process serves requests."""
    return JsonResponse({"ok": True})


@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """Answer 200 when requests can be served, 503 without the database. Without the broker they can be."""
    database, broker = _database_answers(), _broker_answers()
    body = {"ok": database, "database": _word(database), "broker": _word(broker)}
    headers = {} if database else {"Retry-After": "5"}
    return JsonResponse(body, status=200 if database else 503, headers=headers)


def _database_answers() -> bool:
    """Ask over a connection of its own: one that hangs could not be given up."""
    probe = connection.copy()
    probe.settings_dict["OPTIONS"] = {
        **probe.settings_dict.get("OPTIONS", {}),
        "connect_timeout": DATABASE_TIMEOUT_SECONDS,
        "options": f"-c statement_timeout={DATABASE_TIMEOUT_SECONDS}s",
    }
    try:
        with probe.cursor() as cursor:
            cursor.execute("SELECT 1")
            return bool(cursor.fetchone() == (1,))
    except DatabaseError as error:
        log.warning("health.database_down", error=type(error).__name__)
        return False
    finally:
        probe.close()


def _broker_answers() -> bool:
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=BROKER_TIMEOUT_SECONDS,
            socket_connect_timeout=BROKER_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        ) as broker:
            return bool(broker.ping())
    except (redis.RedisError, ValueError, OSError) as error:
        log.warning("health.broker_down", error=type(error).__name__)
        return False


def _word(answers: bool) -> str:
    return "up" if answers else "down"
