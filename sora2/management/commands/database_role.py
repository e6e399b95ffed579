"""Give the role that the system runs as exactly the rights that it needs."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from sora2.database_grants import RoleRefused, establish, statements


class Command(BaseCommand):
    help = "As the tables' owner, give a database role exactly the rights that the system needs; create it if missing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the role that the system runs as")
        parser.add_argument("--print", action="store_true", help="print the SQL and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        role = options["name"]
        try:
            if options["print"]:
                self.stdout.write("\n".join(f"{statement};" for statement in statements(role=role)))
                return
            is_new = establish(role=role)
        except (RoleRefused, DatabaseError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{role} may do what the system needs, and nothing else.")
        if is_new:
            self.stdout.write(f"It is new, and has no password yet: give it one with \\password {role} in psql.")
