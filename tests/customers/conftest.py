"""What the tests of customers are given: an administrator, a developer, and what stands in the log."""

import io
import logging
from collections.abc import Callable, Iterator

import pytest

from customers.models import User
from tests.customers.people_scenes import Role, someone
from tests.factories import Account


@pytest.fixture
def mia(account: Account) -> User:
    """The administrator of the organization."""
    return someone(account.organization, Role.ADMIN, "mia", first_name="Mia")


@pytest.fixture
def ola(account: Account) -> User:
    """A developer of the same organization."""
    return someone(account.organization, Role.DEVELOPER, "ola")


@pytest.fixture
def logged() -> Iterator[Callable[[], str]]:
    """What stands in the log from now on, as it is configured."""
    stream, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(next(each.formatter for each in root.handlers if type(each) is logging.StreamHandler))
    levels = {name: logging.getLogger(name).level for name in ("", "django.request", "django.security.csrf")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield stream.getvalue
    root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
