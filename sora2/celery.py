"""The Celery application. PostgreSQL is the queue and the clock; Celery is the muscle and the alarm."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sora2.settings")

app = Celery("sora2")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
