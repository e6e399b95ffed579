"""Django's settings for django-webhook, in an environment that has it: nothing but what it needs.

Without DEBUG; the connection to the database is kept; its events are stored, which is its default, and its record of
what came of a delivery, as attempts are ours.
"""

import os

from psycopg.conninfo import conninfo_to_dict

_address = conninfo_to_dict(os.environ["DJANGO_WEBHOOK_DATABASE_URL"])
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": _address["host"],
        "PORT": _address["port"],
        "NAME": _address["dbname"],
        "USER": _address["user"],
        "CONN_MAX_AGE": None,
    }
}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django_webhook"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "unused"  # noqa: S105 - nothing is signed with it.
USE_TZ = True
# It must know one; no row of it is ever saved.
DJANGO_WEBHOOK = {"MODELS": ["auth.User"], "STORE_EVENTS": True}
