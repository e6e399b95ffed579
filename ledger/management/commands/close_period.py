"""Close a month, for all customers."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from ledger import periods
from ledger.closing import NO_CLOSER, close_month, closer_named
from ledger.intervals import NotAnInterval, month_of


class Command(BaseCommand):
    help = "Close a month (in UTC) for all customers: no entry is dated into it any more."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("month", metavar="MONTH", help="such as 2026-10")
        parser.add_argument("--by", required=True, metavar="USER", help="the login of who closes it")

    def handle(self, *args: Any, **options: Any) -> None:
        who = closer_named(options["by"])
        if who is None:
            raise CommandError(NO_CLOSER.format(options["by"]))
        try:
            period = close_month(month=options["month"], closed_by=who, now=timezone.now())
        except (NotAnInterval, periods.NotClosed) as error:
            raise CommandError(f"{error} Nothing was changed.") from error
        self._print(periods.effect(month=month_of(period.month)))

    def _print(self, effect: periods.Effect) -> None:
        self.stdout.write(f"{effect.month.name} is closed: no entry is dated into it any more.")
        for totals in effect.totals:
            closing = totals.closing
            self.stdout.write(
                f"{totals.mode}: {totals.wallets:,} wallets, {totals.entries:,} entries; closing "
                f"funded {closing.funded:,} = available {closing.available:,} + reserved {closing.reserved:,} "
                f"+ settled {closing.settled:,}"
            )
        for held in effect.reserves:
            reserve, wallet = held.reserve, held.wallet
            self.stdout.write(
                f"open at its end: {reserve.reference}, {reserve.credits:,} credits of {wallet.organization} "
                f"({wallet.mode}) since {reserve.since:%Y-%m-%d %H:%M} UTC"
            )
