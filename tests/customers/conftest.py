"""A customer's people: their administrator, and a developer."""

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
