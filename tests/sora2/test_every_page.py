"""What holds on every page of the dashboard, whoever made it, and what docs/reference/pages.md says about them."""

import re
from pathlib import Path

import pytest

from tests.dashboard import addresses, own_routes, routes, scenes, written
from tests.people import signed_in
from tests.programs import ROOT
from tests.world import make_world

DOCUMENT = (ROOT / "docs/reference/pages.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| `([^`]+)` \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
PUBLIC = re.compile(r"^\| `(/docs[^`]*)` \| (.+) \| (.+) \|$", re.MULTILINE)


@pytest.mark.django_db
def test_every_address_has_a_scene(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    found = addresses(world)
    assert set(own_routes()) <= set(found) <= set(routes())
    assert {"index", "statement", "batch"} <= set(scenes(world, signed_in(world.people["superuser"])))


def test_every_page_has_its_row_and_every_row_its_page() -> None:
    where = written()
    assert {row[1]: row[2] for row in ROW.finditer(DOCUMENT)} == {name: where[name] for name in own_routes()}


@pytest.mark.parametrize("row", list(ROW.finditer(DOCUMENT)), ids=lambda row: str(row[1]))
def test_the_tests_that_a_row_names_look_at_its_page(row: re.Match[str]) -> None:
    name, address, *_, files = row.groups()
    # Who looks at every page takes them from tests.dashboard; who looks at one writes the last word of its address.
    *_, last = re.findall(r"[a-z]\w+", re.sub(r"\{\w+\}", "", address))
    for file in files.split():
        text = (ROOT / file.strip("`")).read_text()
        assert "tests.dashboard" in text or re.search(rf"\b({name}|{last})\b", text), file


def test_the_tests_of_public_pages_exist() -> None:
    rows = list(PUBLIC.finditer(DOCUMENT))
    assert len(rows) > 5
    assert [file for row in rows for file in row[3].split() if not (ROOT / file.strip("`")).is_file()] == []


def test_every_picture_is_of_a_page_or_of_a_paper_that_a_document_shows() -> None:
    pictures = list((ROOT / "docs/pictures").rglob("*.png"))
    papers = {picture.name for picture in pictures if picture.parent.name == "papers"}
    assert {picture.stem for picture in pictures if picture.name not in papers} <= set(own_routes())
    documents = " ".join(document.read_text() for document in (ROOT / "docs").rglob("*.md"))
    assert papers == set(re.findall(r"\(\S*pictures/papers/(\w+\.png)\)", documents))
    assert max(picture.stat().st_size for picture in pictures) < 200_000
