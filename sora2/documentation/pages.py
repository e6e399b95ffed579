"""From the Markdown of a file to a page: what can be linked to, where its links lead, and what the search finds."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from django.conf import settings
from django.utils.safestring import SafeString
from markdown_it.token import Token

from sora2.documentation.contents import Row
from sora2.documentation.sources import NotPublic, address_of, public_text, resolved
from sora2.documentation.writing import PARSER, html_of, tab_of

DIAGRAMS = "static/docs/"
UNSAFE_IN_DIAGRAMS = re.compile(r"<script|<style|<foreignObject|\sstyle=|\son\w+=|\shref=", re.IGNORECASE)
PLAIN_NAME = re.compile(r"[a-z][\w.-]*")


@dataclass(frozen=True)
class Heading:
    """A heading below the title."""

    level: int
    anchor: str
    text: str


@dataclass(frozen=True)
class Section:
    """What the search finds: the text under a heading, or a row of a table under the name that it explains."""

    row: Row
    anchor: str
    heading: str
    text: str
    is_name: bool = False

    @property
    def address(self) -> str:
        """Return where it stands."""
        return f"{self.row.address}#{self.anchor}" if self.anchor else self.row.address


@dataclass(frozen=True)
class Page:
    """A page that was rendered. `lead` says first for whom it is, `summary` what it is about; `faults` are links and
    pictures that are not public, and were left out.
    """

    row: Row
    lead: SafeString
    summary: str
    body: SafeString
    headings: tuple[Heading, ...]
    sections: tuple[Section, ...]
    faults: tuple[str, ...]

    @property
    def outline(self) -> list[Heading]:
        """Return what "on this page" lists; nothing where the page is short."""
        second = [heading for heading in self.headings if heading.level == 2]
        return second if len(second) > 2 else []


def rendered(row: Row, source: str) -> Page:
    """Return the page that is made from the source of its file."""
    tokens = PARSER.parse(public_text(source))
    tokens = tokens[3:] if tokens and tokens[0].tag == "h1" else tokens
    lead, tokens = (tokens[1], tokens[3:]) if _is_lead(tokens) else (None, tokens)
    faults = tuple(_lead_to_the_site(row, [*([lead] if lead else []), *tokens]))
    anchors = _Anchors()
    headings = tuple(_headings(tokens, anchors))
    named = _name_rows(tokens, anchors)
    _group_tabs(tokens)
    _draw_boxes(tokens)
    _label_cells(tokens)
    said = _plain(lead)
    return Page(
        row=row,
        lead=html_of([lead]) if lead else SafeString(""),
        summary=_summary(said),
        body=html_of(tokens),
        headings=headings,
        sections=tuple(_sections(row, said, tokens, named)),
        faults=faults,
    )


# --- reading the tokens --------------------------------------------------------------------------------------------


class _Anchors:
    """The ids of a page, each once, as GitHub makes them of headings."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    def of_heading(self, text: str) -> str:
        wanted = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") or "section"
        numbered = (f"{wanted}-{n}" for n in range(1, 1000))
        return self._take(wanted) or next(taken for name in numbered if (taken := self._take(name)))

    def of_name(self, name: str) -> str:
        """Return the anchor of what a row explains: the name itself; empty if another one has it."""
        return self._take(
            name if PLAIN_NAME.fullmatch(name) else re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-")
        )

    def _take(self, anchor: str) -> str:
        if not anchor or anchor in self.used:
            return ""
        self.used.add(anchor)
        return anchor


def _is_lead(tokens: Sequence[Token]) -> bool:
    if len(tokens) < 3 or tokens[0].type != "paragraph_open":
        return False
    children = tokens[1].children or []
    is_emphasis = len(children) > 2 and children[0].type == "em_open" and children[-1].type == "em_close"
    if is_emphasis:
        tokens[1].children = children[1:-1]
    return is_emphasis


def _headings(tokens: Sequence[Token], anchors: _Anchors) -> Iterator[Heading]:
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            text = _plain(inline)
            anchor = anchors.of_heading(text)
            opening.attrSet("id", anchor)
            opening.meta = {"text": text}
            yield Heading(int(opening.tag[1]), anchor, text)


def _name_rows(tokens: Sequence[Token], anchors: _Anchors) -> dict[int, list[tuple[str, str]]]:
    """Give anchors to the names in code in the first cells of tables; return them by the index of their rows."""
    named: dict[int, list[tuple[str, str]]] = {}
    for at, token in enumerate(tokens):
        if token.type == "tr_open" and tokens[at + 1].type == "td_open":
            names = [child for child in tokens[at + 2].children or [] if child.type == "code_inline"]
            for name in names:
                anchor = anchors.of_name(name.content)
                if anchor:
                    name.attrSet("id", anchor)
                    named.setdefault(at, []).append((name.content, anchor))
    return named


def _group_tabs(tokens: Sequence[Token]) -> None:
    """Mark the first and last of code blocks that stand for each other: ```sh tab=curl, ```python tab=Python."""
    for at, token in enumerate(tokens):
        if tab_of(token):
            before, after = tokens[at - 1] if at else None, tokens[at + 1] if at + 1 < len(tokens) else None
            token.meta = {"first": not tab_of(before), "last": not tab_of(after)}


def _draw_boxes(tokens: Sequence[Token]) -> None:
    """Show the `[ ]` of lists to tick off as boxes; they are for paper."""
    for item, inline in zip(tokens, tokens[2:], strict=False):
        first = inline.children[0] if item.type == "list_item_open" and inline.children else None
        if first is not None:
            first.content = re.sub(r"^\[ \] ", "☐ ", first.content)


def _label_cells(tokens: Sequence[Token]) -> None:
    """Give each cell the head of its column: a narrow screen shows the cells of a row below each other."""
    heads: list[str] = []
    column = 0
    for opening, inline in pairwise(tokens):
        if opening.type == "thead_open":
            heads = []
        elif opening.type == "tr_open":
            column = 0
        elif opening.type == "th_open":
            heads.append(_plain(inline))
        elif opening.type == "td_open":
            opening.meta = {"head": heads[column] if column else ""}
            column += 1


def _lead_to_the_site(row: Row, tokens: Sequence[Token]) -> Iterator[str]:
    """Let links lead to the site, and put in pictures. What is not public is left out and told: its words stay."""
    for token in (child for outer in tokens for child in outer.children or []):
        try:
            if token.type == "link_open":
                token.attrSet("href", address_of(str(token.attrs.pop("href")), file=row.file))
            elif token.type == "image":
                token.meta = {"svg": ""}
                token.meta = {"svg": _diagram(str(token.attrGet("src")), file=row.file)}
        except NotPublic as fault:
            yield str(fault)


def _diagram(source: str, *, file: str) -> str:
    """Return a drawing of ours, to stand in the page itself: there it takes the page's colours. Raises NotPublic."""
    path = resolved(source, file=file)
    if not (path.startswith(DIAGRAMS) and path.endswith(".svg")):
        raise NotPublic(f"{file} shows {source}: a picture must be an SVG in {DIAGRAMS}.")
    svg = re.sub(r"<\?xml.*?\?>|<!--.*?-->|<!DOCTYPE.*?>", "", (settings.BASE_DIR / path).read_text(), flags=re.DOTALL)
    if UNSAFE_IN_DIAGRAMS.search(svg):
        raise NotPublic(f"{path} has styles, scripts or links of its own, which the content policy refuses.")
    if 'role="img"' not in svg:
        raise NotPublic(f'{path} must say role="img" and carry a title, for whoever hears the page.')
    return svg.strip()


def _sections(
    row: Row, lead: str, tokens: Sequence[Token], named: dict[int, list[tuple[str, str]]]
) -> Iterator[Section]:
    anchor, heading, texts = "", row.title, [lead]
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            yield Section(row, anchor, heading, _joined(texts))
            anchor, heading, texts = str(token.attrGet("id")), token.meta["text"], []
        elif token.type in ("inline", "fence") and not (at and tokens[at - 1].type == "heading_open"):
            texts.append(_plain(token))
        for name, of_name in named.get(at, ()):
            yield Section(row, of_name, name, _joined(_cells(tokens, at)[1:]), is_name=True)
    yield Section(row, anchor, heading, _joined(texts))


def _cells(tokens: Sequence[Token], at: int) -> list[str]:
    """Return the texts of the table's row that opens at an index."""
    end = next(n for n in range(at, len(tokens)) if tokens[n].type == "tr_close")
    return [_plain(token) for token in tokens[at:end] if token.type == "inline"]


def _plain(token: Token | None) -> str:
    if token is None:
        return ""
    if token.type == "fence":
        return token.content
    return "".join(" " if child.type in ("softbreak", "hardbreak") else child.content for child in token.children or [])


def _joined(texts: Sequence[str]) -> str:
    return " ".join(" ".join(texts).split())


def _summary(lead: str) -> str:
    """Return what a page is about, without for whom it is."""
    about = lead.partition(": ")[2] or lead
    return about[:1].upper() + about[1:]
