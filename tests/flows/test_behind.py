"""What is behind every page: each has its entry, and the calls that are shown give what the page is about."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from customers.access import SCOPES
from customers.models import Mode
from sora2.behind import BEHIND
from sora2.templatetags import calls
from tests.commands import Sent, sent_from
from tests.dashboard import addresses, own_routes, scenes
from tests.factories import BASE, Api, api_with_scopes
from tests.flows.conftest import undone
from tests.flows.page_table import OURS, PAGES
from tests.people import signed_in
from tests.sora2.test_openapi import faults, operation
from tests.world import World
from webhooks import endpoints

pytestmark = pytest.mark.django_db

IDS = re.compile(r"[a-z]{3}_[0-9a-z]{26}")
FILES = (".pdf", ".xlsx", ".beancount", ".csv", ".jsonl", "/content")
# Pages that show a part of what is answered, or sums of it.
PARTLY = {"index", "key_list", "ledger_day", "entry", "batch_why", "batch_totals_why", "wallet_why", "totals_why"}


def test_every_page_has_its_entry_and_every_entry_its_page(world: World) -> None:
    """A new page is missed here: give it a line in sora2/behind.py, with its calls or a sentence why there are none."""
    found = {name.partition("-")[0] for name in scenes(world, signed_in(world.people["superuser"]))}
    assert (found & set(own_routes())) - set(BEHIND) == set()
    assert set(BEHIND) <= set(own_routes())


def test_what_every_page_shows_works_and_gives_what_the_page_is_about(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changes something is done too, and taken back."""
    monkeypatch.setattr(endpoints, "TEST_WAIT_SECONDS", 0.0)
    client, made, wrong = signed_in(world.people["customer admin"]), set[tuple[str, str]](), list[str]()
    apis = {mode: api_with_scopes(world.acme.organization, SCOPES, mode) for mode in Mode}
    for scene, address in scenes(world, client).items():
        page, name = client.get(address), scene.partition("-")[0]
        for sent in sent_from(page):
            with undone():
                response, body = answered(apis[sent.mode], sent)
            made.add((name, operation(sent.method.lower(), sent.path)["operationId"]))
            if response.status_code not in (200, 201, 202):
                wrong.append(f"{scene}: {sent} is answered {body.decode()}")
            else:
                found = differences(scene, page.content.decode(), sent, body)
                wrong += [f"{scene}: {sent}: {each}" for each in [*found, *faults_of(sent)]]
    assert wrong == [], "\n".join(wrong)
    customers = {name: behind for name, behind in BEHIND.items() if name not in PAGES or PAGES[name].whose != OURS}
    assert made == {(name, each.operation.name) for name, each in calls_of(customers)}


def calls_of(behind: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return each call with its page."""
    return [(name, each) for name, found in behind.items() if not isinstance(found, str) for each in found]


def answered(api: Api, sent: Sent) -> tuple[Any, bytes]:
    """Send it, and return the answer with its whole body."""
    path = sent.path.removeprefix(BASE)
    if sent.method == "GET":
        response = api.get(path, sent.query)
    else:
        response = api.send(sent.method, path, json.dumps(sent.body).encode() if sent.body else b"", "application/json")
    return response, b"".join(response.streaming_content) if response.streaming else response.content


def faults_of(sent: Sent) -> list[str]:
    """Return what is wrong with the body of a command by the OpenAPI document."""
    said = operation(sent.method.lower(), sent.path)
    return faults(sent.body, said["requestBody"]["content"]["application/json"]["schema"]) if sent.body else []


def differences(scene: str, page: str, sent: Sent, body: bytes) -> list[str]:
    """Return where an answer is not of this page: by ids, rows, the month and figures."""
    ids = [each for each in IDS.findall(sent.path) if each not in page]
    if sent.method != "GET" or sent.path.endswith(FILES):
        return ids if body else [*ids, "nothing is answered"]
    if scene.partition("-")[0] in PARTLY or scene.endswith("-none"):
        return ids
    answer, text = json.loads(body), body.decode()
    rows = answer.get("data", [])
    missing = [str(row) for row in rows if not any(identity in page for identity in identities(row))]
    if "data" not in answer:
        missing += [each for each in IDS.findall(sent.path)[-1:] if each not in text]
    figures = {**answer, **answer.get("closing", {}), **answer.get("ledger", {}), **answer.get("totals", {})}
    known = {"available", "reserved", "settled", "refunded"} & figures.keys()
    missing += [f"{figure} {figures[figure]:,}" for figure in known if f"{figures[figure]:,}" not in page]
    return [*ids, *missing, *(["month"] if answer.get("month", "") not in page else [])]


def identities(row: dict[str, Any]) -> list[str]:
    """Return what a row is known by; an entry also by its hash."""
    names = ("id", "batch_id", "number", "hash", "name")
    return [str(row[name]) for name in names if name in row]


FILTERED: Mapping[str, Mapping[str, str]] = {
    "/admin/batches/?state=completed&from=2026-01-02&until=2999-01-01T10:30&q=x&custom_id=y": {
        "state": "completed",
        "created_after": "2026-01-02T00:00:00Z",
        "created_before": "2999-01-01T10:30:00Z",
    },
    "/admin/batches/?state=open&from=soon": {},
    "/admin/batches/{partial}?show=failed&failure=capacity&custom_id=a%26b": {
        "status": "refunded",
        "failure_type": "capacity",
        "custom_id": "a&b",
    },
    "/admin/batches/{processing}?show=failed&failure=nonsense": {"status": "failed"},
    "/admin/ledger/{organization}?month=2026-09&tz=Europe/Berlin&kind=reserve&reference={partial}": {
        "tz": "Europe/Berlin",
        "created_after": "2026-08-31T22:00:00Z",
        "created_before": "2026-09-30T22:00:00Z",
        "kind": "reserve",
        "batch_id": "{partial}",
    },
    "/admin/ledger/{organization}?from=2026-01-02&until=2026-02-03": {
        "created_after": "2026-01-02T00:00:00Z",
        "created_before": "2026-02-03T00:00:00Z",
    },
    "/admin/ledger/days/2026-01-31": {
        "created_after": "2026-01-31T00:00:00Z",
        "created_before": "2026-02-01T00:00:00Z",
    },
    "/admin/webhooks/deliveries/?state=delivered&event=all+but+tests&about={partial}&undelivered=only": {
        "state": "delivered",
        "batch_id": "{partial}",
        "undelivered": "true",
    },
}


@pytest.mark.parametrize("address", FILTERED)
def test_filters_are_carried_over_as_far_as_the_api_has_them(world: World, address: str) -> None:
    known = {"organization": world.acme.organization.pk, **{name: made.pk for name, made in world.batches.items()}}
    client = signed_in(world.people["customer admin"])
    query: dict[str, str] = {}
    for sent in sent_from(client.get(address.format_map(known))):
        query |= sent.query
    assert query == {name: value.format_map(known) for name, value in FILTERED[address].items()}


def test_a_statement_is_called_by_its_month_and_an_interval_by_its_entries(world: World) -> None:
    client, at = signed_in(world.people["customer finance"]), f"/admin/ledger/{world.acme.organization.pk}"
    assert f"{BASE}/statements/{world.closed}.pdf" in paths(client, f"{at}?month={world.closed}&mode=test")
    of_interval = paths(client, f"{at}?from=2026-01-02")
    assert of_interval[:2] == [f"{BASE}/wallet", f"{BASE}/ledger"]


def paths(client: Client, address: str) -> list[str]:
    """Return the paths that a page's commands go to."""
    return [sent.path for sent in sent_from(client.get(address))]


def test_a_page_of_test_mode_takes_a_test_key(world: World) -> None:
    client = signed_in(world.people["customer admin"])
    for name, mode in (("test", Mode.TEST), ("partial", Mode.LIVE)):
        batch = client.get(f"/admin/batches/{world.batches[name].pk}")
        assert {sent.mode for sent in sent_from(batch)} == {mode}
    client.post("/admin/mode", {"mode": "test"})
    assert {sent.mode for sent in sent_from(client.get("/admin/batches/new"))} == {Mode.TEST}


def test_a_mode_that_there_is_none_of_breaks_no_page(world: World) -> None:
    for address in ("/admin/ledger/?mode=nonsense", "/admin/batches/?mode=nonsense"):
        response = signed_in(world.people["superuser"]).get(address)
        assert response.status_code == 200
        assert {sent.mode for sent in sent_from(response)} == {Mode.LIVE}
    tried = signed_in(world.people["finance"]).get("/admin/batches/?mode=test")
    assert {sent.mode for sent in sent_from(tried)} == {Mode.TEST}


def test_the_calls_cost_no_query(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client, where = signed_in(world.people["customer admin"]), addresses(world)
    pages = ("batch", "batch_billing", "item", "statement", "seal_list", "endpoint", "delivery")
    counted = []
    for behind in (BEHIND, {}):
        monkeypatch.setattr(calls, "BEHIND", behind)
        for name in pages:
            with CaptureQueriesContext(connection) as captured:
                client.get(where[name])
            counted.append(len(captured))
    assert counted[: len(pages)] == counted[len(pages) :]
