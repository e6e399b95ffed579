"""What all tests share: a flush that the append-only tables allow, and a look at the books after every test."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.management.commands import flush as flush_command
from django.db import connection
from django.db.backends.postgresql.operations import DatabaseOperations
from django.test import override_settings
from psycopg.pq import TransactionStatus
from whitenoise.middleware import WhiteNoiseMiddleware

import batches
from batches.reconciliation import INVARIANTS
from ledger.reconciliation import INVARIANTS as WALLET_INVARIANTS
from ledger.reconciliation import discrepancies
from tests.databases import template
from tests.factories import Account, make_account

NO_TRUNCATE = {
    table: f"{'ledger' if table == 'credit_ledger' else table}_no_truncate"
    for table in (
        *("credit_ledger", "ledger_wallet", "ledger_creditrequest"),
        *("ledger_invoice", "ledger_invoiceline", "ledger_payment", "ledger_invoicepaper"),
        *("ledger_period", "ledger_periodbalance", "ledger_seal", "ledger_sealleaf", "batches_signoff"),
        "batches_slaprobe",
    )
}

# What Django makes of the models after each migration, and anew after each flush. A flush leaves it as it is: making it
# takes a third of a flush's time, and there is one after each test with real transactions.
OF_MODELS = ("django_content_type", "auth_permission")

# What the migrations bring, and the flush takes away.
DEFAULTS = [(Path(batches.__file__).parent / "migrations" / "sql" / "0009_default_catalogue.sql").read_text()]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "unbooked: leaves books that are wrong on purpose; they are not checked")
    config.addinivalue_line("markers", "owner: does what only the tables' owner may, also where tests run as a role")
    if os.environ.get("SORA2_TEST_ROLE"):
        config.pluginmanager.import_plugin("tests.as_role")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Have pytest-django copy the migrated database rather than migrate one for each worker."""
    connection.settings_dict["TEST"]["TEMPLATE"] = template()


@pytest.fixture(scope="session", autouse=True)
def _static_files_found_once() -> Iterator[None]:
    """Look for the static files once: each test client has middleware of its own, which would look for all of them."""
    find, found = WhiteNoiseMiddleware.add_files_from_finders, dict[str, Any]()

    def find_once(self: WhiteNoiseMiddleware) -> None:
        if not found:
            find(self)
            found.update(self.files)
        self.files.update(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", find_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def _passwords_in_no_time() -> Iterator[None]:
    """Hash the passwords of tests, which protect nothing, without the work that is the point of hashing them."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(scope="session", autouse=True)
def _flushable() -> Iterator[None]:
    """Let the flush after a test with real transactions truncate the ledger, which nobody else may."""
    flush, statements_of = DatabaseOperations.execute_sql_flush, DatabaseOperations.sql_flush

    def with_leave(self: DatabaseOperations, statements: Sequence[str]) -> None:
        triggers = NO_TRUNCATE.items()
        before = [f"ALTER TABLE {table} DISABLE TRIGGER {trigger}" for table, trigger in triggers]
        after = [f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}" for table, trigger in triggers]
        flush(self, [*before, *statements, *after, *DEFAULTS] if statements else [])

    def without_those_of_models(self: Any, style: Any, tables: Sequence[str], **options: bool) -> list[str]:
        return statements_of(self, style, [table for table in tables if table not in OF_MODELS], **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "execute_sql_flush", with_leave)
        patch.setattr(DatabaseOperations, "sql_flush", without_those_of_models)
        patch.setattr(flush_command, "emit_post_migrate_signal", lambda *_, **__: None)
        yield


@pytest.fixture(autouse=True)
def _books(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check every invariant after each test that used the database.

    Tests of the ledger alone move credits for batches that don't exist: there, those of the wallets are checked.
    """
    if not uses_database(request) or request.node.get_closest_marker("unbooked"):
        yield
        return
    # Set up before, so that it is there still when the books are looked at.
    request.getfixturevalue("transactional_db" if "transactional_db" in request.fixturenames else "db")
    yield
    if connection.needs_rollback or _is_broken():
        return
    of_wallets = "ledger" in request.path.parent.name
    assert discrepancies(WALLET_INVARIANTS if of_wallets else INVARIANTS) == []


@pytest.fixture
def account(db: Any) -> Account:
    """A new organization with 1 000 credits in each wallet, and a key for each mode."""
    return make_account()


def uses_database(request: pytest.FixtureRequest) -> bool:
    """Say whether the test uses the database."""
    return (
        request.node.get_closest_marker("django_db") is not None
        or not {"db", "transactional_db"}.isdisjoint(request.fixturenames)
    )  # fmt: skip


def _is_broken() -> bool:
    """Say whether the test left a transaction that the database has given up."""
    raw = connection.connection
    return raw is not None and (raw.closed or raw.info.transaction_status == TransactionStatus.INERROR)
