"""Forget the authenticator of somebody who lost the phone and the recovery codes."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from customers import two_step
from customers.models import User
from customers.services import NoStaff, staff_named


class Command(BaseCommand):
    help = "Forget a person's authenticator and recovery codes, and end their sessions: the password alone is left."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", metavar="USERNAME", help="whose")
        parser.add_argument("--reason", required=True, help="how you know that it is them; stands in the audit log")
        parser.add_argument("--by", required=True, metavar="USER", help="who resets it: another member of staff")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['username']!r}. Nothing was changed.")
        reason = options["reason"].strip()
        if not reason:
            raise CommandError("Say how you know that it is them. Nothing was changed.")
        try:
            by = staff_named(options["by"])
            if by == user:
                raise CommandError("Somebody else has to reset it. Nothing was changed.")
            two_step.reset(user=user, by=by, reason=reason, now=timezone.now())
        except NoStaff as error:
            raise CommandError(f"{error} Nothing was changed.") from error
        except two_step.NoAuthenticator as error:
            raise CommandError(f"{user.username} has set up no authenticator. Nothing was changed.") from error
        self.stdout.write(f"{user.username} signs in with the password alone, and sets up an authenticator anew.")
