"""Tests of the ledger alone move credits for references that are no batches, which `batches` would refuse."""

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.as_role import as_owner
from tests.conftest import uses_database


@pytest.fixture(autouse=True)
def _without_batches(request: pytest.FixtureRequest) -> Iterator[None]:
    """Switch off the check that ties entries to batches; a test in one transaction takes that back by itself."""
    if not uses_database(request):
        yield
        return
    request.getfixturevalue("transactional_db" if "transactional_db" in request.fixturenames else "db")
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE credit_ledger DISABLE TRIGGER batches_entry_has_batch")
    yield
    if not connection.in_atomic_block:
        with as_owner(), connection.cursor() as cursor:
            cursor.execute("ALTER TABLE credit_ledger ENABLE ALWAYS TRIGGER batches_entry_has_batch")
