"""Two and more connections on one wallet."""

import threading
from collections.abc import Callable

import pytest
from django.db import transaction

from customers.models import Mode, Organization
from ledger.models import Entry, Wallet
from ledger.reconciliation import INVARIANTS, discrepancies
from ledger.services import (
    AlreadyPosted,
    InsufficientCredits,
    Movement,
    open_wallets,
    refund,
    reserve,
    settle,
)
from tests.connections import at_once
from tests.factories import fund

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def wallet() -> Wallet:
    """A live wallet with 100 credits."""
    wallet = open_wallets(organization=Organization.objects.create(name="Acme"))[Mode.LIVE]
    fund(wallet, 100, reference=f"grant-{wallet.pk}")
    return wallet


def about(wallet: Wallet, reference: str) -> Movement:
    return Movement(wallet_id=wallet.pk, reference=reference, actor="system")


def test_two_reserves_on_a_wallet_that_can_pay_for_one(wallet: Wallet) -> None:
    results = at_once(*(lambda n=n: reserve(movement=about(wallet, f"bat_{n}"), amount=70) for n in range(2)))
    assert [type(result) for result in results].count(Entry) == 1
    assert [type(result) for result in results].count(InsufficientCredits) == 1
    wallet.refresh_from_db()
    assert (wallet.available, wallet.reserved) == (30, 70)


def test_sixteen_finalizers_are_one_winner(wallet: Wallet) -> None:
    reserve(movement=about(wallet, "bat_1"), amount=50)
    results = at_once(*[lambda: settle(movement=about(wallet, "bat_1"), amount=50)] * 16)
    assert [type(result) for result in results].count(Entry) == 1
    assert {type(result) for result in results} - {Entry} == {AlreadyPosted}
    wallet.refresh_from_db()
    assert (wallet.available, wallet.reserved, wallet.settled) == (50, 0, 50)


def test_many_connections_keep_numbers_times_and_chain_in_one_order(wallet: Wallet) -> None:
    def cycle(number: int) -> Callable[[], object]:
        def run() -> None:
            for turn in range(10):
                movement = about(wallet, f"bat_{number}_{turn}")
                reserve(movement=movement, amount=3)
                settle(movement=movement, amount=1)
                refund(movement=movement, amount=2)

        return run

    at_once(*(cycle(number) for number in range(6)))
    rows = list(Entry.objects.filter(wallet=wallet).order_by("seq"))
    assert [row.seq for row in rows] == list(range(1, 182))
    assert [row.created_at for row in rows] == sorted({row.created_at for row in rows})
    assert discrepancies(INVARIANTS) == []
    wallet.refresh_from_db()
    assert (wallet.available, wallet.reserved, wallet.settled) == (40, 0, 60)


def test_an_entry_that_waited_for_a_rollback_is_dated_after_the_one_before(wallet: Wallet) -> None:
    waiting = threading.Event()

    def waits() -> Entry:
        waiting.set()
        return reserve(movement=about(wallet, "bat_2"), amount=1)

    def holds() -> None:
        with transaction.atomic():
            reserve(movement=about(wallet, "bat_1"), amount=1)
            waiting.wait(5)
            transaction.set_rollback(True)

    at_once(holds, waits)
    rows = list(Entry.objects.filter(wallet=wallet).order_by("seq"))
    assert [(row.seq, row.reference) for row in rows][1:] == [(2, "bat_2")]
    assert discrepancies(INVARIANTS) == []
