"""All pages, rendered once per process; under DEBUG anew when a file has changed."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from structlog import get_logger

from sora2.documentation.contents import ROWS, START, START_FILE, WRITTEN, Group, Row
from sora2.documentation.pages import Page, Section, rendered
from sora2.documentation.search import Entry, index

log = get_logger(__name__)


@dataclass(frozen=True)
class Library:
    """The pages by their slugs, and all that the search looks through."""

    start: Page
    pages: Mapping[str, Page]
    index: tuple[Entry, ...]


def library() -> Library:
    """Return all pages."""
    values = (settings.PUBLIC_BASE_URL, settings.SUPPORT_EMAIL, tuple(settings.WEBHOOK_SOURCE_ADDRESSES))
    return _library(values, _stamps() if settings.DEBUG else ())


@functools.lru_cache(maxsize=2)
def _library(_values: tuple[object, ...], _stamps: tuple[int, ...]) -> Library:
    pages = {slug: rendered(row, _source(row.file)) for slug, row in WRITTEN.items()}
    opening = _source(START_FILE).partition("\n## ")[0]
    start = rendered(Row("", START_FILE, "Overview", Group.START, elsewhere=START), opening)
    for page in (start, *pages.values()):
        if page.faults:
            log.error("docs.not_public", page=page.row.file, faults=page.faults)
    elsewhere = [Section(row, "", row.title, row.summary) for row in ROWS if not row.file]
    sections = [section for page in (start, *pages.values()) for section in page.sections]
    return Library(start, pages, index(sections + elsewhere))


def _stamps() -> tuple[int, ...]:
    """Return when each file was changed last."""
    files = [START_FILE, *(row.file for row in WRITTEN.values())]
    return tuple((settings.BASE_DIR / file).stat().st_mtime_ns for file in files)


def _source(file: str) -> str:
    text: str = (settings.BASE_DIR / file).read_text(encoding="utf-8")
    return text
