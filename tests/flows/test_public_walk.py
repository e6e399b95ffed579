"""Every address outside the dashboard and the API is for everybody: whoever asks, the answer is the same."""

from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests.factories import make_account
from tests.people import member, superuser

pytestmark = pytest.mark.django_db

# By the pattern: an address of it, and what everybody gets.
TABLE = {
    "openapi.json": ("/openapi.json", 200),
    ".well-known/sora2-seal-keys.json": ("/.well-known/sora2-seal-keys.json", 200),
    "healthz": ("/healthz", 200),
    "readyz": ("/readyz", 200),
    # It asks for a token of its own, if it is there at all.
    "metrics": ("/metrics", 404),
    # Senders post there; who may look at what arrived is said by the dashboard's table.
    "webhook-sink/<slug:token>": ("/webhook-sink/unknown", 404),
    "docs": ("/docs", 301),
    "docs/enterprise": ("/docs/enterprise", 200),
    "docs/enterprise/<slug:slug>": ("/docs/enterprise/quick-start", 200),
    "docs/enterprise/webhooks/verify": ("/docs/enterprise/webhooks/verify", 200),
    "docs/errors": ("/docs/errors", 301),
    "docs/search": ("/docs/search?q=batch", 200),
    "docs/search/found": ("/docs/search/found?q=batch", 200),
    "docs/pricing": ("/docs/pricing", 200),
    "docs/api": ("/docs/api", 200),
    "docs/examples/<slug:language>.zip": ("/docs/examples/node.zip", 200),
    "docs/examples/<slug:language>/<str:name>": ("/docs/examples/node/batch_basic.ts", 200),
    "^docs/(?P<rest>.*)": ("/docs/nothing", 404),
}


def test_the_table_has_every_address_outside_the_dashboard_and_the_api() -> None:
    assert set(_patterns(get_resolver().url_patterns)) == TABLE.keys()


@pytest.mark.parametrize("pattern", TABLE)
def test_everybody_gets_the_same(pattern: str) -> None:
    address, status = TABLE[pattern]
    visitors = (Client(), superuser(), member(make_account(credits=0).organization, "customer developer"))
    assert [visitor.get(address).status_code for visitor in visitors] == [status] * 3


def _patterns(urls: list[URLPattern | URLResolver], before: str = "") -> Iterator[str]:
    for url in urls:
        route = f"{before}{url.pattern}"
        if route.startswith(("admin/", "api/enterprise/", "^api/enterprise")):
            continue
        if isinstance(url, URLResolver):
            yield from _patterns(url.url_patterns, route)
        else:
            yield route
