"""Check the books against an executable model: random operations on a scratch database, some of which die."""

import json
import random
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from batches.model_check.checking import Report, check
from batches.model_check.scratch import scratch_database

STEPS, CONNECTIONS = 200, 4
CONNECTIONS_MAX = 8


class Command(BaseCommand):
    help = (
        "Run random operations on a scratch database of its own, compare it with a model in plain Python after each "
        "step, and end with all invariants; exit status 1 and the trace if they differ."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seed", type=int, help="the plan to run (a random one)")
        parser.add_argument("--steps", type=int, default=STEPS, help=f"groups of operations ({STEPS})")
        parser.add_argument(
            "--connections", type=int, default=CONNECTIONS, help=f"operations at once, at most ({CONNECTIONS}; 1 to 8)"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        steps, connections = options["steps"], options["connections"]
        seed = random.randrange(1_000_000) if options["seed"] is None else options["seed"]  # noqa: S311 - no secret.
        if steps < 1 or not 1 <= connections <= CONNECTIONS_MAX:
            raise CommandError(f"Give at least 1 step, and 1 to {CONNECTIONS_MAX} connections.", returncode=2)
        try:
            with scratch_database():
                report = check(seed=seed, steps=steps, connections=connections)
        except DatabaseError as error:
            raise CommandError(f"The scratch database failed: {error}", returncode=2) from error
        given = {"seed": seed, "steps": steps, "connections": connections}
        self.stdout.write(json.dumps(_as_json(report, given)) if options["json"] else _as_text(report, given))
        if report.mismatch:
            raise CommandError("The model does not explain the books.", returncode=1)


def _as_json(report: Report, given: Mapping[str, int]) -> dict[str, Any]:
    return {"ok": report.mismatch is None, **given, **asdict(report)}


def _as_text(report: Report, given: Mapping[str, int]) -> str:
    done = (
        f"seed {given['seed']}: {report.operations} operations, of which {report.deaths} died, at most "
        f"{given['connections']} at once; {report.batches} batches, {report.entries} entries"
    )
    if report.mismatch is None:
        return f"✓ The model explains the books ({done})."
    again = " ".join(f"--{name} {value}" for name, value in given.items())
    return "\n".join(
        [
            f"✕ The model does not explain the books ({done}).",
            *report.mismatch.trace,
            *(f"  {difference}" for difference in report.mismatch.differences),
            f"Again: manage.py check_ledger_model {again}",
        ]
    )
