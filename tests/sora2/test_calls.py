"""The calls behind the pages: what they say of themselves is true, and they are safe in a shell."""

import json
import os
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from customers.access import SCOPES
from customers.models import Mode
from sora2.behind import BEHIND
from sora2.calls import Call, call, lines
from tests.commands import SUMMARY, in_a_shell, sent_from, shown
from tests.dashboard import written
from tests.factories import BASE, Account, end_batch, make_batch
from tests.flows.page_table import OURS, PAGES
from tests.people import member, staff
from tests.sora2.documents import CODE, section
from tests.sora2.test_openapi import operation

CALLS = [(page, each) for page, behind in BEHIND.items() if not isinstance(behind, str) for each in behind]
HOSTILE = "'; touch hacked; $(touch hacked) `touch hacked` \" \\ \n& | # {batch_id} é"


# --- what is said of them ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "each"), CALLS, ids=lambda value: value if isinstance(value, str) else value.path)
def test_a_call_is_an_operation_of_the_document_and_says_its_scope(page: str, each: Call) -> None:
    found = operation(each.method.lower(), f"{BASE}{re.sub(r'{[^}]+}', 'x', each.path)}")
    assert found["operationId"] == each.operation.name, page
    assert f"`{each.operation.scope}`" in found["description"]
    assert each.operation.tag in found["tags"]
    assert set(each.query) <= {parameter["name"] for parameter in found["parameters"] if parameter["in"] == "query"}
    assert each.body is None or "requestBody" in found


def test_the_documentation_says_the_same() -> None:
    said = {}
    for line in section("enterprise/dashboard-and-api.md", "What corresponds to what").splitlines():
        if "`/admin/" in line:
            _, address, calls = line.strip("|").split("|")
            said[CODE.findall(address)[0]] = CODE.findall(calls)
    where, true = written(), dict[str, list[str]]()
    for page, each in CALLS:
        # What only our own people see is not for customers to read about.
        if PAGES[page].whose != OURS:
            true.setdefault(where[page], []).append(f"{each.method} {re.sub(r'{[^}]*[.]', '{', each.path)}")
    assert said == {address: list(dict.fromkeys(calls)) for address, calls in true.items()}


@pytest.mark.django_db
def test_everybody_is_shown_what_they_may_do_themselves(account: Account) -> None:
    batch, at = make_batch(account.api), f"/admin/customers/{account.organization.pk}/people"
    finance, developer = (member(account.organization, f"customer {role}") for role in ("finance", "developer"))
    reads = {("GET", batch.pk), ("GET", "items"), ("GET", "results.jsonl"), ("GET", "timeline")}
    for client, more in ((finance, set()), (developer, {("POST", "cancel")}), (staff("support"), {("POST", "cancel")})):
        found = sent_from(client.get(f"/admin/batches/{batch.pk}"))
        assert {(sent.method, sent.path.rpartition("/")[2]) for sent in found} == {*reads, *more}
    assert [sent.path for sent in sent_from(developer.get("/admin/"))] == [f"{BASE}/video-batch"]
    people = developer.get(at)
    assert SUMMARY in people.content.decode()
    assert str(BEHIND["people"]) in people.content.decode()


@pytest.mark.django_db
def test_what_is_refused_or_missing_has_nothing_behind_it(account: Account) -> None:
    developer, batch = member(account.organization, "customer developer"), make_batch(account.api)
    finance, ledger = member(account.organization), f"/admin/ledger/{account.organization.pk}?month=soon"
    for client, address, status in (
        (developer, "/admin/batches/bat_00000000000000000000000000", 404),
        (developer, f"/admin/batches/{batch.pk}/billing", 403),
        (finance, ledger, 400),
        (staff(""), "/admin/", 200),
    ):
        response = client.get(address)
        assert response.status_code == status
        assert SUMMARY not in response.content.decode()


# --- in a shell ----------------------------------------------------------------------------------------------------


@pytest.fixture
def said_back(tmp_path: Path) -> dict[str, str]:
    """An environment in which curl says what it was given, as JSON."""
    stub = tmp_path / "bin" / "curl"
    stub.parent.mkdir()
    stub.write_text("#!/usr/bin/env python3\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    stub.chmod(0o755)
    return {"PATH": f"{stub.parent}:{os.environ['PATH']}", "SORA2_API_KEY": "s2_live_x"}


def test_whatever_stands_in_a_place_stays_a_value(tmp_path: Path, said_back: dict[str, str]) -> None:
    calls = [
        call("GET /video-batch/{hostile}/items?custom_id={hostile}"),
        call("POST /video-batch/{hostile}/retry", {"request_id": "{hostile}", "note": "of {hostile}"}),
    ]
    ready = lines(calls, names=lambda _: HOSTILE, mode="live", scopes=SCOPES)
    reading, writing = (json.loads(in_a_shell(line.text, tmp_path, **said_back)) for line in ready)
    assert reading[:2] == writing[2:4] == ["-H", "X-API-Key: s2_live_x"]
    address = urlsplit(reading[2])
    assert address.path.count("/") == 5
    assert parse_qs(address.query) == {"custom_id": [HOSTILE]}
    assert json.loads(writing[-1]) == {"request_id": HOSTILE, "note": f"of {HOSTILE}"}
    assert [file.name for file in tmp_path.iterdir()] == ["bin"]


@pytest.mark.django_db
def test_a_hostile_address_shows_a_harmless_command(
    account: Account, tmp_path: Path, said_back: dict[str, str]
) -> None:
    batch, client = make_batch(account.api), member(account.organization, "customer admin")
    page = client.get(f"/admin/batches/{batch.pk}", dict.fromkeys(("custom_id", "show", "failure"), HOSTILE))
    (items,) = (command for command in shown(page) if "/items" in command)
    *_, address = json.loads(in_a_shell(items, tmp_path, **said_back))
    assert parse_qs(urlsplit(address).query) == {"custom_id": [HOSTILE.strip()]}
    assert [file.name for file in tmp_path.iterdir()] == ["bin"]


def test_a_call_without_what_its_path_needs_or_whose_condition_fails_is_left_out() -> None:
    known = {"batch_id": "bat_1", "yes": 1}
    calls = [
        call("GET /video-batch/{nothing}"),
        call("GET /video-batch/{batch_id}", when="yes and not nothing"),
        call("GET /video-batch/{batch_id}", when="yes and not yes"),
        call("GET /keys"),
    ]
    found = lines(calls, names=known.get, mode="test", scopes=["batches:read"])
    assert [line.text.split()[-1] for line in found] == [f"http://127.0.0.1:8000{BASE}/video-batch/bat_1"]
    assert "$SORA2_TEST_API_KEY" in found[0].text


@pytest.mark.django_db(transaction=True)
def test_commands_run_as_they_are(
    account: Account, live_server: LiveServer, settings: Settings, tmp_path: Path
) -> None:
    settings.PUBLIC_BASE_URL = live_server.url
    client, ledger = member(account.organization, "customer admin"), f"/admin/ledger/{account.organization.pk}"
    ended, running = end_batch(make_batch(account.api)), make_batch(account.api, request_id="running")

    def run(address: str, part: str) -> str:
        (command,) = (each for each in shown(client.get(address)) if part in each)
        return in_a_shell(command, tmp_path, SORA2_API_KEY=account.secrets[Mode.LIVE])

    assert json.loads(run(f"/admin/batches/{ended.pk}", "timeline"))["ok"]
    assert json.loads(run(f"/admin/batches/{running.pk}", "cancel"))["batch_id"] == running.pk
    assert json.loads(run("/admin/batches/new", "quote"))["credits"] == 10
    assert run(ledger, "ledger.csv").count("\n") > 3
    run(ledger, "ledger.xlsx")
    (file,) = tmp_path.glob("*.xlsx")
    assert file.read_bytes().startswith(b"PK")
