"""The one place where a service's commit wakes a worker, by task name, without knowing Celery's tasks.

What is due stands in rows; the bell only says "look now". A bell that is lost costs at most a second:
beat rings each of them anyway. So nothing here is retried, awaited or allowed to fail the caller.
"""

import functools
from collections.abc import Mapping

import structlog
from celery import current_app
from django.db import transaction

log = structlog.get_logger(__name__)

# A bell nobody heard for this long is stale: beat has rung again since.
EXPIRES_SECONDS = 5


def ring(task: str, *, delay_seconds: float = 0, **arguments: str) -> None:
    """Wake a worker to run `task` (a Celery task name) once the current transaction has committed."""
    transaction.on_commit(functools.partial(_send, task, delay_seconds, arguments), robust=True)


def _send(task: str, delay_seconds: float, arguments: Mapping[str, str]) -> None:
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
