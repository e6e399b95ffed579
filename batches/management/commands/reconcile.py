"""Check every invariant over all data: is every credit explained?"""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from batches.reconciliation import INVARIANTS, reconcile_in_turn
from ledger.models import ReconciliationRun


class Command(BaseCommand):
    help = "Check every invariant over all data; exit status 1 and the exact rows if any credit is unexplained."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        run = reconcile_in_turn()
        self.stdout.write(json.dumps(_as_json(run)) if options["json"] else _as_text(run))
        if not run.explained:
            count = sum(run.counts.values())
            raise CommandError(f"{count} {'row breaks' if count == 1 else 'rows break'} a promise.", returncode=1)


def _as_json(run: ReconciliationRun) -> dict[str, Any]:
    return {
        "ok": run.explained,
        "checks": len(INVARIANTS),
        "batches": run.batches,
        "items": run.items,
        "entries": run.entries,
        "figures": run.figures,
        "counts": run.counts,
        "discrepancies": run.discrepancies,
    }


def _as_text(run: ReconciliationRun) -> str:
    checked = f"{len(INVARIANTS)} promises, {run.batches} batches, {run.items} items, {run.entries} entries"
    if run.explained:
        return f"✓ Every credit is explained ({checked})."
    rows = [f"  {row['subject']}  {row['detail']}\n      {row['promise']}" for row in run.discrepancies]
    more = sum(run.counts.values()) - len(run.discrepancies)
    unlisted = [f"  … and {more} rows more"] if more else []
    return "\n".join([f"✕ Not every credit is explained ({checked}):", *rows, *unlisted])
