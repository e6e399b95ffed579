"""The search: what comes first, what is shown of it, and what a browser without scripts gets."""

import re

import pytest

from sora2.api import PROBLEMS
from sora2.documentation.contents import Group, Row
from sora2.documentation.library import library
from sora2.documentation.pages import Section
from sora2.documentation.search import index, search
from tests.documentation.reading import Read, get

GUIDE = Row("guide", "guide.md", "Receive webhooks", Group.BUILD)
ERRORS = Row("errors", "errors.md", "Errors", Group.LOOK_UP)
SECTIONS = index(
    [
        Section(GUIDE, "", "Receive webhooks", "An endpoint takes messages."),
        Section(GUIDE, "secrets", "Secrets", "An endpoint has a secret. To rotate a secret, ask for a new one."),
        Section(ERRORS, "codes", "Codes", "A webhook may fail; so may a secret <b>."),
        Section(ERRORS, "rate_limited", "rate_limited", "Wait, and send it again.", is_name=True),
        Section(GUIDE, "rate_limited", "rate_limited", "The receiver is told of too much.", is_name=True),
    ]
)


def addresses(query: str) -> list[str]:
    return [hit.section.address.removeprefix("/docs/enterprise/") for hit in search(query, SECTIONS, most=9)]


def test_a_title_comes_before_a_heading_and_a_heading_before_text() -> None:
    assert addresses("webhook")[:2] == ["guide", "guide#secrets"]
    assert addresses("webhook")[-1] == "errors#codes"
    assert addresses("secret") == ["guide#secrets", "errors#codes"]


def test_who_has_every_word_comes_before_who_has_one() -> None:
    assert addresses("rotate webhook")[0] == "guide#secrets"


def test_a_code_is_found_whole_and_in_the_reference_first() -> None:
    assert addresses("rate_limited") == ["errors#rate_limited", "guide#rate_limited"]


@pytest.mark.parametrize("query", ["SECRETS", "secr", " secret ", "secret?"])
def test_a_word_is_found_by_its_beginning_in_any_case_and_number(query: str) -> None:
    assert addresses(query)[0] == "guide#secrets"


@pytest.mark.parametrize("query", ["", "  ", "?!", "ecret", "zebra", "(", "[x-z]", "\\", "." * 500])
def test_what_stands_nowhere_finds_nothing_and_breaks_nothing(query: str) -> None:
    assert addresses(query) == []


def test_words_are_marked_and_nothing_else_is_html() -> None:
    (_, codes) = search("secret", SECTIONS, most=2)
    assert codes.snippet == "A webhook may fail; so may a <mark>secret</mark> &lt;b&gt;."


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_error_is_found_by_its_code(code: str) -> None:
    assert search(code, library().index, most=1)[0].section.address == f"/docs/enterprise/errors#{code}"


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("quick start", "/docs/enterprise/quick-start"),
        ("idempotency", "/docs/enterprise/idempotency"),
        ("prices", "/docs/pricing"),
        ("limits", "/docs/enterprise/limits"),
        ("batch.completed", "/docs/enterprise/events#batchcompleted"),
    ],
)
def test_what_customers_look_for_comes_first(query: str, first: str) -> None:
    assert first in [hit.section.address for hit in search(query, library().index, most=2)]


def test_the_page_of_results_needs_no_script() -> None:
    text = get("/docs/search", data={"q": "signature <script>"}).text
    assert "<mark>signature</mark>" in text.lower()
    assert "Results for “signature &lt;script&gt;”" in text
    page = Read()
    page.feed(text)
    assert any(re.fullmatch(r"/docs/enterprise/webhooks#\w+", link) for link in page.links)


@pytest.mark.parametrize("query", ["", "zzzz", "a\0b"])
def test_a_search_for_nothing_says_what_to_do(query: str) -> None:
    answer = get("/docs/search", data={"q": query})
    assert answer.status_code == 200


def test_the_results_while_one_types_are_a_part_of_a_page() -> None:
    text = get("/docs/search/found", data={"q": "wallet"}).text
    assert "<html" not in text
    assert 1 <= text.count("<li>") <= 8
    assert "/docs/search?q=wallet" in text


def test_a_page_that_is_not_there_says_what_it_may_have_been() -> None:
    answer = get("/docs/enterprise/webhook-adresses")
    assert answer.status_code == 404
    assert "/docs/enterprise/webhook-addresses" in answer.text
    assert 'action="/docs/search"' in answer.text
    assert "Did you mean" not in get("/docs/enterprise/qqqqqqqq").text
