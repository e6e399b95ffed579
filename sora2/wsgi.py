"""The WSGI application that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sora2.settings")

application = get_wsgi_application()

from sora2.startup import refuse_what_is_wrong  # noqa: E402 - the checks need Django set up.

refuse_what_is_wrong()
