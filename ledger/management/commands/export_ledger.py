"""Write the entries of a customer's wallet to a file."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from customers.models import Mode
from ledger.exports.formats import FORMATS
from ledger.exports.selection import Selection
from ledger.intervals import NotAnInterval, interval_of
from ledger.models import Wallet

STANDARD_OUTPUT = "-"


class Command(BaseCommand):
    help = "Write the entries of a customer's wallet to a file, oldest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organization", metavar="ORG_ID")
        parser.add_argument("--mode", choices=Mode.values, default=Mode.LIVE.value)
        parser.add_argument("--format", choices=sorted(FORMATS), default="csv")
        parser.add_argument("--from", default="", help="a day (in UTC) or a time, inclusive")
        parser.add_argument("--until", default="", help="a day (in UTC) or a time, exclusive")
        parser.add_argument("--output", default=STANDARD_OUTPUT, help="a file; - is standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        wallet = _wallet(options["organization"], options["mode"])
        try:
            interval = interval_of(options["from"], options["until"])
        except NotAnInterval as error:
            raise CommandError(str(error)) from error
        selection = Selection(wallet=wallet, created_after=interval.starts_at, created_before=interval.ends_at)
        file_format, output = FORMATS[options["format"]], options["output"]
        try:
            with _opened(output) as file:
                file.writelines(file_format.blocks(selection.fixed()))
        except OSError as error:
            raise CommandError(f"Nothing was written to {output}: {error.strerror}.") from error


def _wallet(organization_id: str, mode: str) -> Wallet:
    wallet = Wallet.objects.filter(organization_id=organization_id, mode=mode).first()
    if wallet is None:
        raise CommandError(f"There is no customer {organization_id!r} with a {mode} wallet.")
    return wallet


@contextlib.contextmanager
def _opened(output: str) -> Iterator[IO[bytes]]:
    """Open what is written to. A file is there when it is whole, and not before."""
    if output == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    if path.exists() and not path.is_file():
        with path.open("wb") as pipe:
            yield pipe
        return
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
