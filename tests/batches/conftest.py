"""A provider simulator over real HTTP, and settings that make waiting short."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from batches.simulator.server import SimulatorServer
from tests.batches.provider_faults import simulator


@pytest.fixture
def provider(settings: Settings) -> Iterator[SimulatorServer]:
    """The simulator that both modes use, with short pauses everywhere."""
    settings.POLL_SECONDS = 0.1
    settings.LOOKUP_GRACE_SECONDS = 0.1
    settings.PROVIDER_OPENAI_BASE_URL = ""
    with simulator() as running:
        settings.PROVIDER_SIMULATOR_BASE_URL = running.base_url
        yield running
