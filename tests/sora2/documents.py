"""Reading the documentation: tables as rows, code blocks as text, links as targets."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sora2.documentation.contents import START_FILE, WRITTEN

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
# What customers read at /docs/enterprise. It leads to nothing else.
PUBLIC = sorted(ROOT / file for file in {START_FILE, *(row.file for row in WRITTEN.values())})

FENCED = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TAB = re.compile(r"^```\w* tab=(\w+)")
CODE = re.compile(r"`([^`]+)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def section(page: str, heading: str) -> str:
    """Return what stands under `heading` (`## States` without the signs) on a page below docs/."""
    text = (DOCS / page).read_text()
    _, found, after = text.partition(f"\n## {heading}\n")
    assert found, f"{page} has no section {heading!r}"
    return re.split(r"^## ", after, maxsplit=1, flags=re.MULTILINE)[0]


def table(page: str, heading: str) -> dict[str, list[str]]:
    """Return the section's table: the cells of each row after the first, by the names in code in the first."""
    lines = [line for line in section(page, heading).splitlines() if line.startswith("|")]
    rows: dict[str, list[str]] = {}
    for line in lines[2:]:
        first, *rest = [cell.strip() for cell in line.strip("|").split("|")]
        names = CODE.findall(first)
        assert names, f"{page}, {heading}: {line!r} names nothing in code"
        for name in names:
            assert name not in rows, f"{page}, {heading}: {name} stands there twice"
            rows[name] = rest
    return rows


def codes(cell: str) -> set[str]:
    """Return what stands in code in a cell."""
    return set(CODE.findall(cell))


def blocks(page: str, heading: str, language: str) -> list[str]:
    """Return the section's code blocks in this language."""
    return [text for said, text in FENCED.findall(section(page, heading)) if said == language]


def anchors(page: Path) -> set[str]:
    """Return the fragments that a link into a page can have, as GitHub makes them of headings."""
    headings = HEADING.findall(FENCED.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path, *, read: Callable[[str], str] = str) -> list[str]:
    """Return the targets of a page's links to other files, and into itself, of what `read` makes of its text."""
    targets = LINK.findall(FENCED.sub("", read(page.read_text())))
    return [target for target in targets if not target.startswith(("http://", "https://", "mailto:"))]


@dataclass(frozen=True)
class Block:
    """A code block as a reader meets it: where it stands, what was said since the block before, and its text.

    Blocks that stand for each other, one for each language, have a `tab`; for all of them was said the same.
    """

    page: Path
    line: int
    heading: str
    language: str
    tab: str
    said: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """Read all code blocks of a page, in their order."""
    text, end, heading, said, tab = page.read_text(), 0, "", "", ""
    for found in FENCED.finditer(text):
        between, end, before = text[end : found.start()], found.end(), tab
        heading = [heading, *re.findall(r"^## (.+)$", between, re.MULTILINE)][-1]
        named = TAB.match(found[0])
        tab = named[1] if named else ""
        if between.strip() or not (tab and before):
            said = between
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, heading, found[1], tab, said, found[2])
