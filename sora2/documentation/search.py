"""Search over all pages: every word is wanted; a title counts more than a heading, a heading more than text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import conditional_escape as escaped
from django.utils.safestring import SafeString

from sora2.documentation.pages import Section

MOST_WORDS = 8
QUERY_LENGTH = 100
SNIPPET = 180
IN_TITLE, IN_HEADING, IN_TEXT, EXACT = 12, 8, 1, 40


@dataclass(frozen=True)
class Hit:
    """A section that was found, with its heading and a piece of its text, the words marked."""

    section: Section
    score: int
    heading: SafeString
    snippet: SafeString


def search(query: str, sections: Sequence[Section], *, most: int) -> list[Hit]:
    """Return the best sections for a query; where none has all of its words, those that have some."""
    words = _words(query)
    if not words:
        return []
    scored = [(score, section) for section in sections if (score := _score(words, section, query))]
    best = sorted(scored, key=lambda found: -found[0])[:most]
    return [
        Hit(section, score, _marked(section.heading, words), _snippet(section.text, words)) for score, section in best
    ]


def _words(query: str) -> list[re.Pattern[str]]:
    """Return a pattern for each word: it matches where a word begins so; a plural finds the singular."""
    found = re.findall(r"[\w.]+", query[:QUERY_LENGTH].lower())
    stems = dict.fromkeys(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in found)
    return [re.compile(rf"(?<![^\W_]){re.escape(stem)}", re.IGNORECASE) for stem in list(stems)[:MOST_WORDS]]


def _score(words: Sequence[re.Pattern[str]], section: Section, query: str) -> int:
    """Return how well a section fits: a section that lacks a word comes after all that have every one."""
    scores = [_of_word(word, section) for word in words]
    if not any(scores):
        return 0
    exact = EXACT if query.strip().lower() in (section.heading.lower(), section.anchor) else 0
    return sum(scores) + exact + (1000 if all(scores) else 0)


def _of_word(word: re.Pattern[str], section: Section) -> int:
    in_title = IN_TITLE if word.search(section.row.title) else 0
    in_heading = IN_HEADING if word.search(section.heading) else 0
    return in_title + in_heading + min(3, len(word.findall(section.text))) * IN_TEXT


def _snippet(text: str, words: Sequence[re.Pattern[str]]) -> SafeString:
    """Return the piece of a text around the first of the words."""
    first = min((found.start() for word in words if (found := word.search(text))), default=0)
    start = 0 if first < SNIPPET // 2 else text.rfind(" ", 0, first - SNIPPET // 3) + 1
    end = len(text) if len(text) <= start + SNIPPET else max(text.rfind(" ", start, start + SNIPPET), first + 1)
    return SafeString(("… " if start else "") + _marked(text[start:end], words) + (" …" if end < len(text) else ""))


def _marked(text: str, words: Sequence[re.Pattern[str]]) -> SafeString:
    """Return a text as HTML with the words marked to their ends."""
    either = "|".join(rf"{word.pattern}\w*" for word in words)
    parts = re.split(f"({either})", text, flags=re.IGNORECASE)
    return SafeString(
        "".join(f"<mark>{escaped(part)}</mark>" if n % 2 else escaped(part) for n, part in enumerate(parts))
    )
