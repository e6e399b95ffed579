"""Create a member of staff with one of the staff roles."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from customers.access import STAFF_ROLES
from customers.models import User
from customers.services import NoStaff, create_staff, staff_named


class Command(BaseCommand):
    help = "Create a member of staff and print the password, shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", required=True)
        parser.add_argument("--role", required=True, choices=sorted(STAFF_ROLES))
        parser.add_argument("--by", metavar="USER", help="who makes it: a username, for the audit log")

    def handle(self, *args: Any, **options: Any) -> None:
        if User.objects.filter(username=options["username"]).exists():
            raise CommandError(f"There is a user {options['username']!r} already. Choose another name.")
        try:
            actor = staff_named(options["by"]).pk if options["by"] else "system"
        except NoStaff as error:
            raise CommandError(f"{error} Nobody was made.") from error
        user, password = create_staff(username=options["username"], role=options["role"], actor=actor)
        self.stdout.write(f"{user.username} {password}")
