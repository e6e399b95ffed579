"""Check an exported ledger, and the seals over it, offline."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ledger import verify_ledger


class Command(BaseCommand):
    help = "Check an exported ledger offline; exit status 1 and the first wrong row if anything does not hold."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        verify_ledger.add_ledger_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            verify_ledger.verify_ledger(
                options["file"],
                seals=options["seal"],
                paths=options["path"],
                key=options["key"],
                say=self.stdout.write,
            )
        except verify_ledger.Wrong as error:
            raise CommandError(str(error), returncode=1) from error
        except OSError as error:
            raise CommandError(f"not checked: {error}", returncode=2) from error
