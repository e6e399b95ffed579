"""Two connections at once: the last two items, cancel and submit, finalize and a late result, COPY and a movement."""

import threading

import pytest
from django.db import transaction
from django.utils import timezone

from batches import finalization, services, stopping
from batches.execution import outcomes
from batches.execution.queue import Claimed, Move, claim_submits, move
from batches.failures import FailureType
from batches.models import Item, Output, Status
from ledger.models import Entry
from tests.batches.engine import customer_with, order_of, submit, the_route, wallet_of
from tests.connections import at_once
from tests.factories import fund

pytestmark = pytest.mark.django_db(transaction=True)


def claim(count: int) -> list[Claimed]:
    return claim_submits(route=the_route(), terms={}, retired=[], count=count, now=timezone.now())


def finish(item: Claimed, status: Status) -> None:
    """End an item and do what follows, as a worker does."""
    now = timezone.now()
    failed = status == Status.FAILED
    moves = [Move(item, status=status, failure_type=FailureType.TIMEOUT.value if failed else "")]
    with transaction.atomic():
        moved = move(moves=moves, now=now)
        if moved and not failed:
            Output.objects.create(item_id=item.item_id, video="v", poster="p", bytes=1, sha256="0", duration_ms=1)
    outcomes.finish(moves, moved, now=now)


@pytest.mark.parametrize("turn", range(5))
def test_the_last_two_items_end_at_once(turn: int) -> None:
    batch = submit(customer_with(100), ["a", "b"])
    first, second = claim(2)
    assert at_once(lambda: finish(first, Status.SUCCEEDED), lambda: finish(second, Status.FAILED)) == [None, None]
    batch.refresh_from_db()
    assert (batch.state, batch.settled, batch.refunded) == ("partial", 10, 10)


@pytest.mark.parametrize("turn", range(5))
def test_cancel_against_a_worker_that_is_submitting(turn: int) -> None:
    customer = customer_with(1000)
    batch = submit(customer, ["a"] * 40)
    results = at_once(
        lambda: stopping.cancel(batch=batch, actor="key_test", now=timezone.now()),
        lambda: len(claim(20)),
    )
    canceled, claimed = results
    assert isinstance(canceled, int), canceled
    assert isinstance(claimed, int), claimed
    rows = Item.objects.filter(batch=batch)
    assert rows.filter(status="pending").count() == 0
    assert canceled + claimed == 40
    assert rows.filter(failure_type="canceled").count() == canceled
    assert rows.filter(failure_type="canceled", attempts_made__gt=0).count() == 0
    assert rows.filter(status="running").count() == claimed
    batch.refresh_from_db()
    assert batch.is_final == (claimed == 0)


@pytest.mark.parametrize("turn", range(5))
def test_finalize_against_a_late_result(turn: int) -> None:
    customer = customer_with(100)
    batch = submit(customer, ["a"])
    (item,) = claim(1)
    at_once(lambda: finish(item, Status.FAILED), lambda: finish(item, Status.SUCCEEDED))
    batch.refresh_from_db()
    wallet = wallet_of(customer)
    assert batch.is_final
    assert (wallet.available, wallet.settled) in ((100, 0), (90, 10))
    assert batch.settled == wallet.settled
    assert Entry.objects.about(batch.pk).count() == 2


def test_many_finalizers_are_one() -> None:
    batch = submit(customer_with(100), ["a"])
    (item,) = claim(1)
    move(moves=[Move(item, status=Status.FAILED, failure_type="timeout")], now=timezone.now())
    calls = [lambda: finalization.finalize_batch_credits(batch_id=batch.pk, now=timezone.now())] * 8
    assert sorted(map(str, at_once(*calls))) == ["False"] * 7 + ["True"]


def test_twenty_equal_submits_make_one_batch_and_one_reserve() -> None:
    customer = customer_with(30)
    order, sha256 = order_of(["a", "b", "c"])
    calls = [
        lambda: services.submit(
            customer=customer, request_id="order-1", body_sha256=sha256, order=order, now=timezone.now()
        )
    ] * 20
    results = [result for result in at_once(*calls) if isinstance(result, tuple)]
    assert len(results) == 20
    assert len({batch.pk for batch, _ in results}) == 1
    assert [made for _, made in results].count(True) == 1
    assert Entry.objects.filter(kind="reserve", wallet=wallet_of(customer)).count() == 1


def test_two_batches_at_once_on_a_wallet_that_can_pay_for_one() -> None:
    customer = customer_with(30)
    order, sha256 = order_of(["a", "b"])
    results = at_once(
        *(
            lambda request_id=request_id: services.submit(
                customer=customer, request_id=request_id, body_sha256=sha256, order=order, now=timezone.now()
            )
            for request_id in ("one", "two")
        )
    )
    assert sorted(type(result).__name__ for result in results) == ["CreditsShort", "tuple"]
    assert wallet_of(customer).reserved == 20


def test_the_limit_of_open_batches_is_exact() -> None:
    customer = customer_with(1000, max_open_batches=2)
    results = at_once(*[lambda: submit(customer, ["a"])] * 8)
    assert sorted(type(result).__name__ for result in results) == ["Batch"] * 2 + ["TooManyOpenBatches"] * 6
    assert wallet_of(customer).reserved == 20


def test_a_long_copy_does_not_hold_the_wallet(monkeypatch: pytest.MonkeyPatch) -> None:
    customer = customer_with(100_000)
    wallet = wallet_of(customer)
    copied, moved = threading.Event(), threading.Event()
    copy_items = services._copy_items

    def slow_copy(*args: object) -> set[str]:
        taken_by = copy_items(*args)  # type: ignore[arg-type]
        copied.set()
        assert moved.wait(10), "another movement of the wallet had to wait for the COPY"
        return taken_by

    def another_movement() -> None:
        copied.wait(10)
        fund(wallet, 1, reference="late")
        moved.set()

    monkeypatch.setattr(services, "_copy_items", slow_copy)
    at_once(lambda: submit(customer, ["a"] * 1000), another_movement)
    kinds = list(Entry.objects.filter(wallet=wallet).order_by("seq").values_list("kind", "amount"))
    assert kinds == [("grant", 100_000), ("grant", 1), ("reserve", 10_000)]
