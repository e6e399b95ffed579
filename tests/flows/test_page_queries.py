"""A page takes as many queries with many rows as with few."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings

from batches.models import Batch
from tests.dashboard import addresses
from tests.flows.growing import grow
from tests.flows.page_table import PAGES, of_models
from tests.people import signed_in
from tests.world import World
from webhooks.models import Delivery

pytestmark = pytest.mark.django_db

# Files are no pages, but made of rows all the same; an act has none.
GOT = sorted(name for name, row in {**PAGES, **of_models()}.items() if "GET" in row.methods)
Statements = Mapping[tuple[str, str], tuple[list[str], list[str]]]
# So many statements may be asked at most because there are rows at all.
ONCE = 2
VIEWERS = ("superuser", "customer admin")


def statements(world: World, folder: Path) -> Statements:
    """Return what each page asks the database, in the world as it is and once it has grown, for each who looks."""
    clients, where = {viewer: signed_in(world.people[viewer]) for viewer in VIEWERS}, addresses(world)
    few = {viewer: _statements(client, where) for viewer, client in clients.items()}
    with override_settings(SEAL_DIR=folder, SEAL_SECONDS=0):
        batch = grow(world)
    where |= _of(batch)
    many = {viewer: _statements(client, where) for viewer, client in clients.items()}
    return {(viewer, name): (few[viewer][name], many[viewer][name]) for viewer in VIEWERS for name in GOT}


def _of(batch: Batch) -> dict[str, str]:
    """Return the addresses of the pages about this batch."""
    at, item = f"/admin/batches/{batch.pk}", batch.items.filter(output__isnull=False)[0]
    delivery = Delivery.objects.filter(event__reference=batch.pk, event__type="batch.completed")[0]
    tabs = {
        "batch_billing": "billing",
        "batch_webhooks": "webhooks",
        "batch_proof": "proof",
        "batch_why": "why/refunded",
    }
    return {
        "batch": at,
        **{name: f"{at}/{tab}" for name, tab in tabs.items()},
        "batch_items": f"{at}/proof/items.jsonl",
        "item": f"{at}/items/{item.pk}",
        "delivery": f"/admin/webhooks/deliveries/{delivery.pk}",
    }


def _statements(client: Client, where: Mapping[str, str]) -> dict[str, list[str]]:
    found = {}
    for name in GOT:
        with CaptureQueriesContext(connection) as captured:
            response = client.get(where.get(name, "/admin/"))
            for _ in getattr(response, "streaming_content", ()):
                pass
        found[name] = [query["sql"] for query in captured]
    return found


def _form(sql: str) -> str:
    """Return a statement without its values, and however many there are."""
    return re.sub(r"(…, )+…", "…", re.sub(r"'[^']*'|\b\d+\b", "…", sql))


def test_every_page_asks_as_often_whatever_there_is(world: World, tmp_path: Path) -> None:
    """What is asked at all only where there are rows may be asked once; nothing is asked once for each of them."""
    said = []
    for (viewer, name), (few, many) in statements(world, tmp_path).items():
        before, after = Counter(map(_form, few)), Counter(map(_form, many))
        repeated = [f"  {count} times: {sql}" for sql, count in after.items() if count > max(1, before[sql])]
        if repeated or len(many) > len(few) + ONCE:
            said += [f"{name} for a {viewer}: {len(few)} queries have become {len(many)}", *repeated]
    assert said == [], "\n".join(said)
