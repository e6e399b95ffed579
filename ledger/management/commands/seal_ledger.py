"""Seal the ledger now, or check all seals and their files."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from ledger import seals


class Command(BaseCommand):
    help = "Seal the ledger now and write the file; exit status 1 if something sealed does not hold any more."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="make none; check all seals, their files and leaves")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(_check() if options["check"] else _seal())
        except (seals.SealError, OSError) as error:
            raise CommandError(f"{type(error).__name__}: {error}", returncode=1) from error


def _seal() -> str:
    made = seals.seal(now=timezone.now())
    return f"seal {made.number} over {made.wallets} wallets\nroot {made.root}\nfile {seals.file_of(made)}"


def _check() -> str:
    return f"✓ {seals.check_all()} seals hold: signatures, chain, roots, entries and files."
