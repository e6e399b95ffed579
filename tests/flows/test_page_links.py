"""Nobody is led to where they may not go: every link on every page that a role can reach, followed."""

from collections import Counter, deque
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
from django.test import Client
from django.urls import resolve

from tests.flows.page_table import CUSTOMERS, STAFF
from tests.markup import links_of
from tests.people import signed_in
from tests.world import World

pytestmark = pytest.mark.django_db

ROLES = (*list(STAFF)[1:], *CUSTOMERS)
OF_NO_SECTION = {"/admin/password_change/", "/admin/two-step/"}
# Pages alike that are opened: the same view without a query, and with the same first parameter.
PLAIN, ASKED = 2, 1


def kind_of(address: str) -> tuple[str, str]:
    """Return what pages alike have in common: the view, and the first parameter of the query."""
    parts = urlsplit(address)
    names = sorted(name for name, _ in parse_qsl(parts.query))
    return resolve(parts.path).url_name or parts.path, names[0] if names else ""


def is_wanted(target: str) -> bool:
    """Say whether a link leads to a page of ours; Django's lists of a model sort and filter in a thousand ways."""
    return target.startswith("/admin/") and not ("?" in target and kind_of(target)[0].endswith("_changelist"))


def crawl(client: Client) -> dict[str, tuple[str, Any]]:
    """Open what can be reached by links from home; return each address, the page that led there, and its answer."""
    found: dict[str, tuple[str, Any]] = {}
    opened: Counter[tuple[str, str]] = Counter()
    waiting = deque([("/admin/", "")])
    while waiting:
        address, source = waiting.popleft()
        kind = kind_of(address)
        if address in found or opened[kind] >= (ASKED if kind[1] else PLAIN):
            continue
        opened[kind] += 1
        response = client.get(address, follow=True)
        found[address] = source, response
        if is_page(response):
            there = response.request["PATH_INFO"]
            targets = (urljoin(there, link).partition("#")[0] for link in links_of(response))
            waiting += [(target, address) for target in targets if is_wanted(target)]
    return found


def is_page(response: Any) -> bool:
    """Say whether an answer is a page rather than a file."""
    return bool(response.headers.get("Content-Type", "").startswith("text/html"))


@pytest.mark.parametrize("role", ROLES)
def test_no_link_leads_to_a_dead_end_and_every_page_says_where_it_belongs(world: World, role: str) -> None:
    dead, lost = {}, set()
    found = crawl(signed_in(world.people[role]))
    for address, (source, response) in found.items():
        if response.status_code != 200:
            dead[f"{source} → {address}"] = response.status_code
        elif (
            is_page(response)
            and address not in OF_NO_SECTION
            and 'aria-current="page"' not in response.content.decode()
        ):
            lost.add(address)
    assert dead == {}
    assert lost == set()
    assert 20 < len(found) < 400
