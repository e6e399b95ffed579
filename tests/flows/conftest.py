"""What the walks over the pages share: one world for a whole module, as each test finds it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction
from django.test import TestCase

from tests.world import World, make_world


@contextmanager
def undone() -> Iterator[None]:
    """Take back what is written meanwhile."""
    around: Any = transaction.atomic()
    # As around a test: what must not be inside of a transaction still runs in this one.
    around._from_testcase = True
    with around:
        yield
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: Any) -> Iterator[World]:
    """The world that is walked through, made once for a module's tests: what each changes is taken back after it."""
    with django_db_blocker.unblock():
        # As around a test, so that what must not be inside of a transaction still runs in this one.
        around: Any = TestCase
        atomics = around._enter_atomics()
        yield make_world(tmp_path_factory.mktemp("seals"))
        around._rollback_atomics(atomics)
