"""Public ids: their form, and that they stand in the order in which they were made."""

from datetime import UTC, datetime, timedelta

import pytest

from sora2.ids import TOGETHER_MAX, is_id, least_id_at, new_id, new_ids


def test_ids_that_are_made_together_are_different_and_in_order_among_all_others() -> None:
    before = new_id("itm")
    ids = new_ids("itm", 10_000)
    after = new_id("itm")
    assert all(is_id(one, "itm") for one in ids)
    assert len(set(ids)) == 10_000
    assert [before, *ids, after] == sorted([before, *ids, after])


def test_ids_of_two_calls_do_not_meet() -> None:
    assert not {one[-12:] for one in new_ids("itm", 1_000)} & {one[-12:] for one in new_ids("itm", 1_000)}


def test_no_more_are_made_together_than_can_be_numbered() -> None:
    with pytest.raises(ValueError, match="at most"):
        new_ids("itm", TOGETHER_MAX + 1)
    assert new_ids("itm", 0) == []


def test_the_least_id_of_a_moment_lies_between_those_made_before_and_after() -> None:
    now = datetime.now(UTC)
    made = new_id("bat")
    assert least_id_at("bat", now) <= made < least_id_at("bat", datetime.now(UTC) + timedelta(milliseconds=1))
    assert is_id(least_id_at("bat", now), "bat")
    calendar = [datetime.min.replace(tzinfo=UTC), now, datetime.max.replace(tzinfo=UTC)]
    assert [least_id_at("bat", at) for at in calendar] == sorted(least_id_at("bat", at) for at in calendar)
