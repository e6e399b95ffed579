"""The Celery application of django-webhook, in an environment that has it.

`-m benchmarks.webhooks_contenders.django_webhook_app SECRET URL...` makes its tables, and webhooks with that secret.
"""

import os
import sys

from celery import Celery

# Else Celery closes the connection to the database before and after each task. (Ours lives with that: a task of ours
# is no delivery.)
TASKS_PER_CONNECTION = 1_000_000

app = Celery("django-webhook", broker=os.environ["DJANGO_WEBHOOK_BROKER_URL"])
app.conf.update(task_ignore_result=True, CELERY_DB_REUSE_MAX=TASKS_PER_CONNECTION)
app.autodiscover_tasks()


def main() -> None:
    """Print the ids of the webhooks, in one line."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    from django_webhook.models import Webhook  # type: ignore[import-not-found, unused-ignore] # Of its environment.

    secret, *urls = sys.argv[1:]
    made = [Webhook.objects.create(url=url) for url in urls]
    for webhook in made:
        webhook.secrets.create(token=secret)
    print(*(webhook.pk for webhook in made))


if __name__ == "__main__":
    main()
