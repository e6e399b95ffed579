"""Numbers are read as the OpenAPI document says them."""

from typing import Any

import pytest

from sora2.faults import whole
from tests.factories import Account, make_batch


@pytest.mark.parametrize("given", [4, 4.0])
def test_a_number_without_a_fraction_is_whole(given: Any) -> None:
    number = whole(given)
    assert (number, type(number)) == (4, int)


@pytest.mark.parametrize("given", [4.5, True, "4", None, [4], float("inf"), float("nan")])
def test_anything_else_is_not(given: Any) -> None:
    assert whole(given) is None


def test_a_batch_takes_such_numbers(account: Account) -> None:
    batch = make_batch(account.api, items=[{"prompt": "A cat", "seconds": 8.0}], max_credits=20.0)
    assert batch.items.get().seconds == 8
