"""The databases of the benchmark: our books with and without the batches' guard, plain tables, those of hordak."""

import os
import subprocess
from urllib.parse import urlsplit, urlunsplit

WALLETS = 1000
FUNDS = 1_000_000_000_000
# What a ledger with a stored balance can't do without: no key but the primary ones, no time, no actor, no chain.
PLAIN_TABLES = """
    CREATE TABLE plain_account (id bigint PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0));
    CREATE TABLE plain_entry (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account_id bigint NOT NULL, amount bigint NOT NULL,
        reference text NOT NULL
    );
    CREATE TABLE plain_batch (
        id text PRIMARY KEY, state text NOT NULL, settled bigint NOT NULL, refunded bigint NOT NULL
    );
    INSERT INTO plain_account SELECT n, %(funds)s FROM generate_series(1, %(wallets)s) n;
"""


def wallet_of(number: int) -> str:
    """Return the id of a wallet, which SQL makes from its number too."""
    return f"wal_{number:026d}"


def reference_of(number: int) -> str:
    """Return the id of a batch, which SQL makes from its number too."""
    return f"bat_{number:026d}"


def fill() -> None:
    """Open funded wallets in the migrated database, and make the plain tables."""
    from django.db import connection

    from customers.models import Mode, Organization
    from ledger.models import CreditRequest, Wallet
    from ledger.services import Movement, grant_on_basis

    for number in range(1, WALLETS + 1):
        organization = Organization.objects.create(id=f"org_{number:026d}", name=f"Benchmark {number}")
        wallet = Wallet.objects.create(id=wallet_of(number), organization=organization, mode=Mode.TEST)
        movement = Movement(wallet_id=wallet.pk, reference=f"funds of {wallet.pk}", actor="system")
        grant_on_basis(movement=movement, amount=FUNDS, basis=CreditRequest.Basis.SANDBOX)
    with connection.cursor() as cursor:
        cursor.execute(PLAIN_TABLES, {"funds": FUNDS, "wallets": WALLETS})
        cursor.execute("VACUUM ANALYZE")


def copy_without_batches() -> str:
    """Copy the database, drop there the guard that asks for a batch with each entry, and return the copy's address."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        (name,) = cursor.fetchone()
    connection.close()
    run_sql(address("postgres"), f"CREATE DATABASE alone TEMPLATE {name}")
    run_sql(address("alone"), "DROP TRIGGER batches_entry_has_batch ON credit_ledger")
    return address("alone")


def address(database: str) -> str:
    """Return the address of another database on the same server."""
    return urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}"))


def run_sql(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run one statement on a database, and return its rows."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def create_for_hordak(python: str) -> str:
    """Create the database of django-hordak with as many accounts, and return its address."""
    run_sql(address("postgres"), "CREATE DATABASE hordak")
    command = [python, "-m", "benchmarks.posting.hordak_transfers", address("hordak"), str(WALLETS)]
    subprocess.run(command, check=True)
    return address("hordak")


def faults(url: str) -> int:
    """Return how many rows the invariants of the wallets find in our books."""
    from ledger.reconciliation import INVARIANTS

    return sum(len(run_sql(url, f"SELECT subject FROM {each.view} LIMIT 10")) for each in INVARIANTS)
