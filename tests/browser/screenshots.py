"""Pictures of every page of the dashboard: light, dark and on a phone. bin/screenshots runs this, the tests do not.

SORA2_SCREENSHOTS is the directory that they are put in; SORA2_PICTURES, where given, gets those of the documents alone.
"""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page

from tests.browser.conftest import OpenPage, SignIn
from tests.dashboard import scenes
from tests.people import signed_in
from tests.world import World, make_world

pytestmark = pytest.mark.django_db(transaction=True)

LOOKS: Mapping[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 800}},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}},
}
# What the README and the documents show, as `docs/pictures/<name of the address>.png`.
PICTURES = ("index", "batch", "batch_billing", "statement", "batch_new")
COLOURS = 128
# Posters load when they are scrolled to; on a picture they are all seen.
LOADED = """() => Promise.all([...document.images].map((image) => {
    image.loading = "eager";
    return image.decode().catch(() => null);
}))"""


def test_pictures_of_every_page(sign_in: SignIn, open_page: OpenPage, tmp_path: Path) -> None:
    world = make_world(tmp_path)
    if documents := os.environ.get("SORA2_PICTURES"):
        client = signed_in(world.people["superuser"])
        _take_all(sign_in(client, **LOOKS["light"]), _of_documents(world), Path(documents), "")
        return
    directory = Path(os.environ["SORA2_SCREENSHOTS"])
    for look, options in LOOKS.items():
        options = {**options, "reduced_motion": "reduce"}
        _take_all(open_page(**options), {"login": "/admin/login/"}, directory, f".{look}")
        for role, prefix in (("superuser", ""), ("customer admin", "customer-")):
            client = signed_in(world.people[role])
            pages = {f"{prefix}{name}": address for name, address in scenes(world, client).items()}
            _take_all(sign_in(client, **options), pages, directory, f".{look}")


def _of_documents(world: World) -> dict[str, str]:
    found = scenes(world, signed_in(world.people["superuser"]))
    return {name: found[name] for name in PICTURES if name in found}


def _take_all(page: Page, pages: Mapping[str, str], directory: Path, suffix: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, address in pages.items():
        page.goto(address)
        page.evaluate(LOADED)
        file = directory / f"{name}{suffix}.png"
        picture = Image.open(io.BytesIO(page.screenshot(full_page=True)))
        picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
        print(f"{file} {file.stat().st_size:,} bytes")  # noqa: T201 - it is what bin/screenshots says.
