"""What may be called in a test, a client that remembers nothing, and a customer with an endpoint."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from customers.models import Organization
from tests.factories import Account
from tests.webhooks.page_scenes import endpoint_of
from tests.webhooks.receivers import Receiver, answers, serve
from webhooks import guarded
from webhooks.endpoints import create_default_secret
from webhooks.models import Endpoint


@pytest.fixture
def loopback(settings: Settings) -> None:
    """Allow receivers on loopback, as a developer does."""
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = ["http://127.0.0.1:*", "https://127.0.0.1:*"]


@pytest.fixture
def no_exception(settings: Settings) -> None:
    """Allow what a deployment allows."""
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = []


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that takes everything."""
    with serve(answers(200, b"thanks")) as receiver:
        yield receiver


@pytest.fixture
def acme(account: Account) -> Organization:
    """A customer with a default secret."""
    create_default_secret(organization=account.organization)
    return account.organization


@pytest.fixture
def endpoint(acme: Organization) -> Endpoint:
    """An endpoint of theirs, which nobody calls."""
    return endpoint_of(acme)


@pytest.fixture
def fresh_client() -> Iterator[None]:
    """Forget open connections and trusted authorities, before and after."""
    guarded._client_of_process.cache_clear()
    yield
    guarded._client_of_process.cache_clear()
