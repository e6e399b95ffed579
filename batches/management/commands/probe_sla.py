"""Measure whether the system is available in this minute, from where this is run: by cron on another machine, say."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand
from django.utils import timezone

from batches.sla.probing import probe_readiness


class Command(BaseCommand):
    """Ask over HTTP and store what came of it; it needs the database too. Whoever asks first in a minute counts."""

    help = "Ask an address whether the system is ready, and store the answer as the probe of this minute."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", required=True, help="where to ask, as https://host")

    def handle(self, *args: str, url: str, **options: object) -> None:
        probe_readiness(now=timezone.now(), base=url.rstrip("/"))
