"""The pages for customers stand alone, every code block in them is held against the system, and the limits are true."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from jsonschema import Draft202012Validator, FormatChecker, validators

from batches import intake
from batches.failures import FailureType
from batches.models import State, Status
from customers.access import SCOPES
from customers.models import Organization
from ledger.models import Entry
from pilots.services import PilotOrder
from sora2.api import PROBLEMS
from sora2.documentation.sources import public_text
from sora2.faults import MAX_FAULTS
from sora2.listing import PAGE_DEFAULT, PAGE_MAX
from sora2.openapi import document
from tests.flows.test_following_pages import ELSEWHERE, FOLLOWED, QUICK_START, is_run_elsewhere, place
from tests.sora2.documents import DOCS, PUBLIC, ROOT, Block, blocks_of, codes, links, section, table
from webhooks.delivery import MAX_ATTEMPTS
from webhooks.endpoints import ENDPOINTS_MOST

ERRORS = "reference/errors.md"
TEXTS = {"", "text", "csv"}  # What something prints. Not to be run.
BLOCKS = [block for page in PUBLIC for block in blocks_of(page)]

# --- every block is held against the system --------------------------------------------------------------------------


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_is_covered(block: Block) -> None:
    if block.language in TEXTS | {"json"} or is_run_elsewhere(block):
        return
    assert block.language in ("sh", "python", "js"), f"{block}: nothing runs {block.language!r}"
    assert block.page in {QUICK_START, *FOLLOWED}, f"{block}: no test follows this page: add it to FOLLOWED"


def test_what_is_covered_elsewhere_is_still_there() -> None:
    assert ELSEWHERE.keys() <= {place(block) for block in BLOCKS}


@pytest.mark.parametrize("page", PUBLIC, ids=lambda page: page.stem)
def test_no_block_hides_from_the_tests(page: Path) -> None:
    """A fence that is indented, of tildes or longer than three signs would be shown, and read by no test."""
    fences = [line for line in page.read_text().splitlines() if re.match(r"\s*(```|~~~)", line)]
    assert all(re.fullmatch(r"```(\w+( tab=\w+)?)?", line) for line in fences)
    assert len(fences) == 2 * len(list(blocks_of(page)))


# --- JSON ------------------------------------------------------------------------------------------------------------

# Which schema an object is of, by keys that only it has. An event names its own.
SHAPES = [
    ({"code", "trace_id"}, "Problem"),
    ({"items"}, "BatchOrder"),
    ({"lines", "sufficient"}, "Quote"),
    ({"funded", "livemode"}, "Wallet"),
]


def schema_of(value: Any) -> dict[str, Any]:
    if "event" in value:
        event = document()["webhooks"][value["event"]]["post"]["requestBody"]
        found: dict[str, Any] = event["content"]["application/json"]["schema"]
        return found
    names = [name for keys, name in SHAPES if keys <= value.keys()]
    assert names, f"Which schema is this of? Say so in SHAPES: {value}"
    return {"$ref": f"#/components/schemas/{names[0]}"}


def checked_unless_shortened(name: str) -> Any:
    """Return the check of a keyword that lets through a text with an ellipsis: the page shows a part of it."""
    check = Draft202012Validator.VALIDATORS[name]

    def unless_shortened(validator: Any, rule: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if not (isinstance(instance, str) and "…" in instance):
            yield from check(validator, rule, instance, schema) or ()

    return unless_shortened


Shown = validators.extend(
    Draft202012Validator, {name: checked_unless_shortened(name) for name in ("pattern", "format", "enum", "minLength")}
)


def closed(schema: Any) -> Any:
    """Return a schema whose objects have no properties but those that it names: a wrong name is a fault."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(each) for name, each in schema.items()}
    if isinstance(schema.get("properties"), dict) and "allOf" not in schema:
        inner.setdefault("additionalProperties", False)
    return inner


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "json"], ids=str)
def test_what_is_shown_as_json_fits_its_schema(block: Block) -> None:
    value = json.loads(block.text)
    schema = {**schema_of(value), "components": closed(document()["components"])}
    Shown(schema, format_checker=FormatChecker()).validate(value)


# --- the pages stand alone ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PUBLIC, ids=lambda page: page.stem)
def test_a_public_page_leads_to_public_ones_only(page: Path) -> None:
    for target in links(page, read=public_text):
        file = (page.parent / target.partition("#")[0]).resolve()
        assert (
            target.startswith("#") or file in PUBLIC or file.is_relative_to(ROOT / "examples") or file.suffix == ".svg"
        ), target


@pytest.mark.parametrize("page", [page for page in PUBLIC if page.name != "CHANGELOG.md"], ids=str)
def test_a_public_page_says_nothing_of_the_inside(page: Path) -> None:
    inside = re.compile(r"manage\.py|\.venv|\b[A-Z]+_[A-Z_]{3,}\b|credit_ledger|Celery|Redis|PostgreSQL|Django")
    readers_own = re.compile(r"SORA2_((TEST_)?(URL|API_KEY)|(WEBHOOK|PATIENCE)_\w+)|(HTTP_)?WEBHOOK_\w+")
    assert inside.findall(readers_own.sub("", page.read_text())) == []


@pytest.mark.parametrize("name", ["lifecycle", "money"])
def test_a_drawing_takes_the_colours_of_its_page(name: str) -> None:
    svg = (ROOT / "static/docs" / f"{name}.svg").read_text()
    assert "<title" in svg
    assert "<desc" in svg
    assert set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg)) == {"none", "currentColor"}
    assert not re.search(r"<style|style=|href=|<script|url\((?!#)", svg)
    drawn = set(re.findall(r"<text[^>]*>([^<]+)</text>", svg))
    if name == "lifecycle":
        assert {*State, *Status} <= drawn
    else:
        assert {"available", "reserved", "settled"} <= drawn


# --- what they say is so --------------------------------------------------------------------------------------------


def test_the_scopes_of_a_key() -> None:
    assert table("enterprise/concepts.md", "Keys and scopes").keys() >= {scope.value for scope in SCOPES}


def test_the_kinds_of_entries() -> None:
    assert table("enterprise/reconciliation.md", "The entries").keys() == set(Entry.Kind.values)


def test_the_words_for_a_batchs_state() -> None:
    assert list(table("enterprise/concepts.md", "The life cycle")) == [str(state) for state in State]


LIMITS = [
    ("videos in a batch", [PilotOrder("", 1).max_items, intake.MAX_ITEMS]),
    ("batches open at once", [PilotOrder("", 1).max_open_batches]),
    ("size of a request's body", [settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 2**20]),
    ("length of a prompt", [1, intake.PROMPT_MAX]),
    ("request id", [1, intake.REQUEST_ID_MAX]),
    ("`custom_id`", [intake.CUSTOM_ID_MAX]),
    ("metadata of a batch", [intake.BATCH_METADATA_MAX, intake.METADATA_KEY_MAX, intake.METADATA_VALUE_MAX]),
    ("metadata of an item", [intake.ITEM_METADATA_MAX, intake.METADATA_KEY_MAX, intake.METADATA_VALUE_MAX]),
    ("faults that are listed in an answer", [MAX_FAULTS]),
    ("requests", [PilotOrder("", 1).rate_limit, 60]),
    ("a page of a list", [1, PAGE_MAX, PAGE_DEFAULT]),
    ("endpoints", [ENDPOINTS_MOST]),
    ("attempts", [MAX_ATTEMPTS, 75]),
]


@pytest.mark.parametrize(("name", "numbers"), LIMITS, ids=[name for name, _ in LIMITS])
def test_a_limit(name: str, numbers: list[int]) -> None:
    text = (DOCS / "enterprise/limits.md").read_text()
    (said,) = re.findall(rf"^\| {re.escape(name)} \| ([^|]+) \|", text, re.MULTILINE)
    assert [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", said)] == numbers


def test_the_limits_of_a_pilot_are_those_of_a_new_organization() -> None:
    order, organization = PilotOrder("", 1), Organization()
    assert (order.max_items, order.rate_limit, order.max_open_batches) == (
        organization.max_items_per_batch,
        organization.rate_limit_per_minute,
        organization.max_open_batches,
    )


def test_every_limit_names_an_error_that_exists() -> None:
    text = "".join(section("enterprise/limits.md", heading) for heading in ("Batches", "Requests"))
    named = {code for line in text.splitlines() if line.startswith("|") for code in codes(line) if "_" in code}
    faults = {fault for heading in ("batch", "webhook endpoint") for fault in table(ERRORS, f"Faults of a {heading}")}
    fields = {"custom_id", "max_credits", "next_cursor", "request_id", "key_budget_exceeded"}
    assert named - fields - faults - set(FailureType) <= PROBLEMS.keys()


def test_every_error_has_a_cause_and_a_remedy() -> None:
    for heading in ("Codes", "Faults of a batch", "Faults of a webhook endpoint", "Faults of a key"):
        for code, cells in table(ERRORS, heading).items():
            assert all(cell.endswith(".") for cell in cells[-2:]), code
