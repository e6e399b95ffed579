"""The scheduled work about people, and about what waits for them."""

from importlib import import_module

from axes.models import AccessAttempt
from celery import shared_task
from django.conf import settings
from django.utils import timezone

from customers.handing_over import wipe_expired


@shared_task(name="customers.forget_sessions")
def forget_sessions() -> None:
    """Delete sessions that have expired, and failures to sign in that count no more."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    AccessAttempt.objects.filter(attempt_time__lt=timezone.now() - settings.AXES_COOLOFF_TIME).delete()


@shared_task(name="customers.wipe_handovers")
def wipe_handovers() -> None:
    """Wipe the secrets whose one-time links ended unused."""
    wipe_expired(now=timezone.now())
