"""The OpenAPI document is true: schemathesis calls a live server by it, every operation, with every check."""

import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from customers.access import SCOPES
from sora2.openapi import document
from tests.flows.system import ROOT, System, running

pytestmark = pytest.mark.stack

SEED = 20261127
EVERY_CHECK = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
    "object_level_authorization",
}
# No text of HTTP: the server drops such a request before it has an address (RFC 9110, 5.5).
NO_HEADER_TEXT = "".join(chr(code) for code in (*range(32), 127) if chr(code) != "\t")
HTTP_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Customer:
    """A customer whose ids are known: the key, its id, and by path parameter the objects that there are.

    `stranger_key` is of another organization, which must see none of them.
    """

    key: str
    stranger_key: str
    key_id: str
    ids: dict[str, list[Any]]


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    # What hangs is open to the end of the run, so that there is something to cancel.
    with running(PROVIDER_SIMULATOR_DEADLINE_SECONDS="3600") as system:
        yield system


@pytest.fixture(scope="module")
def customer(system: System) -> Customer:
    """A customer with a finished batch, one that runs, deliveries, and endpoints."""
    pilot = system.provision(credits=1000, max_items=50, max_open_batches=10_000)
    # Nothing is for nobody: only mode and organization limit this key.
    every = [part for scope in SCOPES for part in ("--scope", str(scope))]
    made = system.manage("create_api_key", pilot["organization_id"], "--name", "All", "--mode", "live", *every)
    key_id, key = made.stdout.split()
    nowhere = "http://127.0.0.1:9/hook"
    ended = system.create(key, ["a cat", "[[fail:content_refused]]", "[[bad_output]]"], webhook_url=nowhere)
    running_on = [system.create(key, ["[[hang]]", "a cat"])["batch_id"] for _ in range(3)]
    system.final(key, ended["batch_id"])
    api, base = system.api(key), f"{system.url}/api/enterprise"
    urls = [f"http://127.0.0.1:9/own/{number}" for number in range(12)]
    endpoints = [api.post(f"{base}/webhook-endpoints", json={"url": url}, timeout=30).json() for url in urls]
    for number in range(12):
        order = {"name": f"Key {number}", "scopes": ["batches:read"]}
        assert api.post(f"{base}/keys", json=order, timeout=30).status_code == 201

    def ids(path: str) -> list[str]:
        return [row["id"] for row in api.get(f"{base}/{path}", timeout=30).json()["data"]]

    # Before the stranger has a wallet, of which it would have the path.
    seal = system.manage("seal_ledger").stdout.split()[1]
    stranger = system.provision()
    return Customer(
        key,
        stranger["api_key"],
        key_id,
        {
            "batch_id": [ended["batch_id"], *running_on],
            "item_id": ids(f"video-batch/{ended['batch_id']}/items"),
            "endpoint_id": [endpoint["id"] for endpoint in endpoints],
            "delivery_id": ids("webhook-deliveries"),
            "number": [int(seal)],
            "key_id": [key for key in ids("keys") if key != key_id],
        },
    )


def test_every_operation_answers_as_documented(system: System, customer: Customer, tmp_path: Path) -> None:
    called = call_by_schema(system, customer, tmp_path, seed=SEED, max_examples=8)
    assert called.operations == documented()
    assert called.checks >= EVERY_CHECK
    assert called.operations - called.accepted == set()


@pytest.mark.long
def test_it_does_so_under_many_requests_and_in_sequences(system: System, customer: Customer, tmp_path: Path) -> None:
    """SORA2_SCHEMA_SEED repeats a run, SORA2_SCHEMA_EXAMPLES says how many requests an operation gets of each kind."""
    seed = int(os.environ.get("SORA2_SCHEMA_SEED") or random.randrange(2**32))
    examples = int(os.environ.get("SORA2_SCHEMA_EXAMPLES") or 100)
    call_by_schema(system, customer, tmp_path, seed=seed, max_examples=examples, stateful=True)


@dataclass(frozen=True)
class Called:
    """Which operations were called, which accepted a request, and which checks were made."""

    operations: set[str]
    accepted: set[str]
    checks: set[str]


def call_by_schema(
    system: System, customer: Customer, folder: Path, *, seed: int, max_examples: int, stateful: bool = False
) -> Called:
    """Run schemathesis with every check and fail with what it says if anything is not as documented."""
    print(f"SORA2_SCHEMA_SEED={seed}")  # noqa: T201 - pytest shows it with a failure, whatever failed.
    config, keys, events = folder / "schemathesis.toml", folder / "keys.json", folder / "events.ndjson"
    keys.write_text(json.dumps(identities(customer)))
    config.write_text(configuration(customer, keys, seed=seed, max_examples=max_examples, stateful=stateful))
    schemathesis = [str(Path(sys.executable).parent / "schemathesis"), "--no-color", "--config-file", str(config)]
    # Its first address in the document is PUBLIC_BASE_URL, which need not be where this server listens.
    where = ["run", f"{system.url}/openapi.json", "--origin", system.url]
    how = ["--checks", "all", "--continue-on-failure", "--report", "ndjson", "--report-ndjson-path", str(events)]
    done = subprocess.run(
        [*schemathesis, *where, *how],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMA_OWN_KEY_ID": customer.key_id},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"SORA2_SCHEMA_SEED={seed}\n{done.stdout}\n{done.stderr}"
    return read(events)


def identities(customer: Customer) -> dict[str, Any]:
    """Return whose keys there are, as a file of Web Fuzzing Commons."""
    keys = {"customer": customer.key, "stranger": customer.stranger_key}
    return {
        "auth": [{"name": name, "fixedHeaders": [{"name": "X-API-Key", "value": key}]} for name, key in keys.items()]
    }


def configuration(customer: Customer, keys: Path, *, seed: int, max_examples: int, stateful: bool) -> str:
    """Return the configuration as TOML: whose keys, how much to try, and most of the time ids that there are."""
    lines = [
        f"seed = {seed}",
        f"hooks = {json.dumps(str(ROOT / 'tests/flows/schema_hooks.py'))}",
        "request-timeout = 30",
        # All is asked by the customer; what was answered, the stranger asks for too, and must not get.
        f"auth.wfc = {{ path = {json.dumps(str(keys))}, user = 'customer', peers = ['customer', 'stranger'] }}",
        f"generation.max-examples = {max_examples}",
        "generation.database = 'none'",
        f"generation.exclude-header-characters = {json.dumps(NO_HEADER_TEXT)}",
        f"phases.stateful.enabled = {json.dumps(stateful)}",
    ]
    for name, ids in customer.ids.items():
        lines.append(f"dictionaries.{name} = {{ values = {json.dumps(ids)} }}")
        lines.append(f'parameters."path.{name}" = {{ dictionary = "{name}", probability = 0.8 }}')
    return "\n".join(lines)


def documented() -> set[str]:
    """Return the operations of the document, as schemathesis calls them."""
    return {
        f"{method.upper()} {path}"
        for path, item in document()["paths"].items()
        for method in HTTP_METHODS
        if method in item
    }


def read(events: Path) -> Called:
    """Return what was called, by the events of a run."""
    statuses: dict[str, set[int]] = defaultdict(set)
    checks: set[str] = set()
    for recorder in recorders(events):
        answers = [interaction.get("response") for interaction in recorder.get("interactions", {}).values()]
        statuses[recorder["label"]] |= {answer["status_code"] for answer in answers if answer}
        checks |= {check["name"] for made in recorder.get("checks", {}).values() for check in made}
    accepted = {name for name, seen in statuses.items() if any(200 <= status < 300 for status in seen)}
    return Called(set(statuses), accepted, checks)


def recorders(events: Path) -> Iterator[dict[str, Any]]:
    """Return what was recorded of each operation and phase."""
    with events.open() as lines:
        for line in lines:
            ((kind, event),) = json.loads(line).items()
            if kind == "ScenarioFinished":
                yield event["recorder"]
