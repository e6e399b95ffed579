"""manage.py stack: the whole system in the foreground."""

import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sora2.stack import StackError, running_stack


class Command(BaseCommand):
    """Run everything until SIGTERM or Ctrl-C; standard output carries the one line `ready http://…`."""

    help = (
        "Runs database, broker, provider simulator, web, worker and beat in the foreground, with embedded "
        "servers where DATABASE_URL or REDIS_URL is not set. Prints `ready URL` when it serves; logs are in "
        "SORA2_DATA_DIR/log."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See BaseCommand."""
        parser.add_argument("--port", type=int, default=8000, help="of the web server; 0: a free one")
        parser.add_argument("--workers", type=int, default=6, help="processes of the worker")

    def handle(self, *, port: int, workers: int, **options: Any) -> None:
        """Run until a signal comes, then stop all parts within 30 seconds."""
        signal.signal(signal.SIGTERM, _leave)
        signal.signal(signal.SIGINT, _leave)
        try:
            with running_stack(port=port, workers=workers, report=self._report) as stack:
                self.stdout.write(f"ready {stack.url}")
                self.stdout.flush()
                stack.wait()
        except (StackError, OSError) as error:
            raise CommandError(str(error)) from error

    def _report(self, line: str) -> None:
        self.stderr.write(line)


def _leave(*_: object) -> None:
    """End through the `finally` blocks, which stop all parts; a second signal must not interrupt them."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(0)
