"""Create a member of staff with one of the staff roles."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from customers.access import STAFF_ROLES
from customers.models import User
from customers.services import create_staff


class Command(BaseCommand):
    help = "Create a member of staff and print the password, shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", required=True)
        parser.add_argument("--role", required=True, choices=sorted(STAFF_ROLES))

    def handle(self, *args: Any, **options: Any) -> None:
        if User.objects.filter(username=options["username"]).exists():
            raise CommandError(f"There is a user {options['username']!r} already. Choose another name.")
        user, password = create_staff(username=options["username"], role=options["role"])
        self.stdout.write(f"{user.username} {password}")
