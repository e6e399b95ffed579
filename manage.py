#!/usr/bin/env python3
"""Run a management command of Sora2 Enterprise."""

import os
import sys


def main() -> None:
    """Run one command; without DATABASE_URL or REDIS_URL on the embedded servers (see sora2.embedded)."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sora2.settings")
    from django.core.management import execute_from_command_line
    from django.db import ProgrammingError
    from psycopg.errors import UndefinedTable

    from sora2.embedded import servers_for_command

    with servers_for_command(sys.argv):
        try:
            execute_from_command_line(sys.argv)
        except ProgrammingError as error:
            if not isinstance(error.__cause__, UndefinedTable):
                raise
            sys.exit("error: The database has no tables yet: run `manage.py migrate` (`manage.py stack` does) first.")


if __name__ == "__main__":
    main()
