"""Slots bound how many processes of a machine do one kind of work at once, and are given back by whoever dies."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from environ import Env
from pytest_django import Settings

from sora2.slots import Slot, slot, work_in_slot
from tests.flows.system import ROOT, clean_environment

HOLDER = """
import django, sys
django.setup()
from sora2.slots import slot
with slot("work", of=1) as ours:
    print("taken" if ours else "refused", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.SORA2_DATA_DIR = tmp_path


@pytest.fixture
def holder(tmp_path: Path, settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """Another process of the same system, which holds the only slot until it ends."""
    url = settings.DATABASE_URL
    environment = clean_environment(tmp_path, DATABASE_URL=url, DEBUG="1", DJANGO_SETTINGS_MODULE="sora2.settings")
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def test_no_more_hold_a_slot_than_there_are() -> None:
    with slot("work", of=2) as first, slot("work", of=2) as second, slot("work", of=2) as third:
        assert (first is not None, second is not None, third) == (True, True, None)
    with slot("work", of=2) as again:
        assert again is not None


def test_kinds_of_work_have_slots_of_their_own() -> None:
    with slot("submit openai") as first, slot("submit simulator") as second:
        assert first is not None
        assert second is not None


def test_a_slot_that_is_given_back_early_is_free_and_giving_it_back_again_harms_nobody() -> None:
    with slot("work") as first:
        assert first is not None
        first.give_back()
        with slot("work") as second:
            assert second is not None
            first.give_back()
            with slot("work") as third:
                assert third is None


def test_whoever_came_in_vain_is_served_by_the_holder() -> None:
    turns: list[str] = []

    def work(_: Slot) -> None:
        turns.append("worked")
        if len(turns) == 1:  # While the slot is held, a bell rings twice more.
            for _turn in range(2):
                work_in_slot("work", lambda _: turns.append("never"))

    work_in_slot("work", work)
    assert turns == ["worked", "worked"]
    work_in_slot("work", work)
    assert turns == ["worked"] * 3


def test_another_process_holds_it_until_it_dies(
    holder: subprocess.Popen[str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which is what the other process calls it: it knows of no test.
    name = Env.db_url_config(settings.DATABASE_URL)["NAME"]
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", name)
    assert holder.stdout is not None
    said = holder.stdout.readline().strip()
    assert said == "taken"
    with slot("work") as ours:
        assert ours is None
    holder.kill()
    holder.wait()
    with slot("work") as ours:
        assert ours is not None
