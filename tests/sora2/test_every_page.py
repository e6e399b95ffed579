"""What holds on every page of the dashboard, whoever made it."""

from pathlib import Path

import pytest

from tests.dashboard import addresses, own_routes, routes, scenes
from tests.people import signed_in
from tests.world import make_world

pytestmark = pytest.mark.django_db


def test_every_address_has_a_scene(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    found = addresses(world)
    assert set(own_routes()) <= set(found) <= set(routes())
    assert {"index", "statement", "batch"} <= set(scenes(world, signed_in(world.people["superuser"])))
