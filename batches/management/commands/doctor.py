"""What is older than it should be, and why."""

import json
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from batches.doctor import Finding, examine
from sora2.times import timestamp


class Command(BaseCommand):
    help = "List anything that is older than it should be, and why; exit status 1 if somebody has to do something."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        found = examine(now=now)
        trouble = [finding for finding in found if finding.is_trouble]
        if options["json"]:
            rows = [{**asdict(finding), "since": timestamp(finding.since)} for finding in found]
            self.stdout.write(json.dumps({"ok": not trouble, "findings": rows}))
        else:
            self.stdout.write("\n".join(_line(finding, now - (finding.since or now)) for finding in found) or HEALTHY)
        if trouble:
            things = "1 thing needs" if len(trouble) == 1 else f"{len(trouble)} things need"
            raise CommandError(f"{things} somebody.", returncode=1)


HEALTHY = "✓ Nothing is older than it should be."


def _line(finding: Finding, age: timedelta) -> str:
    sign = "✕" if finding.is_trouble else "·"
    seconds = int(age.total_seconds())
    return (
        f"{sign} {finding.subject}: {finding.says} ({finding.kind}, for {timedelta(seconds=seconds)})\n    {finding.do}"
    )
