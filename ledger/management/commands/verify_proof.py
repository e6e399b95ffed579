"""Check the proof of a batch, and its items, offline."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ledger import verify_ledger


class Command(BaseCommand):
    help = "Check the proof of a batch offline; exit status 1 and the first wrong thing if anything does not hold."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        verify_ledger.add_proof_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            verify_ledger.verify_proof(options["file"], items=options["items"], say=self.stdout.write)
        except verify_ledger.Wrong as error:
            raise CommandError(str(error), returncode=1) from error
        except OSError as error:
            raise CommandError(f"not checked: {error}", returncode=2) from error
