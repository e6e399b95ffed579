"""Reading the site as a browser gets it: addresses, ids and texts of a page."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from django.test import Client

from sora2.documentation.contents import ROWS, START

PAGES = [START, *(row.address for row in ROWS)]


@dataclass
class Read(HTMLParser):
    """What stands in a page's HTML."""

    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    headings: list[int] = field(default_factory=list)
    inline: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in ("link", "script", "img", "iframe", "video"):
            self.loaded.append(given.get("href") or given.get("src") or "")
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self.headings.append(int(tag[1]))
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)
        self.inline.extend(name for name in given if name == "style" or name.startswith("on"))


def get(address: str, **more: Any) -> Any:
    return Client().get(address, **more)


def read(address: str) -> Read:
    """Return what stands at an address of the site."""
    answer = get(address)
    assert answer.status_code == 200, address
    page = Read()
    page.feed(answer.text)
    return page
