"""How the tokens of a page are written as HTML: anchors, scrolling boxes, code in colours, tabs, diagrams in place."""

import re
from collections.abc import Sequence
from typing import Any

from django.utils.html import conditional_escape as escaped
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

LANGUAGES = {
    "sh": "Shell", "bash": "Shell", "json": "JSON", "python": "Python", "ts": "TypeScript", "typescript": "TypeScript",
    "js": "JavaScript", "javascript": "JavaScript", "php": "PHP", "http": "HTTP", "csv": "CSV", "": "Text",
    "text": "Text",
}  # fmt: skip
# What the stylesheet gives no colour of its own: names, signs and spaces, which are most of it.
PLAIN = re.compile(r'<span class="c-(?!c|g|k|ow|s|m|il|nt|nf|fm|nc|nd|nb|na|nv)\w+">([^<]*)</span>')


class Renderer(RendererHTML):
    """Writes the page's HTML; raw HTML in a file is shown as text."""

    def heading_open(self, tokens: Sequence[Token], idx: int, *_: Any) -> str:
        token = tokens[idx]
        return format_html('<{} id="{}">', token.tag, token.attrGet("id"))

    def heading_close(self, tokens: Sequence[Token], idx: int, *_: Any) -> str:
        opening = tokens[idx - 2]
        anchor, text = opening.attrGet("id"), opening.meta["text"]
        link = format_html('<a class="anchor" href="#{}" aria-label="Link to “{}”">#</a>', anchor, text)
        return f" {link}</{tokens[idx].tag}>\n"

    def table_open(self, *_: Any) -> str:
        return '<div class="box"><table>\n'

    def table_close(self, *_: Any) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], idx: int, *_: Any) -> str:
        # An empty head is no head, to whoever hears the page.
        return '<th scope="col">' if tokens[idx + 1].content else "<td>"

    def th_close(self, tokens: Sequence[Token], idx: int, *_: Any) -> str:
        return "</th>" if tokens[idx - 1].content else "</td>"

    def td_open(self, tokens: Sequence[Token], idx: int, *_: Any) -> str:
        # Without the alignment that Markdown may ask for by an inline style.
        head = tokens[idx].meta["head"]
        return format_html('<td data-head="{}">', head) if head else "<td>"

    def image(self, tokens: Sequence[Token], idx: int, *_: Any) -> str:
        return f'<span class="diagram">{tokens[idx].meta["svg"]}</span>'

    def fence(self, tokens: Sequence[Token], idx: int, *_: Any) -> str:
        token = tokens[idx]
        language, tab = token.info.partition(" ")[0], tab_of(token)
        named = LANGUAGES.get(language, language)
        box = format_html(
            '<div class="code"{}><div class="code-head"><span>{}</span></div><pre><code>{}</code></pre></div>\n',
            format_html(' data-tab="{}"', tab) if tab else "",
            tab or named,
            coloured(token.content, language),
        )
        before = '<div class="languages">\n' if tab and token.meta["first"] else ""
        return before + box + ("</div>\n" if tab and token.meta["last"] else "")

    def code_block(self, tokens: Sequence[Token], idx: int, *_: Any) -> str:
        return format_html("<pre><code>{}</code></pre>\n", tokens[idx].content)


def tab_of(token: Token | None) -> str:
    """Return the tab that a code block is to stand in: ```sh tab=curl."""
    if token is None or token.type != "fence":
        return ""
    return next((word.removeprefix("tab=") for word in token.info.split() if word.startswith("tab=")), "")


def coloured(code: str, language: str) -> SafeString:
    """Return code as HTML, its parts with class names."""
    try:
        lexer = get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return escaped(code)
    html = highlight(code, lexer, HtmlFormatter(nowrap=True, classprefix="c-"))
    return mark_safe(PLAIN.sub(r"\1", html))  # noqa: S308 - Escaped by the formatter.


def html_of(tokens: Sequence[Token]) -> SafeString:
    """Return what the tokens are as HTML."""
    html: str = PARSER.renderer.render(tokens, PARSER.options, {})
    return mark_safe(html)  # noqa: S308 - Written by the renderer, which escapes.


PARSER = MarkdownIt("commonmark", {"html": False}, renderer_cls=Renderer).enable("table").use(footnote_plugin)
