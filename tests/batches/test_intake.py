"""What is made of a body: its hash, which must stay what it was for ever, and the rows that are stored."""

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from batches import intake
from batches.models import Item
from sora2.canonical import canonical_json, sha256_hex
from tests.batches.engine import customer_with, submit
from tests.factories import Account

# All that JSON in UTF-8 can say, but fractions: no valid body has one.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = st.none() | st.booleans() | st.integers() | TEXTS
BODIES = st.dictionaries(
    TEXTS, st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20)
)
STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
ITEMS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"prompt": STORABLE},
    optional={
        "model": st.sampled_from(["sora-2", "sora-2-pro", "veo-3"]),
        "custom_id": STORABLE,
        "metadata": st.dictionaries(STORABLE, STORABLE, max_size=4),
    },
)


@given(BODIES)
@example({"é": 1, "z": 2, "\U0001f408": 3, "\uffff": 4, "a/\b\f\x7f\u2028": [2**70, -(2**63) - 1, {}, []]})
def test_the_hash_of_a_body_is_that_of_its_canonical_json(body: dict[str, Any]) -> None:
    sent = {name: value for name, value in body.items() if name not in intake.ID_FIELDS}
    assert intake.body_sha256(body) == sha256_hex(canonical_json(sent))
    assert intake.retry_sha256(body, batch_id="bat_1") == sha256_hex(canonical_json(["bat_1", sent]))


def test_the_hash_is_the_one_that_earlier_releases_have_stored() -> None:
    body = {
        "x-request-id": "order-1",
        "items": [{"prompt": 'A "cat"\n', "seconds": 4, "metadata": {"ü": "\\"}}],
        "max_credits": 500,
    }
    stored = '{"items":[{"metadata":{"ü":"\\\\"},"prompt":"A \\"cat\\"\\n","seconds":4}],"max_credits":500}'
    assert intake.body_sha256(body) == sha256_hex(stored)


@pytest.mark.django_db
@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(ITEMS, min_size=1, max_size=5, unique_by=lambda item: item.get("custom_id", item["prompt"])))
@example([{"prompt": "\\N", "custom_id": "\\.", "metadata": {"\t": "\r\n", '"': "\\"}}, {"prompt": "\\\t\b\v"}])
def test_what_is_stored_of_an_item_is_what_was_sent(items: list[dict[str, Any]]) -> None:
    batch = submit(customer_with(1_000), [], items=items)
    rows = Item.objects.filter(batch=batch).order_by("index")
    assert [(row.prompt, row.custom_id, row.metadata) for row in rows] == [
        (item["prompt"], item.get("custom_id", ""), item.get("metadata", {})) for item in items
    ]
    assert {row.created_at for row in rows} == {row.due_at for row in rows} == {batch.created_at}
    assert [row.pk for row in rows] == sorted(row.pk for row in rows)


@pytest.mark.parametrize("seconds", [4.5, True, "4", [4]])
def test_a_length_is_a_whole_number(account: Account, seconds: object) -> None:
    body = {"request_id": "r", "items": [{"prompt": "a"}, {"prompt": "b", "seconds": seconds}]}
    (fault,) = account.api.post("/video-batch", body).json()["errors"]
    assert (fault["pointer"], fault["code"]) == ("/items/1/seconds", "not_offered")
