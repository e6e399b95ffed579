"""What may be called in a test, and a client that remembers nothing."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from webhooks import guarded


@pytest.fixture
def loopback(settings: Settings) -> None:
    """Allow receivers on loopback, as a developer does."""
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = ["http://127.0.0.1:*", "https://127.0.0.1:*"]


@pytest.fixture
def no_exception(settings: Settings) -> None:
    """Allow what a deployment allows."""
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = []


@pytest.fixture
def fresh_client() -> Iterator[None]:
    """Forget open connections and trusted authorities, before and after."""
    guarded._client_of_process.cache_clear()
    yield
    guarded._client_of_process.cache_clear()
