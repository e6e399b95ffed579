"""What every process that serves does before it serves: refuse wrong settings and an unguarded database."""

import structlog
from django.core.checks import CheckMessage, Tags, run_checks
from django.core.management.base import SystemCheckError
from django.db import OperationalError

log = structlog.get_logger(__name__)


def refuse_what_is_wrong() -> None:
    """Run the system checks, which gunicorn and Celery would not. Raises SystemCheckError with each fault.

    What is only to be warned of is logged. A database that does not answer cannot be looked at, and is no reason not to
    start: requests are answered 503 until it is back.
    """
    found = [*run_checks(), *_of_database()]
    for message in found:
        if not message.is_serious():
            log.warning("startup.warned", check=message.id)
    wrong = [message for message in found if message.is_serious()]
    if wrong:
        raise SystemCheckError("\n".join(str(message) for message in wrong))


def _of_database() -> list[CheckMessage]:
    try:
        return run_checks(tags=[Tags.database], databases=["default"], include_deployment_checks=True)
    except OperationalError as error:
        log.warning("startup.database_unchecked", error=type(error).__name__)
        return []
