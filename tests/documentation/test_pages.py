"""From Markdown to a page: what becomes an anchor, where links lead, and what is refused."""

import re
from pathlib import Path

import pytest
from pytest_django import Settings

from sora2.documentation.contents import Group, Row
from sora2.documentation.pages import Page, rendered

ROW = Row("errors", "docs/reference/errors.md", "Errors", Group.LOOK_UP)


def page(text: str) -> Page:
    return rendered(ROW, f"# Title\n\n*For engineers: what is sent.*\n\n{text}\n")


def test_a_page_says_first_for_whom_it_is_and_what_it_is_about() -> None:
    made = page("Text.")
    assert made.lead == "For engineers: what is sent."
    assert made.summary == "What is sent."
    assert made.body == "<p>Text.</p>\n"


def test_headings_have_the_anchors_that_they_have_on_github() -> None:
    made = page("## Get what you missed\n\n## The `X-Trace-Id`, or not\n\n### Twice\n\n### Twice\n\n## …")
    assert [heading.anchor for heading in made.headings] == [
        *("get-what-you-missed", "the-x-trace-id-or-not", "twice", "twice-1", "section")
    ]
    assert '<h2 id="get-what-you-missed">' in made.body


def test_only_long_pages_have_an_outline() -> None:
    assert page("## One\n\n## Two").outline == []
    assert [heading.text for heading in page("## One\n\n### Below\n\n## Two\n\n## Three").outline] == [
        *("One", "Two", "Three")
    ]


def test_what_a_row_explains_has_its_name_as_anchor_once() -> None:
    made = page(
        "| code | means |\n|---|---|\n| `batch_final` | x |\n| `item.failed`, `a_b` | y |\n| `batch_final` | z |"
    )
    assert re.findall(r'<code id="([^"]+)">', made.body) == ["batch_final", "item.failed", "a_b"]
    found = {section.heading: section for section in made.sections}
    assert (found["item.failed"].address, found["item.failed"].text) == ("/docs/enterprise/errors#item.failed", "y")


def test_raw_html_is_shown_and_not_obeyed() -> None:
    made = page('<script>alert(1)</script>\n\nA <b onclick="x()">word</b>.')
    assert "<script" not in made.body
    assert "<b " not in made.body


@pytest.mark.parametrize(
    ("target", "leads"),
    [
        ("events.md#types", "/docs/enterprise/events#types"),
        ("../howto/webhooks.md", "/docs/enterprise/webhooks"),
        ("../enterprise/index.md", "/docs/enterprise"),
        ("../../CHANGELOG.md", "/docs/enterprise/changelog"),
        ("../../examples/python/batch_basic.py", "/docs/examples/python/batch_basic.py"),
        ("#codes", "#codes"),
        ("https://www.standardwebhooks.com/", "https://www.standardwebhooks.com/"),
        ("https://api.example.com/docs/pricing", "/docs/pricing"),
        ("/openapi.json", "/openapi.json"),
    ],
)
def test_a_link_leads_to_the_site(target: str, leads: str) -> None:
    assert f'<a href="{leads}">there</a>' in page(f"Look [there]({target}).").body


@pytest.mark.parametrize(
    "target",
    [
        "../howto/operate.md",
        "../decisions/0001-record-decisions.md#x",
        "settings.md",
        "../../sora2/settings.py",
        "no.md",
    ],
)
def test_a_link_to_what_is_not_public_is_refused(target: str) -> None:
    made = page(f"Look [there]({target}).")
    assert ["is not public" in fault for fault in made.faults] == [True]
    assert "<a>there</a>" in made.body


def test_the_line_about_readers_may_not_lead_inside_either() -> None:
    made = rendered(ROW, "# Title\n\n*For [us](settings.md).*\n")
    assert made.faults
    assert "settings" not in made.lead


# --- code -------------------------------------------------------------------------------------------------------------


def test_code_names_its_language_and_its_parts() -> None:
    body = page('```json\n{"ok": true}\n```').body
    assert '<div class="code-head"><span>JSON</span></div>' in body
    assert '<span class="c-nt">"ok"</span>' in body


def test_an_unknown_language_is_shown_as_it_is() -> None:
    assert "<code>a &lt; b\n</code>" in page("```nonsense\na < b\n```").body


def test_blocks_that_stand_for_each_other_are_one_group() -> None:
    body = page("```sh tab=curl\na\n```\n\n```python tab=Python\nb\n```\n\nText.\n\n```sh tab=curl\nc\n```").body
    groups = re.findall(r'<div class="languages">(.*?)</pre></div>\n</div>', body, re.DOTALL)
    assert [re.findall(r'data-tab="(\w+)"', group) for group in groups] == [["curl", "Python"], ["curl"]]


def test_a_list_to_tick_off_has_boxes() -> None:
    assert "<li>☐ <code>batch_id</code></li>" in page("- [ ] `batch_id`").body


# --- diagrams ---------------------------------------------------------------------------------------------------------

DRAWING = '<svg viewBox="0 0 9 9" role="img"><title>A</title><path stroke="currentColor" d="M0 0"/></svg>'


@pytest.fixture
def drawing(settings: Settings, tmp_path: Path) -> Path:
    settings.BASE_DIR = tmp_path
    (tmp_path / "static/docs").mkdir(parents=True)
    return tmp_path / "static/docs/a.svg"


def test_a_drawing_of_ours_stands_in_the_page(drawing: Path) -> None:
    drawing.write_text(f'<?xml version="1.0"?>\n<!-- made by hand -->\n{DRAWING}\n')
    assert f'<span class="diagram">{DRAWING}</span>' in page("![A](../../static/docs/a.svg)").body


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<title>", "<style>path {fill: red}</style><title>"),
        ("<title>", "<script>alert(1)</script><title>"),
        ("<path ", '<path style="fill: red" '),
        ("<path ", '<path onclick="x()" '),
        ("<path ", '<path href="https://example.com" '),
        (' role="img"', ""),
    ],
)
def test_a_drawing_that_the_policy_would_refuse_is_refused(drawing: Path, before: str, after: str) -> None:
    drawing.write_text(DRAWING.replace(before, after))
    made = page("![A](../../static/docs/a.svg)")
    assert made.faults
    assert "<svg" not in made.body


@pytest.mark.parametrize("source", ["https://example.com/a.svg", "../../LICENSE", "/etc/passwd", "a.png"])
def test_a_picture_from_elsewhere_is_refused(source: str) -> None:
    made = page(f"![A]({source})")
    assert ["must be an SVG" in fault for fault in made.faults] == [True]
    assert source not in made.body
