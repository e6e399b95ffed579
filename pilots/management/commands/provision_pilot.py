"""Provision a pilot: organization, wallets with promotional credits, keys, webhook endpoint, login."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from pilots.services import InvalidPilot, PilotOrder, provision_pilot
from webhooks.guarded import ForbiddenTarget


class Command(BaseCommand):
    help = "Provision a pilot and print what the customer needs, secrets included: they are shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="the customer's name")
        parser.add_argument("--credits", type=int, required=True, help="promotional credits")
        parser.add_argument("--webhook-url", default="", help="the customer's HTTPS endpoint")
        parser.add_argument("--sink", action="store_true", help="use an internal test endpoint instead")
        parser.add_argument("--contact", default="", help="the customer's e-mail address")
        parser.add_argument("--hours", type=int, default=48, help="the pilot's clock")
        parser.add_argument("--max-items", type=int, default=50, help="items a batch may have")
        parser.add_argument("--rate-limit", type=int, default=60, help="requests a minute")
        parser.add_argument("--max-open-batches", type=int, default=100, help="batches open at once")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        order = PilotOrder(**{field: options[field] for field in PilotOrder.__dataclass_fields__ if field in options})
        try:
            provisioned = provision_pilot(order=order, actor="system", now=timezone.now()).as_json()
        except (InvalidPilot, ForbiddenTarget) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(provisioned))
            return
        for name, value in provisioned.items():
            self.stdout.write(f"{name:24} {value}")
        self.stdout.write("Hand the secrets over safely: they are not stored in clear and cannot be shown again.")
