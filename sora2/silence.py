"""A worker that hears nothing any more ends itself, so that whatever started it starts another.

Beat rings every second. After its broker was away, Celery's consumer can come back connected and never take another
task: then all that is due waits while every process looks alive. Silence without work under way tells.
"""

import os
import signal
import threading
import time

import structlog
from celery.signals import task_received, worker_ready
from celery.worker import state
from django.conf import settings

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
# What has nothing under way ends at once, unless its loop is stuck.
END_SECONDS = 10.0

_heard_at = time.monotonic()


@task_received.connect
def _heard(**_: object) -> None:
    global _heard_at
    _heard_at = time.monotonic()


@worker_ready.connect
def _watch(**_: object) -> None:
    _heard()
    if settings.WORKER_SILENCE_SECONDS:
        threading.Thread(target=_end_when_silent, name="silence", daemon=True).start()


def _end_when_silent() -> None:
    while time.monotonic() - _heard_at < settings.WORKER_SILENCE_SECONDS or state.reserved_requests:
        time.sleep(LOOK_SECONDS)
    log.error("worker.silent", seconds=settings.WORKER_SILENCE_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(END_SECONDS)
    os._exit(1)
