"""Every command and program that the pages for customers show is run against a whole system, in the pages' order.

The quick start is followed from nothing but a key, once in each language, by its own words.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.examples import test_batch_basic, test_node_types
from tests.flows.reader import Reader, in_tab
from tests.flows.system import System, clean_environment, running
from tests.sora2 import test_docs_examples
from tests.sora2.documents import DOCS, ROOT, Block, blocks_of
from tests.webhooks import test_guide
from tests.webhooks.receivers import free_port

pytestmark = pytest.mark.stack

QUICK_START = DOCS / "enterprise/quick-start.md"
TUTORIAL = DOCS / "tutorial/first-batch.md"


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """A whole system that starts with an empty data directory."""
    with running() as system:
        yield system


@dataclass(frozen=True)
class Customer:
    """Who has a test key, and calls the API with it."""

    system: System
    key: str

    def get(self, path: str) -> dict[str, Any]:
        """Return what the API answers."""
        response = self.system.api(self.key).get(f"{self.system.url}/api/enterprise{path}", timeout=30)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def only_batch(self, request_id: str) -> dict[str, Any]:
        """Return the one batch of this request id."""
        (batch,) = self.get(f"/video-batch?request_id={request_id}")["data"]
        found: dict[str, Any] = batch
        return found


@pytest.fixture
def customer(system: System) -> Customer:
    """A new customer, provisioned as the tutorial and the guide to pilots do it."""
    return Customer(system, system.provision()["test_api_key"])


def reader_of(customer: Customer, folder: Path, **environment: str) -> Reader:
    """Return a reader with this server and key, whose receiver is where the pages have an example of an address."""
    port = str(free_port())
    words = {
        "https://api.example.com": customer.system.url,
        "s2_test_…": customer.key,
        "https://shop.example.com": f"http://127.0.0.1:{port}",
    }
    environment = {**clean_environment(customer.system.directory), "PORT": port, **environment}
    return Reader(folder, environment, words)


# --- the quick start -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tab", ["curl", "Python", "Node"])
def test_from_a_key_to_a_verified_webhook(customer: Customer, tmp_path: Path, tab: str) -> None:
    blocks = list(blocks_of(QUICK_START))
    assert tab in {block.tab for block in blocks}
    with reader_of(customer, tmp_path) as reader:
        reader.follow(in_tab(blocks, tab))
        assert reader.printed[-1] == printed_at_the_end(blocks) == "100 = 90 + 10\nreconciled\n"
        verified = [line for line in reader.second_terminal.splitlines() if line.startswith("verified")]
        assert verified == ["verified: webhook.test", "verified: batch.completed"]
    first, second = (customer.only_batch(name) for name in ("order-1", "order-2"))
    assert (first["state"], first["ledger"]) == ("completed", {"reserved": 30, "settled": 30, "refunded": 0})
    assert (second["state"], second["ledger"]) == ("partial", {"reserved": 100, "settled": 90, "refunded": 10})
    assert (tmp_path / "video.mp4").read_bytes()[4:8] == b"ftyp"
    body = (tmp_path / "batch.completed.json").read_bytes()
    assert json.loads(body)["ledger"] == second["ledger"]
    (delivery,) = customer.get(f"/webhook-deliveries?batch_id={second['batch_id']}")["data"]
    assert (delivery["state"], delivery["event_id"]) == ("delivered", json.loads(body)["event_id"])
    wallet = customer.get("/wallet")
    assert (wallet["reserved"], wallet["settled"]) == (0, 120)


def printed_at_the_end(blocks: list[Block]) -> str:
    """Return what the page says that its last step prints."""
    (text,) = [block.text for block in blocks if not block.language]
    return text


def test_a_reader_who_has_the_wrong_secret_sees_nothing_verified(customer: Customer, tmp_path: Path) -> None:
    """The page's receiver refuses: what ends verified was verified."""
    blocks = in_tab(list(blocks_of(QUICK_START)), "Python")
    until = next(at for at, block in enumerate(blocks) if "Send a test" in block.said)
    with reader_of(customer, tmp_path) as reader:
        made = next(at for at, block in enumerate(blocks) if "Create an endpoint" in block.said)
        reader.follow(blocks[: made + 1])
        endpoint = json.loads((tmp_path / "endpoint.json").read_text())
        (tmp_path / "endpoint.json").write_text(json.dumps({**endpoint, "secret": "whsec_" + "A" * 43 + "="}))
        reader.follow(blocks[made + 1 : until + 1])
        assert '" 400 ' in reader.second_terminal
        assert "verified" not in reader.second_terminal


# --- the tutorial ----------------------------------------------------------------------------------------------------


def test_the_tutorial_provisions_a_customer_whose_live_batch_reconciles(system: System, tmp_path: Path) -> None:
    start, *blocks = blocks_of(TUTORIAL)
    assert start.text == "bin/demo\n"  # What it starts runs already.
    environment = clean_environment(system.directory, **system.settings)
    with Reader(ROOT, environment, {"http://127.0.0.1:8000": system.url}, folder=tmp_path) as reader:
        reader.follow(blocks)
        assert reader.here != ROOT
        test, live = (Customer(system, reader.environment[name]) for name in ("SORA2_API_KEY", "LIVE_KEY"))
    assert test.get("/wallet")["livemode"] is False
    batch = system.final(live.key, live.only_batch("live-1")["batch_id"])
    assert batch["ledger"] == {"reserved": 20, "settled": 10, "refunded": 10}
    (shown,) = [json.loads(block.text) for block in blocks if block.language == "json"]
    assert live.get("/wallet") == shown


# --- the other pages -------------------------------------------------------------------------------------------------


@pytest.fixture
def given(customer: Customer, system: System, tmp_path: Path) -> dict[str, str]:
    """Make what the pages take as given: an endpoint, a batch of which an item failed, a seal over it, the verifier.

    Return the variables that they name it by.
    """
    url = f"{system.url}/api/enterprise/webhook-endpoints"
    made = system.api(customer.key).post(url, json={"url": f"http://127.0.0.1:{free_port()}/"}, timeout=30)
    batch = system.create(customer.key, ["A cat playing piano", "A dog in space [[fail:provider_error]]"])
    system.final(customer.key, batch["batch_id"])
    system.manage("seal_ledger")
    shutil.copy(ROOT / "ledger/verify_ledger.py", tmp_path)
    variables = {"BATCH": batch["batch_id"], "ENDPOINT": made.json()["id"]}
    return {**variables, "SORA2_API_KEY": customer.key, "SORA2_TEST_API_KEY": customer.key}


def two_batches_from_four_orders(reader: Reader, customer: Customer) -> None:
    assert "HTTP/1.1 201" in reader.printed[0]
    assert "Idempotent-Replayed: true" in reader.printed[0]
    assert {customer.only_batch(name)["summary"]["total"] for name in ("order-123", "order-124")} == {1}


def figures_that_add_up(reader: Reader, customer: Customer) -> None:
    assert "available 9990, reserved 0, settled 10\n" in reader.printed
    assert "every hash fits" in reader.printed[-1]
    assert json.loads((reader.folder / "proof.json").read_text())["ledger"] == {
        "reserved": 20, "settled": 10, "refunded": 10,
    }  # fmt: skip


def all_verified(reader: Reader, customer: Customer) -> None:
    assert [printed.startswith("OK") for printed in reader.printed] == [False, True, True, True]
    assert "signed by" in reader.printed[-1]


def files_that_add_up(reader: Reader, customer: Customer) -> None:
    assert "4 entries, 10 credits settled, 9990 available\n" in reader.printed
    assert (reader.folder / "ledger.xlsx").read_bytes().startswith(b"PK")


def a_batch_of_which_one_failed(reader: Reader, customer: Customer) -> None:
    batch = customer.system.final(customer.key, customer.only_batch("try-1")["batch_id"])
    assert (batch["state"], batch["ledger"]) == ("partial", {"reserved": 30, "settled": 20, "refunded": 10})


def a_retry(reader: Reader, customer: Customer) -> None:
    batch = customer.only_batch("order-123-again")
    assert (batch["retry_of"], batch["summary"]["total"]) == (reader.environment["BATCH"], 1)


def how_much_is_left(reader: Reader, customer: Customer) -> None:
    assert "ratelimit-remaining" in reader.printed[0].lower()


def the_same_entries(reader: Reader, customer: Customer) -> None:
    said = json.loads(reader.printed[0])
    kept = customer.get(f"/ledger?batch_id={reader.environment['BATCH']}")["data"]
    assert sorted(entry["hash"] for entry in said["entries"]) == sorted(entry["hash"] for entry in kept)


def calls_that_are_taken(reader: Reader, customer: Customer) -> None:
    assert len(reader.printed) == 3
    assert all(json.loads(printed)["ok"] for printed in reader.printed)


# The other pages that are followed, and what must have come of it.
FOLLOWED: dict[Path, Callable[[Reader, Customer], None]] = {
    DOCS / "enterprise/idempotency.md": two_batches_from_four_orders,
    DOCS / "enterprise/reconciliation.md": figures_that_add_up,
    DOCS / "enterprise/limits.md": how_much_is_left,
    DOCS / "enterprise/dashboard-and-api.md": the_same_entries,
    DOCS / "howto/sandbox.md": a_batch_of_which_one_failed,
    DOCS / "howto/webhooks.md": calls_that_are_taken,
    DOCS / "howto/retry.md": a_retry,
    DOCS / "howto/export.md": files_that_add_up,
    DOCS / "howto/verify.md": all_verified,
}


# What other tests run, with more questions: by page, heading and language.
ELSEWHERE: dict[tuple[str, str, str], object] = {
    ("docs/howto/webhooks.md", "Verify", "python"): test_docs_examples.test_both_ways_to_verify_a_webhook,
    ("docs/howto/webhooks.md", "A receiver in Python", "python"): test_guide.python_receiver,
    ("docs/howto/webhooks.md", "A receiver in Node", "javascript"): test_guide.node_receiver,
    ("docs/howto/webhooks.md", "A receiver in PHP", "php"): test_guide.php_receiver,
    (
        "docs/howto/webhooks.md",
        "Try it on your machine",
        "python",
    ): test_guide.test_the_documented_sender_signs_as_we_do,
    (
        "examples/node/README.md",
        "Run it",
        "sh",
    ): test_batch_basic.test_the_loop_ends_well_and_shows_every_step,
    (
        "examples/node/README.md",
        "The webhook has to reach it",
        "sh",
    ): test_batch_basic.test_a_webhook_whose_figures_were_changed_is_not_taken,
    (
        "examples/node/README.md",
        "The types",
        "sh",
    ): test_node_types.test_the_types_are_those_of_the_document,
}


def place(block: Block) -> tuple[str, str, str]:
    """Return where a block stands, whatever is written above it."""
    return str(block.page.relative_to(ROOT)), block.heading, block.language


def is_run_elsewhere(block: Block) -> bool:
    """Say whether another test runs this block."""
    return place(block) in ELSEWHERE


# Not `page`: that is the name of the browser's fixture, and such tests run where those of the browser do, which would
# start the system of this module a second time.
@pytest.mark.parametrize("path", FOLLOWED, ids=lambda path: path.stem)
def test_a_page_can_be_followed(customer: Customer, given: dict[str, str], tmp_path: Path, path: Path) -> None:
    with reader_of(customer, tmp_path, **given) as reader:
        reader.follow(block for block in blocks_of(path) if not is_run_elsewhere(block))
        FOLLOWED[path](reader, customer)
