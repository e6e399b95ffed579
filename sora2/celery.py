"""The Celery application. PostgreSQL is the queue and the clock; Celery is the muscle and the alarm."""

import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, task_prerun, worker_init, worker_shutting_down

from sora2 import bell
from sora2.drain import end_claiming

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sora2.settings")

app = Celery("sora2")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def _watch_for_silence(**_: object) -> None:
    """In workers only, and not where tasks are sent."""
    import sora2.silence  # noqa: F401 - connects itself.


@worker_init.connect
@beat_init.connect
def _check(**_: object) -> None:
    """Celery would run Django's checks and go on whatever they say; only SystemExit stops it."""
    import django
    from django.core.management.base import SystemCheckError

    django.setup()
    from sora2.startup import refuse_what_is_wrong

    try:
        refuse_what_is_wrong()
    except SystemCheckError as error:
        # Beat ends with the status of a SystemExit, and loses its words; Celery has put a logger in stderr's place.
        os.write(2, f"error: {error}\n".encode())
        raise SystemExit(1) from error


@task_prerun.connect
def _heard(task: Any, kwargs: dict[str, str], **_: object) -> None:
    """Before it looks, so that whoever commits after that rings again."""
    bell.heard(task.name, kwargs)


@worker_shutting_down.connect
def _end_claiming(**_: object) -> None:
    """What is under way is finished; nothing new is begun by a worker that is about to end."""
    end_claiming()
