"""Rehearse a pilot on the running system, and print the onboarding document's reconciliation table."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pilots.loop import StepFailed
from pilots.rehearsal import Rehearsed, rehearse

TABLE = """
  Entry                      Value
  Reserved (initial)     {reserved:>9}
  Settled (success)      {settled:>9}
  Refunded (failures)    {refunded:>9}

  reserved = settled + refunded
  {reserved} = {settled} + {refunded} ✓
"""


class Command(BaseCommand):
    help = "Run a pilot's whole loop with play data against the running system; exit status 1 if a check fails."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = rehearse(tell=self._tell, progress=self._progress)
        except StepFailed as error:
            raise CommandError(str(error)) from error
        self._clear()
        self.stdout.write(_result(done))

    def _tell(self, line: str) -> None:
        self._clear()
        self.stdout.write(f"  ✓ {line}")
        self.stdout.flush()

    def _progress(self, word: str) -> None:
        if sys.stdout.isatty():
            self.stdout.write(f"\r\033[K  … {word}", ending="")
            self.stdout.flush()

    def _clear(self) -> None:
        if sys.stdout.isatty():
            self.stdout.write("\r\033[K", ending="")


def _result(done: Rehearsed) -> str:
    login = f"  {done.dashboard_url}\n  login {done.provisioned.username}  password {done.provisioned.password}"
    return f"{TABLE.format(**done.ledger)}\n{login}\n  The loop took {done.seconds:.1f} s."
