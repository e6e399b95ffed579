"""Many connections on the same few wallets: whoever comes in whatever order, nobody waits for nobody in a circle."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

import pytest
from django.db import connection
from django.utils import timezone

from batches.finalization import finalize_batch_credits
from batches.models import Batch, Item, Status
from batches.services import Customer
from batches.stopping import cancel
from customers.models import User
from customers.services import create_staff
from ledger.approvals import approve, request_credits
from ledger.models import Entry, Period, Wallet
from tests.batches.engine import customer_with, submit
from tests.connections import at_once

pytestmark = pytest.mark.django_db(transaction=True)

CONNECTIONS = 8


@pytest.mark.parametrize("rounds", [12, pytest.param(150, marks=pytest.mark.long)])
def test_many_connections_on_few_wallets_never_deadlock(rounds: int) -> None:
    customers = [customer_with(20_000) for _ in range(3)]
    people = [create_staff(username=role, role=role)[0] for role in ("finance", "finance approver")]
    workers: list[Callable[[], object]] = [
        partial(_work, random.Random(seed), customers, people, rounds) for seed in range(CONNECTIONS - 1)
    ]
    results = at_once(*workers, partial(_close_months, rounds))
    assert [result for result in results if isinstance(result, Exception)] == []
    assert not Batch.objects.open().exists()
    assert Wallet.objects.filter(reserved__gt=0).count() == 0
    assert Entry.objects.filter(kind="reserve").count() == Batch.objects.count() > rounds
    assert Period.objects.count() == rounds


def _work(choice: random.Random, customers: Sequence[Customer], people: Sequence[User], rounds: int) -> None:
    """Send a batch and end it, in one of several ways, and bring credits in and out, on any of the wallets."""
    for _ in range(rounds):
        batch = submit(choice.choice(customers), ["a", "b", "c"])
        if choice.random() < 0.3:
            _adjust(choice, choice.choice(customers), people)
        if choice.random() < 0.3:
            cancel(batch=batch, actor="usr_1", now=timezone.now())
        else:
            _fail_items(batch)
            at = timezone.now()
            assert [finalize_batch_credits(batch_id=batch.pk, now=at) for _ in range(2)] == [True, False]


def _adjust(choice: random.Random, customer: Customer, people: Sequence[User]) -> None:
    asks, decides = people
    request = request_credits(
        wallet=Wallet.objects.get(organization=customer.organization, mode=customer.mode),
        kind=choice.choice([Entry.Kind.GRANT, Entry.Kind.ADJUSTMENT_IN, Entry.Kind.ADJUSTMENT_OUT]),
        amount=1,
        reason="to and fro",
        requested_by=asks,
    )
    approve(request=request, decided_by=decides)


def _fail_items(batch: Batch) -> None:
    items = Item.objects.filter(batch=batch)
    items.update(status=Status.RUNNING, attempts_made=1, started_at=timezone.now())
    ended = {"stage": None, "due_at": None, "finished_at": timezone.now()}
    items.update(status=Status.FAILED, failure_type="timeout", **ended)


def _close_months(count: int) -> None:
    """Close one long-gone month after another: each time, all wallets are locked at once."""
    for number in range(count):
        starts_at, ends_at = (datetime(2000 + n // 12, 1 + n % 12, 1, tzinfo=UTC) for n in (number, number + 1))
        Period.objects.create(month=f"{starts_at:%Y-%m}", starts_at=starts_at, ends_at=ends_at)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.02)")
