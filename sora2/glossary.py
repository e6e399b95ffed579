"""The words of docs/reference/glossary.md, so that a page can explain one where it stands."""

import functools
import re

from django.conf import settings

PATH = "docs/reference/glossary.md"
ROW = re.compile(r"^\| \*\*(?P<words>[^*]+)\*\* \| (?P<meaning>.+) \|$", re.MULTILINE)


def meaning_of(word: str) -> str:
    """Return what a word means, in one or two sentences. Raises KeyError for a word that is not in the glossary."""
    return _meanings()[word]


@functools.cache
def _meanings() -> dict[str, str]:
    text = (settings.BASE_DIR / PATH).read_text()
    return {word: row["meaning"].replace("`", "") for row in ROW.finditer(text) for word in row["words"].split(", ")}
