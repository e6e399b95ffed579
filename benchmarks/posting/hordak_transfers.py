"""Transfers of django-hordak, in an environment that has it: `-m benchmarks.posting.hordak_transfers DATABASE_URL`.

Each account has a second one that its transfers go to, as a wallet has its own buckets: no row is shared. The guard is
what an application must add against overdraft: lock the account, and add its legs up.
"""

import sys
from typing import Any

import django
from django.conf import settings

from benchmarks.posting.worker import Verb, serve


def configure(database_url: str) -> None:
    """Set Django up on the database with nothing but what hordak needs."""
    import dj_database_url  # type: ignore[import-not-found, unused-ignore] # Of hordak's environment.

    settings.configure(
        DATABASES={"default": dj_database_url.parse(database_url, conn_max_age=None)},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "mptt", "djmoney", "hordak"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        SECRET_KEY="unused",  # noqa: S106 - nothing is signed.
        USE_TZ=True,
    )
    django.setup()


def prepare(accounts: int) -> None:
    """Create the tables, and fund so many accounts."""
    from django.core.management import call_command
    from hordak.models import Account  # type: ignore[import-not-found, unused-ignore]

    call_command("migrate", verbosity=0)

    def account(name: str) -> Any:
        return Account.objects.create(name=name, type="AS", currencies=["EUR"])

    source = account("outside")
    for number in range(1, accounts + 1):
        available = account(f"available {number}")
        account(f"reserved {number}")
        source.transfer_to(available, _money(1_000_000_000))


def verbs() -> dict[str, Verb]:
    """Return what the workers of this module can do."""
    from django.db import transaction
    from hordak.models import Account
    from hordak.utilities.currency import Balance  # type: ignore[import-not-found, unused-ignore]

    named = {account.name: account for account in Account.objects.all()}
    five = _money(5)
    least = Balance([five])

    def transfer(_: int, account: int) -> None:
        named[f"available {account}"].transfer_to(named[f"reserved {account}"], five)

    def guarded(_: int, account: int) -> None:
        with transaction.atomic():
            locked = Account.objects.select_for_update().get(pk=named[f"available {account}"].pk)
            if locked.get_simple_balance() < least:
                raise RuntimeError("overdrawn")
            locked.transfer_to(named[f"reserved {account}"], five)

    return {"transfer": transfer, "guarded": guarded}


def _money(amount: int) -> Any:
    from moneyed import Money  # type: ignore[import-not-found, unused-ignore]

    return Money(amount, "EUR")


if __name__ == "__main__":
    configure(sys.argv[1])
    if len(sys.argv) > 2:
        prepare(int(sys.argv[2]))
    else:
        serve(verbs())
