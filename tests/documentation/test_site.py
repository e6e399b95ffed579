"""The public documentation as a whole: every page renders, every link arrives, and nothing internal is there."""

import io
import re
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from sora2.api import PROBLEMS
from sora2.documentation.contents import ROWS, START, START_FILE, WRITTEN, Group, Row
from sora2.documentation.library import library
from sora2.documentation.pages import rendered
from sora2.documentation.sources import PUBLIC
from tests.documentation.reading import PAGES, Read, get, read
from tests.sora2.documents import DOCS, ROOT
from tests.sora2.documents import PAGES as FILES

pytestmark = pytest.mark.django_db

EXPLORER = "/docs/api"


# --- what is there ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", PAGES)
def test_every_page_of_the_contents_is_there(address: str) -> None:
    page = read(address)
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False))


@pytest.mark.parametrize("row", WRITTEN.values(), ids=lambda row: row.slug)
def test_a_page_leads_to_nothing_that_is_not_public(row: Row) -> None:
    assert library().pages[row.slug].faults == ()


def test_every_file_for_customers_is_in_the_contents() -> None:
    files = {f"docs/enterprise/{path.name}" for path in (DOCS / "enterprise").glob("*.md")}
    assert files == {file for file in PUBLIC if file.startswith("docs/enterprise/")}


def test_what_the_start_page_leaves_out_of_its_file_is_public_too() -> None:
    """Below its first heading the file lists pages, for who reads the files; the site makes its own list."""
    made = rendered(Row("", START_FILE, "", Group.START), (ROOT / START_FILE).read_text())
    assert made.headings
    assert made.faults == ()


def test_a_slug_stands_for_one_page_and_none_for_an_address_that_is_another_view() -> None:
    assert len({row.slug for row in ROWS}) == len({row.address for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("address", [address for address in PAGES if address != EXPLORER])
def test_an_id_stands_once(address: str) -> None:
    ids = read(address).ids
    assert sorted(ids) == sorted(set(ids))


def test_every_link_and_anchor_arrives() -> None:
    """Followed from the start page, through the whole site."""
    pages: dict[str, Read | None] = {}
    waiting = [(START, START, "")]
    while waiting:
        from_page, path, anchor = waiting.pop()
        if path not in pages:
            pages[path] = follow(from_page, path)
            waiting += [(path, *target) for target in targets(path, pages[path])]
        page = pages[path]
        assert not anchor or (page is not None and anchor in page.ids), f"{from_page} leads to {path}#{anchor}"
    assert {address for address in PAGES if address not in pages} == set()


def follow(from_page: str, path: str) -> Read | None:
    answer = get(path)
    assert answer.status_code in (200, 302), f"{from_page} leads to {path}: {answer.status_code}"
    if not answer.headers["Content-Type"].startswith("text/html") or not path.startswith("/docs"):
        return None
    page = Read()
    page.feed(answer.text)
    return page


def targets(path: str, page: Read | None) -> list[tuple[str, str]]:
    """Return the pages and anchors on this site that a page leads to."""
    found = []
    for link in page.links if page else []:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            assert parts.scheme in ("https", "mailto"), f"{path} leads to {link}"
        elif "?" not in link:
            found.append((parts.path or path, parts.fragment))
    return found


@pytest.mark.parametrize("code", PROBLEMS)
def test_the_type_of_a_problem_leads_to_its_row(code: str) -> None:
    answer = get("/docs/errors")
    assert (answer.status_code, answer.headers["Location"]) == (301, "/docs/enterprise/errors")
    assert code in read("/docs/enterprise/errors").ids


@pytest.mark.parametrize(
    ("address", "leads"),
    [("/docs", START), ("/docs/", "/docs"), ("/docs/enterprise/", START), ("/docs/pricing/", "/docs/pricing")],
)
def test_what_is_nearly_an_address_leads_to_it(address: str, leads: str) -> None:
    answer = get(address)
    assert (answer.status_code, answer.headers["Location"]) == (301, leads)


# --- what is not there ------------------------------------------------------------------------------------------------

INTERNAL = [path for path in FILES if str(path.relative_to(ROOT)) not in PUBLIC]


@pytest.mark.parametrize("path", INTERNAL, ids=lambda path: path.stem)
def test_an_internal_page_has_no_address(path: Path) -> None:
    name = path.relative_to(ROOT).with_suffix("")
    for address in (f"/docs/enterprise/{name.stem}", f"/docs/{name}", f"/docs/{name}.md", f"/{name}.md"):
        if name.stem not in WRITTEN:
            assert get(address).status_code == 404, address


@pytest.mark.parametrize(
    "address",
    [
        "/docs/enterprise/../decisions/0001-record-decisions",
        "/docs/enterprise/%2e%2e%2fREADME",
        "/docs/examples/node/../../sora2/settings.py",
        "/docs/examples/node/%2e%2e%2f%2e%2e%2fmanage.py",
        "/docs/examples/node/node_modules",
        "/docs/examples/python/__pycache__",
        "/docs/examples/ruby/batch_basic.rb",
        "/docs/examples/ruby.zip",
    ],
)
def test_no_way_leads_out_of_what_is_public(address: str) -> None:
    assert get(address).status_code == 404


def test_the_changes_leave_out_what_is_for_our_own_people() -> None:
    text = get("/docs/enterprise/changelog").text
    assert "For customers" in text
    assert "For our staff" not in text
    assert "For operators" not in text
    assert "WORKER_SILENCE_SECONDS" not in text


@pytest.mark.parametrize("row", WRITTEN.values(), ids=lambda row: row.slug)
def test_a_page_has_this_systems_values_in_place_of_examples(row: Row, settings: Settings) -> None:
    settings.PUBLIC_BASE_URL, settings.SUPPORT_EMAIL = "https://video.acme.test", "help@acme.test"
    text = get(row.address).text
    for left in ("https://api.example.com", "support@example.com", "{{", "&lt;help@"):
        assert left not in text, left


def test_the_addresses_that_webhooks_come_from_are_those_of_the_settings(settings: Settings) -> None:
    settings.WEBHOOK_SOURCE_ADDRESSES = []
    assert "not fixed" in get("/docs/enterprise/webhook-addresses").text
    settings.WEBHOOK_SOURCE_ADDRESSES = ["203.0.113.7", "2001:db8::/64"]
    text = get("/docs/enterprise/webhook-addresses").text
    assert "not fixed" not in text
    assert "<code>203.0.113.7</code>" in text
    assert "<code>2001:db8::/64</code>" in text


# --- how it is served -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [*PAGES, "/docs/search?q=batch", "/docs/search/found?q=batch"])
def test_a_page_asks_for_nothing_from_elsewhere_and_has_nothing_inline(address: str) -> None:
    answer = get(address)
    page = Read()
    page.feed(answer.text)
    for loaded in page.loaded:
        assert loaded.startswith("/static/"), loaded
        assert finders.find(loaded.removeprefix("/static/")), loaded
    assert page.inline == []
    policy = dict(rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["style-src"] == ("'self' 'unsafe-inline'" if address == EXPLORER else "'self'")
    assert answer.cookies == {}


@pytest.mark.parametrize("address", [address for address in PAGES if address != "/docs/pricing"])
def test_a_page_asks_no_database(address: str, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        get(address)


@pytest.mark.parametrize("address", ["/docs/enterprise", "/docs/enterprise/errors", "/docs/pricing", "/docs/api"])
def test_nobody_loads_a_page_twice(address: str) -> None:
    first = get(address)
    assert re.fullmatch(r"max-age=\d+, public|public, max-age=\d+", first.headers["Cache-Control"])
    again = get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = Client().head(address)
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", first.headers["ETag"])


@pytest.mark.parametrize("address", ["/docs/enterprise", "/docs/enterprise/faq", "/docs/search", "/docs/pricing"])
@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_nothing_can_be_sent_to_a_page(method: str, address: str) -> None:
    assert getattr(Client(), method)(address).status_code == 405


def test_a_page_is_rendered_again_when_its_file_has_changed(settings: Settings, tmp_path: Path) -> None:
    """Under DEBUG, so that who writes sees what they wrote."""
    for file in [START_FILE, *(row.file for row in WRITTEN.values())]:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("# A page\n\n*For everybody: what stands here.*\n\nAs it was.\n")
    settings.BASE_DIR, settings.DEBUG = tmp_path, True
    settings.SUPPORT_EMAIL = "changes@example.com"  # Nothing that was rendered for others.
    assert "As it was." in get("/docs/enterprise/faq").text
    (tmp_path / WRITTEN["faq"].file).write_text("# A page\n\nAs it is.\n")
    assert "As it is." in get("/docs/enterprise/faq").text


# --- downloads --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "name"), [("python", "batch_basic.py"), ("node", "batch_basic.ts")])
def test_an_example_is_downloaded_as_it_is(language: str, name: str) -> None:
    answer = get(f"/docs/examples/{language}/{name}")
    assert answer.content == (ROOT / "examples" / language / name).read_bytes()
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'


def test_an_example_comes_whole_as_the_same_archive_each_time() -> None:
    answer = get("/docs/examples/node.zip")
    assert answer.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = archive.namelist()
        assert {"sora2-node/batch_basic.ts", "sora2-node/package.json", "sora2-node/README.md"} <= set(names)
        assert not any("node_modules" in name for name in names)
        for name in names:
            assert archive.read(name) == (ROOT / "examples/node" / name.partition("/")[2]).read_bytes()
    assert get("/docs/examples/node.zip").content == answer.content
