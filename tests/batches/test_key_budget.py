"""A key's budget: exact whoever comes at once, given back with refunds, counted by the database."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

import ledger
from batches import services
from batches.failures import FailureType
from batches.finalization import finalize_batch_credits
from batches.models import Batch, Item
from batches.services import Customer
from customers.models import ApiKey, AuditEvent, Mode
from customers.services import create_api_key
from ledger.models import Entry
from tests.batches.engine import submit
from tests.connections import at_once
from tests.factories import Account, Api, code_of, end_batch, end_items, make_account, make_batch, order

pytestmark = pytest.mark.django_db


def key_with(account: Account, budget: int | None, mode: Mode = Mode.LIVE) -> tuple[ApiKey, Api]:
    """Return a new key of the account with this budget, and the API with it."""
    key, secret = create_api_key(organization=account.organization, mode=mode, name="Budget", budget_credits=budget)
    return key, Api(secret)


def used(key: ApiKey) -> int:
    return ApiKey.objects.get(pk=key.pk).used_credits


def test_a_batch_within_the_budget_is_taken_and_counted(account: Account) -> None:
    key, api = key_with(account, 30)
    make_batch(api, 3)
    assert used(key) == 30


def test_what_is_over_the_budget_is_refused_and_written_down(account: Account) -> None:
    key, api = key_with(account, 30)
    make_batch(api, 2)
    response = api.post("/video-batch", order(2, request_id="order-2"))
    assert code_of(response) == (402, "key_budget_exceeded")
    body = response.json()
    assert {name: body[name] for name in ("budget", "used", "required", "remaining")} == {
        "budget": 30,
        "used": 20,
        "required": 20,
        "remaining": 10,
    }
    assert used(key) == 20
    assert Batch.objects.count() == 1
    assert account.figures() == (980, 20, 0)
    told = AuditEvent.objects.get(outcome="key_budget_exceeded")
    assert (told.actor, told.action, told.subject) == (key.pk, "batch.submit", "order-2")


def test_a_key_without_a_budget_is_counted_and_not_held_back(account: Account) -> None:
    key, api = key_with(account, None)
    make_batch(api, 50)
    assert used(key) == 500


def test_refunds_go_back_to_the_budget(account: Account) -> None:
    key, api = key_with(account, 30)
    batch = make_batch(api, 3)
    assert code_of(api.post("/video-batch", order(1, request_id="early")))[1] == "key_budget_exceeded"
    end_batch(batch, failed={0: FailureType.TIMEOUT, 1: FailureType.CONTENT_REFUSED})
    assert used(key) == 10
    make_batch(api, 2, request_id="order-2")
    assert used(key) == 30


def test_a_retry_is_within_the_budget_of_the_key_that_asks_for_it(account: Account) -> None:
    key, api = key_with(account, 30)
    other, poor = key_with(account, 5)
    batch = end_batch(make_batch(api, 3), failed={0: FailureType.TIMEOUT})
    path = f"/video-batch/{batch.pk}/retry"
    refused = poor.post(path, {"request_id": "again"})
    assert code_of(refused) == (402, "key_budget_exceeded")
    assert AuditEvent.objects.get(outcome="key_budget_exceeded").actor == other.pk
    assert api.post(path, {"request_id": "again"}).status_code == 201
    assert (used(key), used(other)) == (30, 0)


def test_the_refund_goes_back_to_the_key_that_made_the_batch(account: Account) -> None:
    key, api = key_with(account, 30)
    batch = make_batch(api, 3)
    account.api.post(f"/video-batch/{batch.pk}/cancel")
    assert Batch.objects.get(pk=batch.pk).is_final
    assert used(key) == used(account.keys[Mode.LIVE]) == 0


def test_a_replay_answers_before_the_budget_is_looked_at(account: Account) -> None:
    _, api = key_with(account, 30)
    make_batch(api, 3)
    again = api.post("/video-batch", order(3))
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")


def test_the_order_of_judging(account: Account) -> None:
    _, api = key_with(account, 5)
    assert code_of(api.post("/video-batch", order(1, max_credits=1)))[1] == "max_credits_exceeded"
    assert code_of(api.post("/video-batch", order(1, colour="red")))[1] == "validation_error"
    assert code_of(api.post("/video-batch", order(1000)))[1] == "batch_too_large"
    assert code_of(api.post("/video-batch", order(1)))[1] == "key_budget_exceeded"


def test_a_quote_says_whether_the_budget_is_enough(account: Account) -> None:
    _, api = key_with(account, 20)
    assert api.post("/video-batch/quote", order(2, request_id=None)).json()["sufficient"] is True
    assert api.post("/video-batch/quote", order(3, request_id=None)).json()["sufficient"] is False


def test_what_a_person_orders_counts_for_no_key(account: Account) -> None:
    submit(Customer(account.organization, Mode.LIVE, actor="usr_1", via="admin"), ["A cat"])
    assert [used(key) for key in account.keys.values()] == [0, 0]


# --- the database counts -------------------------------------------------------------------------------------------


@pytest.mark.owner
def test_nobody_else_writes_the_count(account: Account) -> None:
    key = account.keys[Mode.LIVE]
    with pytest.raises(DatabaseError, match="only by an entry"), transaction.atomic():
        ApiKey.objects.filter(pk=key.pk).update(used_credits=5)
    with pytest.raises(DatabaseError, match="only by an entry"), transaction.atomic():
        ApiKey.objects.create(organization=account.organization, mode="live", name="x", scopes=[], used_credits=5)


@pytest.mark.owner
def test_a_stale_row_cannot_be_saved_over_the_count(account: Account) -> None:
    key = ApiKey.objects.get(pk=account.keys[Mode.LIVE].pk)
    make_batch(account.api, 2)
    with pytest.raises(DatabaseError, match="only by an entry"), transaction.atomic():
        key.save()


# --- at once -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_many_orders_at_once_never_go_over_the_budget() -> None:
    account = make_account()
    key, api = key_with(account, 100)
    calls = [partial(api.post, "/video-batch", order(2, request_id=f"order-{n}")) for n in range(10)]
    statuses = [getattr(answer, "status_code", answer) for answer in at_once(*calls)]
    assert sorted(map(str, statuses)) == ["201"] * 5 + ["402"] * 5
    assert used(key) == 100
    assert Entry.objects.filter(kind="reserve").count() == 5


@pytest.mark.django_db(transaction=True)
def test_a_budget_that_is_used_up_meanwhile_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look found enough; another batch was faster."""
    account = make_account()
    key, api = key_with(account, 30)
    early = services._refuse_early
    faster = threading.Event()

    def look_and_wait(*given: Any) -> None:
        early(*given)
        if not faster.is_set():
            faster.set()
            make_batch(api, 2, request_id="faster")

    monkeypatch.setattr(services, "_refuse_early", look_and_wait)
    response = api.post("/video-batch", order(2, request_id="slower"))
    assert code_of(response) == (402, "key_budget_exceeded")
    assert (response.json()["used"], response.json()["remaining"]) == (20, 10)
    assert used(key) == 20


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rounds", [8, pytest.param(100, marks=pytest.mark.long)])
def test_orders_and_ends_of_one_key_at_once_never_deadlock_and_add_up(rounds: int) -> None:
    account = make_account(20_000, max_open_batches=1000, rate_limit_per_minute=100_000)
    key, api = key_with(account, 200)

    def order_and_end(worker: int) -> int:
        taken = 0
        for number in range(rounds):
            response = api.post("/video-batch", order(3, request_id=f"{worker}-{number}"))
            assert response.status_code in (201, 402), response.content
            if response.status_code == 201:
                taken += 1
                batch = Batch.objects.get(pk=response.json()["batch_id"])
                end_items(batch, succeeded=[0] if number == 0 else [], failed=_failing(number))
                assert finalize_batch_credits(batch_id=batch.pk, now=timezone.now())
        return taken

    workers: list[Callable[[], object]] = [partial(order_and_end, worker) for worker in range(7)]
    results = at_once(*workers, partial(_write_the_row, key, rounds))
    assert [result for result in results if isinstance(result, Exception)] == []
    credits = sum(batch.credits - batch.refunded for batch in Batch.objects.filter(created_by=key.pk))
    assert used(key) == credits == 10 * Item.objects.filter(status="succeeded").count()


def _failing(number: int) -> dict[int, FailureType]:
    return dict.fromkeys([1, 2] if number == 0 else [0, 1, 2], FailureType.TIMEOUT)


def _write_the_row(key: ApiKey, rounds: int) -> None:
    """Write the key's row, as authentication and rotation do, while its batches come and go."""
    for _ in range(rounds):
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=timezone.now())
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.01)")


# --- what was there before -----------------------------------------------------------------------------------------

MIGRATION = Path(ledger.__file__).parent / "migrations" / "sql" / "0015_key_budgets.sql"
SETTLED = "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;"
BEFORE = f"""
    {SETTLED}
    DROP TRIGGER customers_apikey_no_direct_count ON customers_apikey;
    DROP TRIGGER customers_apikey_starts_unused ON customers_apikey;
    DROP TRIGGER ledger_count_for_key ON credit_ledger;
    DROP FUNCTION ledger_count_for_key, ledger_refuse_direct_count;
    UPDATE customers_apikey SET used_credits = 0;
"""


@pytest.mark.owner
def test_the_migration_counts_what_was_there_and_what_came_while_it_looked(account: Account) -> None:
    key, api = key_with(account, None)
    late, late_api = key_with(account, None)
    end_batch(make_batch(api, 5, request_id="ended"), failed={0: FailureType.TIMEOUT, 1: FailureType.TIMEOUT})
    running = make_batch(api, 4, request_id="open")
    make_batch(account.api, 1, request_id="another's")
    submit(Customer(account.organization, Mode.LIVE, actor="usr_1", via="admin"), ["A cat"])
    looks, rest = MIGRATION.read_text().split("CREATE TRIGGER ledger_count_for_key")
    counts, guards = rest.split("-- Also for sessions")
    with connection.cursor() as cursor:
        cursor.execute(BEFORE)
        cursor.execute(looks)
        # Meanwhile, the previous release goes on: it ends a batch, makes others, and gets a new customer.
        end_batch(running, failed={3: FailureType.TIMEOUT})
        make_batch(api, 2, request_id="meanwhile")
        make_batch(late_api, 1, request_id="late")
        newcomer = make_account(name="Newcomer")
        make_batch(newcomer.api, 7)
        cursor.execute(SETTLED)
        cursor.execute(f"CREATE TRIGGER ledger_count_for_key{counts}")
        # Here alone the keys were made in the same transaction, so that their foreign keys wait for a check.
        cursor.execute(SETTLED)
        cursor.execute(f"-- Also for sessions{guards}")
    assert [used(each) for each in (key, late, account.keys[Mode.LIVE], newcomer.keys[Mode.LIVE])] == [80, 10, 10, 70]
    make_batch(api, 1, request_id="after")
    assert used(key) == 90
