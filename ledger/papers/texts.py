"""Texts as a paper can show them: somebody chose them, and the fonts do not have every character.

A paper's fonts come with typst, so that it looks the same on every machine. They have Latin, Greek, Cyrillic and the
usual signs. Any other character is written as its code: nothing is lost, nothing is drawn from right to left over the
figures beside it, and what has no shape of its own shows.
"""

import re
import unicodedata

# Characters that both fonts of the letterhead have, that go from left to right and stand alone; a test sets them all.
SHOWN = (
    *((0x20, 0x7E), (0xA1, 0xAC), (0xAE, 0x1C3), (0x38E, 0x3A1), (0x3A3, 0x3CE), (0x3F0, 0x45F), (0x1E00, 0x1E99)),
    *((0x2010, 0x2023), (0x2026, 0x2026), (0x20A0, 0x20B5), (0x2122, 0x2122), (0x2190, 0x21FF)),
)
OTHER = re.compile(f"[^{''.join(f'{chr(first)}-{chr(last)}' for first, last in SHOWN)}]")
# A run of so many characters without a space may be broken anywhere, or it would run over its column.
RUN = re.compile(r"\S{12}(?=\S)")
BREAK = "\N{ZERO WIDTH SPACE}"
CUT_MARK = "…"


def shown(text: str, *, longest: int) -> str:
    """Return `text` on one line, with codes such as [U+1F600] for what cannot be shown, cut after `longest`."""
    line = " ".join(unicodedata.normalize("NFC", text).split())
    kept = line if len(line) <= longest else line[: longest - 1] + CUT_MARK
    return RUN.sub(lambda run: run[0] + BREAK, OTHER.sub(_code, kept))


def _code(character: re.Match[str]) -> str:
    return f"[U+{ord(character[0]):04X}]"
