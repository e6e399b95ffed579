"""manage.py demo: the whole system and a pilot's whole loop on it, on a machine with nothing prepared."""

import signal
import socket
import subprocess
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sora2.parts import PROJECT_DIR
from sora2.stack import Stack, StackError, running_stack

PORT = 8000


class Command(BaseCommand):
    help = "Start everything, run a pilot's loop on it, print the reconciliation, and serve until Ctrl-C."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See BaseCommand."""
        parser.add_argument("--exit", action="store_true", help="stop after the loop; status 0 only if all held")
        parser.add_argument("--port", type=int, help=f"of the web server ({PORT}, or a free one if that is taken)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until the loop is done (--exit) or a signal comes; nothing is left running."""
        signal.signal(signal.SIGTERM, _leave)
        started = time.monotonic()
        try:
            with running_stack(port=options["port"] or _usual_or_free_port(), report=self._report) as stack:
                self._say(f"  ✓ Everything runs at {stack.url} ({time.monotonic() - started:.1f} s)")
                status = _rehearse(stack)
                if options["exit"]:
                    self._say("Stopping.")
                else:
                    self._serve(stack, status)
        except KeyboardInterrupt:
            self._say("\nStopped. Nothing is left running; the data is kept.")
            return
        except StackError as error:
            raise CommandError(str(error)) from error
        if status:
            raise CommandError("The demo's loop failed: see above.", returncode=1)

    def _serve(self, stack: Stack, status: int) -> None:
        self._say(
            "  Serving until Ctrl-C." if not status else "  The loop failed; serving until Ctrl-C to look into it."
        )
        stack.wait()

    def _report(self, line: str) -> None:
        self._say(f"  · {line}")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _rehearse(stack: Stack) -> int:
    """Run the loop in a process of its own, whose settings are the running system's; return its exit status."""
    command = [sys.executable, "manage.py", "rehearse_pilot"]
    return subprocess.run(command, cwd=PROJECT_DIR, env=stack.environment, check=False).returncode


def _usual_or_free_port() -> int:
    try:
        with socket.create_server(("127.0.0.1", PORT)):
            return PORT
    except OSError:
        return 0


def _leave(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
