"""Search over all pages: every word is wanted; a title counts more than a heading, a heading more than text."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils.html import conditional_escape as escaped
from django.utils.safestring import SafeString

from sora2.documentation.contents import Group
from sora2.documentation.pages import Section

MOST_WORDS = 8
QUERY_LENGTH = 100
SNIPPET = 180
IN_TITLE, IN_HEADING, IN_TEXT, EXACT, REFERENCE = 12, 8, 1, 40, 4
# More than all else together: who lacks a word comes last.
HAS_ALL = 1000


@dataclass(frozen=True)
class Entry:
    """A section with its texts in small letters, so that a search need not make them."""

    section: Section
    title: str
    heading: str
    text: str


@dataclass(frozen=True)
class Hit:
    """A section that was found, with its heading and a piece of its text, the words marked."""

    section: Section
    heading: SafeString
    snippet: SafeString


@dataclass(frozen=True)
class Word:
    """A word that is looked for: it matches where a word begins so."""

    stem: str

    @property
    def pattern(self) -> str:
        """Return the pattern of its beginning."""
        return rf"(?<![^\W_]){re.escape(self.stem)}"

    def count(self, text: str) -> int:
        """Return how often it stands in a text of small letters."""
        return len(re.findall(self.pattern, text)) if self.stem in text else 0


def index(sections: Iterable[Section]) -> tuple[Entry, ...]:
    """Return what a search looks through."""
    return tuple(
        Entry(section, section.row.title.lower(), section.heading.lower(), section.text.lower()) for section in sections
    )


def search(query: str, entries: Sequence[Entry], *, most: int) -> list[Hit]:
    """Return the best sections for a query; where none has all of its words, those that have some."""
    words = _words(query)
    scored = [(score, entry.section) for entry in entries if (score := _score(words, entry, query.strip().lower()))]
    scored.sort(key=lambda found: -found[0])
    return [
        Hit(section, _marked(section.heading, words), _snippet(section.text, words)) for _, section in scored[:most]
    ]


def _words(query: str) -> list[Word]:
    """Return the words of a query; a plural finds the singular."""
    found = re.findall(r"[\w.]*\w", query[:QUERY_LENGTH].lower())
    stems = dict.fromkeys(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in found)
    return [Word(stem) for stem in list(stems)[:MOST_WORDS]]


def _score(words: Sequence[Word], entry: Entry, query: str) -> int:
    scores = [_of_word(word, entry) for word in words]
    if not any(scores):
        return 0
    # Of several pages that explain the same name, the reference is the one that is meant.
    reference = REFERENCE if entry.section.row.group == Group.LOOK_UP else 0
    exact = EXACT + reference if query in (entry.heading, entry.section.anchor) else 0
    return sum(scores) + exact + (HAS_ALL if all(scores) else 0)


def _of_word(word: Word, entry: Entry) -> int:
    # A name in a table is one of many: what is said under a heading comes first.
    in_heading = (IN_HEADING // 2 if entry.section.is_name else IN_HEADING) if word.count(entry.heading) else 0
    in_title = IN_TITLE if word.count(entry.title) else 0
    return in_title + in_heading + min(3, word.count(entry.text)) * IN_TEXT


def _snippet(text: str, words: Sequence[Word]) -> SafeString:
    """Return the piece of a text around the first of the words."""
    found = re.search(_either(words), text, re.IGNORECASE)
    first = found.start() if found else 0
    start = 0 if first < SNIPPET // 2 else text.rfind(" ", 0, first - SNIPPET // 3) + 1
    end = len(text) if len(text) <= start + SNIPPET else max(text.rfind(" ", start, start + SNIPPET), first + 1)
    return SafeString(("… " if start else "") + _marked(text[start:end], words) + (" …" if end < len(text) else ""))


def _marked(text: str, words: Sequence[Word]) -> SafeString:
    """Return a text as HTML with the words marked to their ends."""
    parts = re.split(f"({_either(words)})", text, flags=re.IGNORECASE)
    return SafeString(
        "".join(f"<mark>{escaped(part)}</mark>" if n % 2 else escaped(part) for n, part in enumerate(parts))
    )


def _either(words: Sequence[Word]) -> str:
    return "|".join(rf"{word.pattern}\w*" for word in words)
