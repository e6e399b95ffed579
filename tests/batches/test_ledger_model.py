"""The executable model: random operations on the real services do what a few rules in plain Python say.

That it can fail is shown too: guards are taken away, functions of the database and rules of the model are made wrong,
and each time the difference is found.
"""

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, get_args

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction

from batches.management.commands import check_ledger_model
from batches.model_check import plan, scratch
from batches.model_check.checking import Mismatch, Report, check
from batches.model_check.dying import Died, dying
from batches.model_check.explaining import Seen, Unexplained, explain, seen_as
from batches.model_check.plan import (
    WALLETS,
    WEIGHTS,
    Ask,
    Death,
    Decide,
    Grant,
    Group,
    Operation,
    Planned,
    Submit,
    plan_of,
)
from batches.model_check.rules import Books, Posted, Wallet
from batches.model_check.scratch import connected_to
from batches.model_check.steps import Run
from customers.models import Organization
from sora2.ids import new_id
from tests.connections import at_once

# The model's runs make databases of their own.
pytestmark = pytest.mark.owner

# They cut the sessions of others, and break databases that they have copied.
pytestmark = pytest.mark.owner

ROOT = Path(__file__).resolve().parents[2]
EMPTY = Books(dict.fromkeys(WALLETS, Wallet()))


def told(report: Report) -> str:
    """Return what is to be read when a run fails."""
    return "\n".join([*report.mismatch.trace, *report.mismatch.differences]) if report.mismatch else ""


# --- the books -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("seed", "connections"), [(1, 1), (2, 4), (3, 4), (4, 8)])
def test_the_books_do_what_the_model_says(seed: int, connections: int) -> None:
    report = check(seed=seed, steps=40, connections=connections)
    assert not report.mismatch, told(report)
    assert report.deaths or connections == 1
    assert report.entries > 2 * report.batches > 0


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(100, 140))
def test_the_books_do_what_the_model_says_for_long(seed: int) -> None:
    report = check(seed=seed, steps=150, connections=8)
    assert not report.mismatch, told(report)


@pytest.mark.django_db(transaction=True)
def test_a_seed_on_one_connection_gives_the_same_run_again() -> None:
    first, second = (check(seed=11, steps=25, connections=1) for _ in range(2))
    assert first == second
    assert not first.mismatch, told(first)


def test_a_seed_gives_the_same_plan_again_and_a_longer_one_begins_with_it() -> None:
    def groups(seed: int, steps: int) -> list[Group]:
        return list(plan_of(seed=seed, steps=steps, connections=4))

    assert groups(5, 60) == groups(5, 60)
    assert groups(5, 90)[: len(groups(5, 60))] == groups(5, 60)
    assert groups(5, 60) != groups(6, 60)


def test_all_operations_come_doubled_and_dying_ones_too() -> None:
    planned = [planned for group in plan_of(seed=1, steps=400, connections=4) for planned in group]
    dying_kinds = {type(one.operation) for one in planned if one.death}
    assert dying_kinds == set(get_args(Operation))
    deaths = [one.death for one in planned if one.death]
    assert {death.hangs_up for death in deaths} == {death.after for death in deaths} == {True, False}


# --- it finds what is wrong ----------------------------------------------------------------------------------------

WITHOUT_LOCK = """
    CREATE OR REPLACE FUNCTION ledger_post() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        w record;
        move record;
    BEGIN
        move := ledger_movement(NEW.kind);
        SELECT * INTO w FROM ledger_wallet WHERE id = NEW.wallet_id;
        PERFORM pg_sleep(0.01);
        UPDATE ledger_wallet SET available = w.available + move.available * NEW.amount,
            reserved = w.reserved + move.reserved * NEW.amount, settled = w.settled + move.settled * NEW.amount,
            last_seq = w.last_seq + 1
        WHERE id = NEW.wallet_id
        RETURNING available, reserved, settled, last_seq, prev_hash, head_hash
        INTO NEW.available_after, NEW.reserved_after, NEW.settled_after, NEW.seq, NEW.prev_hash, NEW.hash;
        NEW.created_at := clock_timestamp();
        RETURN NEW;
    END $$
"""
REFUND = "WHEN 'refund' THEN to_available := NEW.amount;"


def refunding_nothing() -> str:
    """Return the posting as it is, but for one thing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_functiondef('ledger_post'::regproc)")
        definition = str(cursor.fetchone()[0])
    assert REFUND in definition
    return definition.replace(REFUND, "WHEN 'refund' THEN")


@dataclass(frozen=True)
class Fault:
    """What is wrong with the database, a word of what the check has to say of it, and the operations that meet it."""

    breaks: str | Callable[[], str]
    shows: str
    among: Sequence[type] = tuple(WEIGHTS)


CREDITS = (Grant, Ask, Decide)
FAULTS = {
    "a refund gives nothing back": Fault(refunding_nothing, "wallet"),
    "two movements of a wallet at once lose one": Fault(WITHOUT_LOCK, "not allowed|wallet", (Grant, Submit)),
    "a wallet goes below zero": Fault(
        "ALTER TABLE ledger_wallet DROP CONSTRAINT ledger_wallet_available_not_negative", "InsufficientCredits", CREDITS
    ),
    "a request id makes two batches": Fault(
        "ALTER TABLE batches_batch DROP CONSTRAINT batches_batch_request_id_once", "replayed|request_id_reused"
    ),
    "an invoice is granted twice": Fault(
        "DROP INDEX ledger_creditrequest_reference_once; ALTER TABLE credit_ledger DROP CONSTRAINT credit_ledger_once",
        "AlreadyPosted",
        CREDITS,
    ),
    "a pilot's credits come twice": Fault("DROP INDEX ledger_creditrequest_pilot_once", "NotGranted", CREDITS),
}


@contextlib.contextmanager
def copy_of_the_database() -> Iterator[None]:
    """Work on a copy, which may be broken, and drop it."""
    original, name = connection.settings_dict["NAME"], new_id("copy")
    connections.close_all()
    with connected_to("postgres"), connection.cursor() as cursor:
        # A browser's test that ran before may have left a server's thread with its session.
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [original])
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE {original}")
    try:
        with connected_to(name):
            yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_broken_database_is_found(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "WEIGHTS", {kind: WEIGHTS[kind] for kind in fault.among})
    with copy_of_the_database():
        connection.cursor().execute(fault.breaks if isinstance(fault.breaks, str) else fault.breaks())
        mismatch = first_mismatch()
    assert mismatch
    assert re.search(fault.shows, "\n".join(mismatch.differences)), mismatch.differences


class WithoutRefunds(Books):
    """A model that forgets to give back what failed."""

    def post(self, wallet: str, kind: str, amount: int, reference: str) -> Self:
        return self if kind == "refund" else super().post(wallet, kind, amount, reference)


class WithoutStart(Books):
    """A model in which batches wait until they end."""

    def start(self, names: Iterable[str]) -> Self:
        del names
        return self


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("model", "words"),
    [(WithoutRefunds, "available: the model has|refund"), (WithoutStart, "state: the model has queued")],
)
def test_a_wrong_model_is_found(model: type[Books], words: str) -> None:
    mismatch = first_mismatch(model(EMPTY.wallets))
    assert mismatch
    assert re.search(words, "\n".join(mismatch.differences))


def first_mismatch(books: Books = EMPTY) -> Mismatch | None:
    """Check seed after seed until one finds something."""
    reports = (check(seed=seed, steps=60, connections=4, books=books) for seed in range(12))
    return next((report.mismatch for report in reports if report.mismatch), None)


# --- explanations --------------------------------------------------------------------------------------------------

SUBMIT = Submit("A live", "order 1", (60,), has_deadline=False)
GRANT = Grant("A live", "grant 1", 100)


def seen_after(books: Books, *posted: Posted) -> Seen:
    """Return what is seen of a model's books, with these entries on the live wallet of A."""
    batches = {name: seen_as(books, name) for name in books.batches}
    return Seen(books.wallets, {"A live": posted}, books.requests, batches, books.closed, dict.fromkeys(batches, 0))


def ran(number: int, operation: Operation, said: str | None) -> Run:
    return Run(number, Planned(operation), said)


def test_operations_at_once_are_explained_by_the_order_that_fits() -> None:
    after = EMPTY.grant(GRANT)[0].submit(SUBMIT)[0]
    seen = seen_after(after, Posted("grant", 100, "grant 1"), Posted("reserve", 60, "A live, order 1"))
    explained = explain(EMPTY, [ran(1, SUBMIT, "made"), ran(2, GRANT, "granted")], seen)
    assert explained == replace(after, posted={})


def test_entries_in_an_order_that_cannot_be_are_not_explained() -> None:
    after = EMPTY.grant(GRANT)[0].submit(SUBMIT)[0]
    seen = seen_after(after, Posted("reserve", 60, "A live, order 1"), Posted("grant", 100, "grant 1"))
    with pytest.raises(Unexplained):
        explain(EMPTY, [ran(1, SUBMIT, "made"), ran(2, GRANT, "granted")], seen)


def test_an_answer_that_cannot_be_is_not_explained() -> None:
    with pytest.raises(Unexplained, match="the model answers insufficient_credits"):
        explain(EMPTY, [ran(1, SUBMIT, "made")], seen_after(EMPTY))


def test_what_died_was_done_or_was_not() -> None:
    done = EMPTY.grant(GRANT)[0]
    died = [ran(1, GRANT, None)]
    assert explain(EMPTY, died, seen_after(EMPTY)) == EMPTY
    assert explain(EMPTY, died, seen_after(done, Posted("grant", 100, "grant 1"))) == replace(done, posted={})


def test_what_died_was_not_done_in_half() -> None:
    half = replace(EMPTY, wallets=EMPTY.grant(GRANT)[0].wallets)
    with pytest.raises(Unexplained, match="wallet A live, available: the model has 0, the database 100"):
        explain(EMPTY, [ran(1, GRANT, None)], seen_after(half))


# --- deaths --------------------------------------------------------------------------------------------------------


def two_organizations() -> None:
    """Make two organizations in one transaction, which is two statements."""
    with transaction.atomic():
        Organization.objects.create(name="first")
        Organization.objects.create(name="second")


def dies(work: Callable[[], None], death: Death) -> BaseException | None:
    """Do some work on a connection of its own, until it dies; return of what."""

    def run() -> BaseException | None:
        try:
            with dying(death):
                work()
        except Died as error:
            return error
        return None

    (result,) = at_once(run)
    assert result is None or isinstance(result, BaseException), result
    return result


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("hangs_up", [True, False])
@pytest.mark.parametrize(("statement", "after"), [(1, False), (1, True), (2, False), (2, True)])
def test_who_dies_before_the_commit_leaves_nothing(statement: int, after: bool, hangs_up: bool) -> None:
    assert isinstance(dies(two_organizations, Death(statement, after=after, hangs_up=hangs_up)), Died)
    assert not Organization.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_who_dies_after_the_commit_leaves_what_was_committed() -> None:
    def more() -> None:
        two_organizations()
        Organization.objects.create(name="third")

    assert isinstance(dies(more, Death(3, after=False, hangs_up=True)), Died)
    assert Organization.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_who_has_fewer_statements_to_make_lives() -> None:
    assert dies(two_organizations, Death(3, after=False, hangs_up=True)) is None
    assert Organization.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_nothing_that_goes_on_after_errors_goes_on_after_a_death() -> None:
    def stubborn() -> None:
        for _ in range(3):
            with contextlib.suppress(Exception):
                two_organizations()

    assert isinstance(dies(stubborn, Death(2, after=True, hangs_up=False)), Died)
    assert not Organization.objects.exists()


# --- the command ---------------------------------------------------------------------------------------------------


def databases() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database")
        return {name for (name,) in cursor.fetchall()}


def left_since(before: set[str]) -> set[str]:
    """Return the scratch databases that are new and stay. Others of this test run make and drop some too."""
    for _ in range(100):
        left = {name for name in databases() - before if name.startswith("sora2_model_")}
        if not left:
            break
        time.sleep(0.2)
    return left


@pytest.mark.django_db(transaction=True)
def test_the_command_checks_on_a_database_of_its_own() -> None:
    before = databases()
    run = subprocess.run(
        [sys.executable, "manage.py", "check_ledger_model", "--seed", "3", "--steps", "10", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert (report["ok"], report["seed"], report["steps"], report["connections"]) == (True, 3, 10, 4)
    assert report["mismatch"] is None
    assert report["entries"] > 0
    assert left_since(before) == set()
    assert not Organization.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_command_tells_what_differs_and_how_to_see_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextlib.contextmanager
    def broken_database() -> Iterator[None]:
        with copy_of_the_database():
            connection.cursor().execute(refunding_nothing())
            yield

    before = databases()
    monkeypatch.setattr(check_ledger_model, "scratch_database", broken_database)
    with pytest.raises(CommandError) as error:
        call_command("check_ledger_model", seed=2, steps=60, connections=4)
    assert error.value.returncode == 1
    told = capsys.readouterr().out
    assert "✕ The model does not explain the books" in told
    assert "Again: manage.py check_ledger_model --seed 2 --steps 60 --connections 4" in told
    assert databases() == before


@pytest.mark.django_db(transaction=True)
def test_the_scratch_database_is_dropped_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    before, name, during = databases(), connection.settings_dict["NAME"], set[str]()

    def interrupted(*_: object, **__: object) -> None:
        during.update(databases())
        raise KeyboardInterrupt

    monkeypatch.setattr(scratch, "call_command", interrupted)
    with pytest.raises(KeyboardInterrupt), scratch.scratch_database():
        pass
    assert len(during - before) == 1
    assert databases() == before
    assert connection.settings_dict["NAME"] == name


@pytest.mark.parametrize("options", [{"steps": 0}, {"connections": 0}, {"connections": 9}])
def test_the_command_refuses_what_makes_no_run(options: dict[str, int]) -> None:
    with pytest.raises(CommandError) as error:
        call_command("check_ledger_model", **options)
    assert error.value.returncode == 2
