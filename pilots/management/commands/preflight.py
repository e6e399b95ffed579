"""Make the onboarding document's internal checklist for real, against the running system."""

import json
import signal
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from pilots import preflight
from pilots.models import Preflight
from pilots.preflight_checks import words_of


class Command(BaseCommand):
    help = "Check for real that a customer can be onboarded; exit status 1 if anything fails."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            taken = preflight.begin(by="system", now=timezone.now())
        except preflight.AlreadyRunning as error:
            raise CommandError(str(error)) from error
        # So that what the run was given is taken away then too.
        before = signal.signal(signal.SIGTERM, _leave)
        try:
            ended = preflight.run(taken)
        finally:
            signal.signal(signal.SIGTERM, before)
        self.stdout.write(json.dumps(_as_json(ended)) if options["json"] else _as_text(ended))
        if not ended.ok:
            failed = sum(not check["ok"] for check in ended.checks)
            raise CommandError(f"{failed} of {len(ended.checks)} checks failed.", returncode=1)


def _as_json(ended: Preflight) -> dict[str, Any]:
    return {"ok": ended.ok, "preflight_id": ended.pk, "seconds": ended.seconds, "checks": ended.checks}


def _as_text(ended: Preflight) -> str:
    lines = [
        f"{'✓' if check['ok'] else '✕'} {check['seconds']:6.1f} s  {words_of(check['name'])}\n"
        f"             {check['detail']}"
        for check in ended.checks
    ]
    end = "✓ Ready to onboard a customer" if ended.ok else "✕ Do not onboard a customer yet"
    return "\n".join([*lines, f"{end} ({ended.pk}, {ended.seconds:.1f} s)."])


def _leave(*_: object) -> None:
    sys.exit(128 + signal.SIGTERM)
