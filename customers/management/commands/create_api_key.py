"""Make an API key for a customer: the first one that may make others, or one for a purpose of its own."""

import json
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from customers.access import DEFAULT_SCOPES, SCOPES, Permission
from customers.addresses import NoNetwork, read_network
from customers.issuing import KeyOrder, issue_from_us
from customers.models import Mode, Organization
from customers.representations import key_answer
from sora2.times import from_rfc3339


class Command(BaseCommand):
    help = "Make an API key for a customer and print it with its secret, shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organization", metavar="ORG_ID", help="the customer's id, org_…")
        parser.add_argument("--name", required=True, help="what it is for; the customer reads it")
        parser.add_argument("--mode", choices=Mode.values, default=Mode.TEST.value)
        parser.add_argument("--scope", action="append", choices=[str(scope) for scope in SCOPES])
        parser.add_argument("--expires-at", help="a time with its zone")
        parser.add_argument("--budget", type=int, help="credits that its batches may hold and be charged together")
        parser.add_argument("--network", action="append", default=[], help="from where it may be used")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        organization = Organization.objects.filter(pk=options["organization"]).first()
        if organization is None:
            raise CommandError(f"There is no customer {options['organization']!r}.")
        if options["budget"] is not None and options["budget"] < 0:
            raise CommandError("A budget is 0 credits or more.")
        now = timezone.now()
        order = KeyOrder(
            name=options["name"],
            scopes=[Permission(scope) for scope in options["scope"] or DEFAULT_SCOPES],
            expires_at=_instant(options["expires_at"], now),
            budget_credits=options["budget"],
            allowed_networks=[_network(text) for text in options["network"]],
        )
        key, secret = issue_from_us(organization=organization, mode=Mode(options["mode"]), order=order, now=now)
        answer = key_answer(key, now=now, secret=secret)
        self.stdout.write(json.dumps(answer) if options["json"] else f"{key.pk} {secret}")


def _instant(text: str | None, now: datetime) -> datetime | None:
    try:
        at = from_rfc3339(text) if text else None
    except ValueError:
        at = now
    if at is not None and at <= now:
        raise CommandError("--expires-at is a time to come with its zone, such as 2026-12-01T00:00:00Z.")
    return at


def _network(text: str) -> str:
    try:
        return read_network(text)
    except NoNetwork as error:
        raise CommandError(str(error)) from error
