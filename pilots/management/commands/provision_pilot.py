"""Provision a pilot: organization, wallets with promotional credits, keys, webhook endpoint, login."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from pilots.services import InvalidPilot, PilotOrder, provision_pilot
from sora2.times import from_timestamp
from webhooks.guarded import ForbiddenTarget


class Command(BaseCommand):
    help = "Provision a pilot and print what the customer needs, secrets included: they are shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="the customer's name")
        parser.add_argument("--credits", type=int, required=True, help="promotional credits")
        parser.add_argument("--reason", default="", help="why these credits are given; the customer reads it")
        parser.add_argument("--webhook-url", default="", help="the customer's HTTPS endpoint")
        parser.add_argument("--sink", action="store_true", help="use an internal test endpoint instead")
        parser.add_argument("--contact", default="", help="the customer's e-mail address")
        parser.add_argument("--hours", type=int, default=48, help="the pilot's clock")
        parser.add_argument("--starts-at", type=from_timestamp, help="when the clock starts, with its zone")
        parser.add_argument("--key-expires", type=from_timestamp, help="when the keys end, with its zone")
        parser.add_argument("--max-items", type=int, default=50, help="items a batch may have")
        parser.add_argument("--rate-limit", type=int, default=60, help="requests a minute")
        parser.add_argument("--max-open-batches", type=int, default=100, help="batches open at once")
        parser.add_argument("--links", action="store_true", help="print one-time links instead of secrets")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        given = {field: options[field] for field in PilotOrder.__dataclass_fields__ if field in options}
        order = PilotOrder(**given, key_expires_at=options["key_expires"])
        try:
            made = provision_pilot(order=order, actor="system", now=timezone.now(), by_link=options["links"])
        except (InvalidPilot, ForbiddenTarget) as error:
            raise CommandError(str(error)) from error
        provisioned = made.as_json()
        if options["json"]:
            self.stdout.write(json.dumps(provisioned))
            return
        for name, value in provisioned.items():
            self.stdout.write(f"{name:24} {value}")
        self.stdout.write(
            "Send each link to one person: it shows what it holds once, within 72 hours."
            if made.links
            else "Hand the secrets over safely: they are not stored in clear and cannot be shown again."
        )
