"""What a page says is behind it: every page has its entry, and the calls that are shown give what the page shows."""

import argparse
import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from customers.access import SCOPES
from customers.models import Mode
from sora2.behind import BEHIND
from sora2.calls import Call, call, lines
from tests.dashboard import own_routes, scenes, written
from tests.factories import BASE, Account, Api, api_with_scopes, end_batch, make_batch
from tests.flows.conftest import undone
from tests.people import member, signed_in, staff
from tests.sora2.documents import CODE, section
from tests.sora2.test_openapi import faults, operation
from tests.world import World, make_world
from webhooks import endpoints

SUMMARY = "<summary>The same by the API</summary>"
LINE = re.compile(r'<pre class="raw">(curl .*?)</pre>', re.DOTALL)
IDS = re.compile(r"[a-z]{3}_[0-9a-z]{26}")
CALLS = [(page, each) for page, behind in BEHIND.items() if not isinstance(behind, str) for each in behind]
# What a page does not list row by row, though the call does.
NOT_LISTED = {"index", "key_list"}
HOSTILE = "'; touch hacked; $(touch hacked) `touch hacked` \" \\ \n& | # {batch_id} é"


@dataclass(frozen=True)
class Sent:
    """A command, read as a shell reads it."""

    method: str
    path: str
    query: dict[str, str]
    mode: Mode
    body: Any


def read(text: str) -> Sent:
    """Read a command."""
    known = argparse.ArgumentParser()
    known.add_argument("-X", default="GET")
    known.add_argument("-H", action="append")
    known.add_argument("-OJ", action="store_true")
    known.add_argument("--data-raw", default="null")
    known.add_argument("address")
    name, *words = shlex.split(text.replace("\\\n", " "))
    assert name == "curl"
    given = known.parse_args(words)
    address = urlsplit(given.address)
    return Sent(
        method=given.X,
        path=address.path,
        query={name: value for name, (value,) in parse_qs(address.query, strict_parsing=bool(address.query)).items()},
        mode={"X-API-Key: $SORA2_API_KEY": Mode.LIVE, "X-API-Key: $SORA2_TEST_KEY": Mode.TEST}[given.H[0]],
        body=json.loads(given.data_raw),
    )


def shown(response: Any) -> list[str]:
    """Return the commands that a page shows, as they are to be copied."""
    text = response.content.decode()
    commands = [unescape(command) for command in LINE.findall(text)]
    assert commands == [unescape(copied) for copied in re.findall(r'data-copy="(curl [^"]*)"', text)]
    return commands


def sent_from(response: Any) -> list[Sent]:
    """Return what the commands of a page send."""
    return [read(command) for command in shown(response)]


def answered(api: Api, sent: Sent) -> tuple[Any, bytes]:
    """Send it, and return the answer with its whole body."""
    if sent.method == "GET":
        response = api.get(sent.path.removeprefix(BASE), sent.query)
    else:
        body = b"" if sent.body is None else json.dumps(sent.body).encode()
        response = api.send(sent.method, sent.path.removeprefix(BASE), body, "application/json")
    return response, b"".join(response.streaming_content) if response.streaming else response.content


# --- the entries ---------------------------------------------------------------------------------------------------


@pytest.fixture
def world(db: None, tmp_path: Path) -> World:
    """The rich world."""
    return make_world(tmp_path)


def test_every_page_has_its_entry_and_every_entry_its_page(world: World) -> None:
    """A new page is missed here: give it a line in sora2/behind.py, a list of calls or a sentence why there is none."""
    found = {name.partition("-")[0] for name in scenes(world, signed_in(world.people["superuser"]))}
    assert (found & set(own_routes())) - set(BEHIND) == set()
    assert set(BEHIND) <= set(own_routes())


@pytest.mark.parametrize(("page", "each"), CALLS, ids=lambda value: value if isinstance(value, str) else value.path)
def test_a_call_is_an_operation_of_the_document_and_says_its_scope(page: str, each: Call) -> None:
    address = re.sub(r"\{[\w.]+\}", "x", f"{BASE}{each.path}")
    found = operation(each.method.lower(), address)
    assert found["operationId"] == each.operation.name, page
    assert f"`{each.operation.scope}`" in found["description"]
    assert each.operation.tag in found["tags"]
    known = {parameter["name"] for parameter in found["parameters"] if parameter["in"] == "query"}
    assert set(each.query) <= known
    assert (each.body is not None) <= ("requestBody" in found)


def test_the_documentation_says_the_same() -> None:
    where, said = written(), {}
    for line in section("enterprise/dashboard-and-api.md", "What corresponds to what").splitlines():
        if line.startswith("| ") and "`/admin/" in line:
            _, address, calls = line.strip("|").split("|")
            said[CODE.findall(address)[0]] = CODE.findall(calls)
    # What only our own people see is not for customers to read about.
    assert said == {where[page]: _calls_of(page) for page in BEHIND if where[page] in said}
    assert {where[page] for page, _ in CALLS} - set(said) == {where[page] for page in ("catalogue_model", *OURS)}


OURS = ("catalogue", "price_list")


def _calls_of(page: str) -> list[str]:
    calls = [f"{each.method} {each.path}" for name, each in CALLS if name == page]
    return list(dict.fromkeys(re.sub(r"\{[\w.]*\.(\w+)\}", r"{\1}", each) for each in calls))


# --- on the pages --------------------------------------------------------------------------------------------------


def test_what_every_page_shows_works_and_gives_what_the_page_is_about(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "TEST_WAIT_SECONDS", 0.0)
    client, seen = signed_in(world.people["customer admin"]), set()
    apis = {mode: api_with_scopes(world.acme.organization, SCOPES, mode) for mode in Mode}
    for name, address in scenes(world, client).items():
        page = client.get(address)
        for sent in sent_from(page):
            with undone():
                response, body = answered(apis[sent.mode], sent)
            assert response.status_code in (200, 201, 202), (name, sent, body)
            said = operation(sent.method.lower(), sent.path)
            seen.add((name.partition("-")[0], said["operationId"]))
            if sent.body is not None:
                schema = said["requestBody"]["content"]["application/json"]["schema"]
                assert faults(sent.body, schema) == [], (name, sent)
            if sent.method == "GET":
                compare(name.partition("-")[0], page.content.decode(), sent, body)
    assert seen == {(page, each.operation.name) for page, each in CALLS if page not in ("catalogue_model", *OURS)}


def compare(name: str, page: str, sent: Sent, body: bytes) -> None:
    """Hold an answer against the page: ids, rows and figures."""
    if not sent.path.endswith((".pdf", ".xlsx", "/content")):
        assert [each for each in IDS.findall(sent.path.rpartition("/video-batch")[2]) if each not in page] == []
    if body[:1] != b"{" or sent.path.endswith(".jsonl"):
        assert body
        return
    answer = json.loads(body)
    rows = answer["data"] if name not in NOT_LISTED and "data" in answer else []
    identities = [str(row.get("id") or row.get("number") or row["name"]) for row in rows]
    assert [each for each in identities if each not in page] == [], (name, sent)
    figures = {**answer, **answer.get("closing", {}), **answer.get("ledger", {}), **answer.get("totals", {})}
    for figure in ("available", "reserved", "settled", "refunded"):
        if figure in figures and sent.path != f"{BASE}/models":
            assert f"{figures[figure]:,}" in page, (name, sent, figure)
    if "month" in answer:
        assert answer["month"] in page


def test_filters_are_carried_over_as_far_as_the_api_has_them(world: World) -> None:
    client, organization = signed_in(world.people["customer admin"]), world.acme.organization.pk
    partial = world.batches["partial"].pk
    wanted = {
        "/admin/batches/?state=completed&from=2026-01-02&until=2999-01-01T10:30&q=x&custom_id=y": {
            "state": "completed",
            "created_after": "2026-01-02T00:00:00Z",
            "created_before": "2999-01-01T10:30:00Z",
        },
        "/admin/batches/?state=open&from=soon": {},
        f"/admin/batches/{partial}?show=failed&failure=capacity&custom_id=a%26b": {
            "status": "refunded",
            "failure_type": "capacity",
            "custom_id": "a&b",
        },
        f"/admin/batches/{world.batches['processing'].pk}?show=failed&failure=nonsense": {"status": "failed"},
        f"/admin/ledger/{organization}?month=2026-09&tz=Europe/Berlin&kind=reserve&reference={partial}": {
            "tz": "Europe/Berlin",
            "created_after": "2026-08-31T22:00:00Z",
            "created_before": "2026-09-30T22:00:00Z",
            "kind": "reserve",
            "batch_id": partial,
        },
        f"/admin/webhooks/deliveries/?state=delivered&event=all+but+tests&about={partial}&undelivered=only": {
            "state": "delivered",
            "batch_id": partial,
            "undelivered": "true",
        },
    }
    for address, query in wanted.items():
        merged: dict[str, str] = {}
        for sent in sent_from(client.get(address)):
            merged |= sent.query
        assert merged == query, address


def test_the_statement_of_a_month_and_of_an_interval(world: World) -> None:
    client, at = signed_in(world.people["customer finance"]), f"/admin/ledger/{world.acme.organization.pk}"
    paths = [sent.path for sent in sent_from(client.get(f"{at}?month={world.closed}&mode=test"))]
    assert f"{BASE}/statements/{world.closed}.pdf" in paths
    interval = sent_from(client.get(f"{at}?from=2026-01-02&until=2026-02-03"))
    assert [sent.path for sent in interval if "statements" in sent.path] == []
    assert interval[1].query == {"created_after": "2026-01-02T00:00:00Z", "created_before": "2026-02-03T00:00:00Z"}


def test_a_page_of_test_mode_asks_with_a_test_key(world: World) -> None:
    client = signed_in(world.people["customer admin"])
    for name, mode in (("test", Mode.TEST), ("partial", Mode.LIVE)):
        batch = client.get(f"/admin/batches/{world.batches[name].pk}")
        assert {sent.mode for sent in sent_from(batch)} == {mode}
    client.post("/admin/mode", {"mode": "test"})
    assert {sent.mode for sent in sent_from(client.get("/admin/batches/new"))} == {Mode.TEST}


@pytest.mark.django_db
def test_everybody_is_shown_what_they_may_do_themselves(account: Account) -> None:
    batch = make_batch(account.api)
    calls = {
        role: {
            (sent.method, sent.path.rpartition("/")[2]) for sent in sent_from(client.get(f"/admin/batches/{batch.pk}"))
        }
        for role, client in {
            "finance": member(account.organization, "customer finance"),
            "developer": member(account.organization, "customer developer"),
            "support": staff("support"),
        }.items()
    }
    reads = {("GET", batch.pk), ("GET", "items"), ("GET", "results.jsonl"), ("GET", "timeline")}
    assert calls["finance"] == reads
    assert calls["developer"] == calls["support"] == {*reads, ("POST", "cancel")}
    home = member(account.organization, "customer developer").get("/admin/")
    assert [sent.path for sent in sent_from(home)] == [f"{BASE}/video-batch"]
    people = member(account.organization, "customer developer").get(
        f"/admin/customers/{account.organization.pk}/people"
    )
    assert SUMMARY in people.content.decode()
    assert shown(people) == []


@pytest.mark.django_db
def test_what_is_refused_or_missing_has_nothing_behind_it(account: Account) -> None:
    developer, batch = member(account.organization, "customer developer"), make_batch(account.api)
    for address, status in (
        ("/admin/batches/bat_00000000000000000000000000", 404),
        (f"/admin/batches/{batch.pk}/billing", 403),
        (f"/admin/ledger/{account.organization.pk}?month=soon", 403),
    ):
        response = developer.get(address)
        assert response.status_code == status
        assert SUMMARY not in response.content.decode()
    nobody = staff("")
    assert SUMMARY not in nobody.get("/admin/").content.decode()


# --- in a shell ----------------------------------------------------------------------------------------------------


def in_a_shell(command: str, directory: Path, **environment: str) -> str:
    """Run a command as it is, and return what it says."""
    known = {"PATH": os.environ["PATH"], "NO_PROXY": "*", **environment}
    done = subprocess.run(["sh", "-ec", command], cwd=directory, env=known, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def said_back(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment in which curl says what it was given, a word a line as JSON."""
    (tmp_path / "bin").mkdir()
    stub = tmp_path / "bin" / "curl"
    stub.write_text("#!/usr/bin/env python3\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    stub.chmod(0o755)
    yield {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "SORA2_API_KEY": "s2_live_x"}


def test_whatever_stands_in_a_place_stays_a_value(tmp_path: Path, said_back: dict[str, str]) -> None:
    calls = [
        call("GET /video-batch/{hostile}/items?custom_id={hostile}"),
        call("POST /video-batch/{hostile}/retry", {"request_id": "{hostile}", "note": "of {hostile}"}),
    ]
    shown = lines(calls, names=lambda _: HOSTILE, mode="live", scopes=SCOPES)
    reading, writing = (json.loads(in_a_shell(line.text, tmp_path, **said_back)) for line in shown)
    assert reading[:2] == writing[2:4] == ["-H", "X-API-Key: s2_live_x"]
    address = urlsplit(reading[2])
    assert address.path.count("/") == 5
    assert parse_qs(address.query) == {"custom_id": [HOSTILE]}
    assert json.loads(writing[-1]) == {"request_id": HOSTILE, "note": f"of {HOSTILE}"}
    assert {file.name for file in tmp_path.iterdir()} == {"bin"}


@pytest.mark.django_db
def test_a_hostile_address_shows_a_harmless_command(
    account: Account, tmp_path: Path, said_back: dict[str, str]
) -> None:
    batch, client = make_batch(account.api), member(account.organization, "customer admin")
    page = client.get(f"/admin/batches/{batch.pk}", {"custom_id": HOSTILE, "show": HOSTILE, "failure": HOSTILE})
    (items,) = (command for command in shown(page) if "/items" in command)
    *_, address = json.loads(in_a_shell(items, tmp_path, **said_back))
    assert parse_qs(urlsplit(address).query) == {"custom_id": [HOSTILE.strip()]}
    assert "hacked" not in {file.name for file in tmp_path.iterdir()}


@pytest.mark.django_db(transaction=True)
def test_commands_run_as_they_are(
    account: Account, live_server: LiveServer, settings: Settings, tmp_path: Path
) -> None:
    settings.PUBLIC_BASE_URL = live_server.url
    client, organization = member(account.organization, "customer admin"), account.organization.pk
    ended, running = end_batch(make_batch(account.api)), make_batch(account.api, request_id="running")
    keys = {"SORA2_API_KEY": account.secrets[Mode.LIVE], "NO_PROXY": "*"}

    def run(address: str, part: str) -> str:
        (command,) = (each for each in shown(client.get(address)) if part in each)
        return in_a_shell(command, tmp_path, **keys)

    assert json.loads(run(f"/admin/batches/{ended.pk}", "timeline"))["ok"]
    assert json.loads(run(f"/admin/batches/{running.pk}", "cancel"))["batch_id"] == running.pk
    assert json.loads(run("/admin/batches/new", "quote"))["credits"] == 10
    assert run(f"/admin/ledger/{organization}", "ledger.csv").count("\n") > 3
    run(f"/admin/ledger/{organization}", "ledger.xlsx")
    (file,) = tmp_path.glob("*.xlsx")
    assert file.read_bytes().startswith(b"PK")
