"""Make what each customer files of a closed month, or compare it with what was made."""

import json
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from customers.models import User
from ledger import month_run
from ledger.closing import NO_CLOSER, closer_named
from ledger.month_run import Done, Outcome
from sora2.slots import slot

SIGNS = {Outcome.MADE: "✓", Outcome.SAME: "✓", Outcome.DIFFERS: "✕", Outcome.FAILED: "✕"}


class Command(BaseCommand):
    help = (
        "Make what each customer files of a closed month, once, and compare what was made before; exit status 1 if "
        "something differs or failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("month", metavar="MONTH", help="such as 2026-10")
        parser.add_argument("--by", required=True, metavar="USER", help="the login of who runs it")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        who = closer_named(options["by"])
        if who is None:
            raise CommandError(NO_CLOSER.format(options["by"]))
        with slot(month_run.TASK) as ours:
            if ours is None:
                raise CommandError("A run is under way: its month's page says how far it is.", returncode=1)
            tally = self._run(options["month"], who, as_json=options["json"])
        wrong = tally[Outcome.DIFFERS] + tally[Outcome.FAILED]
        if wrong:
            raise CommandError(f"{wrong:,} of {tally.total():,} customers: something differs or failed.", returncode=1)

    def _run(self, month: str, who: User, *, as_json: bool) -> Counter[Outcome]:
        tally: Counter[Outcome] = Counter()
        customers = []
        try:
            for done in month_run.begin(month=month, by=who):
                tally[done.outcome] += 1
                if as_json:
                    customers.append(_json(done))
                else:
                    self.stdout.write(f"{SIGNS[done.outcome]} {done.wallet.organization}: {done.says}")
        except month_run.NotRun as error:
            raise CommandError(str(error)) from error
        figures = {each.value: tally[each] for each in Outcome}
        if as_json:
            ok = not (tally[Outcome.DIFFERS] or tally[Outcome.FAILED])
            self.stdout.write(json.dumps({"ok": ok, "month": month, **figures, "customers": customers}))
        else:
            self.stdout.write(", ".join(f"{count:,} {name}" for name, count in figures.items()))
        return tally


def _json(done: Done) -> dict[str, Any]:
    file = done.file
    return {
        "organization_id": done.wallet.organization_id,
        "wallet_id": done.wallet.pk,
        "outcome": done.outcome.value,
        "says": done.says,
        "statement_sha256": file.statement_sha256 if file else None,
        "ledger_csv_sha256": file.ledger_csv_sha256 if file else None,
        "usage_invoice": file.usage_invoice.number if file and file.usage_invoice else None,
    }
