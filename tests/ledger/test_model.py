"""Random movements against a model of a few lines: the database and the model never differ."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from customers.models import Mode, Organization
from ledger import services
from ledger.models import Entry, Wallet
from ledger.reconciliation import INVARIANTS, discrepancies

WALLETS = 3
VERBS = {"settle": services.settle, "refund": services.refund}


class Books(RuleBasedStateMachine):
    """Three wallets, any movement in any order, doubles and impossible ones included."""

    references = Bundle("references")

    def __init__(self) -> None:
        super().__init__()
        self.wallets = [
            services.open_wallets(organization=Organization.objects.create(name=f"customer {n}"))[Mode.LIVE]
            for n in range(WALLETS)
        ]
        self.buckets = [[0, 0, 0] for _ in range(WALLETS)]
        self.held: dict[tuple[int, str], int] = {}
        self.posted: set[tuple[str, str]] = set()
        self.entries = [0] * WALLETS

    def movement(self, number: int, reference: str) -> services.Movement:
        unique = f"{self.wallets[0].pk}:{reference}"
        return services.Movement(wallet_id=self.wallets[number].pk, reference=unique, actor="system", reason="ä|=1")

    @rule(number=st.integers(0, WALLETS - 1), amount=st.integers(1, 200), reference=st.sampled_from("abcdef"))
    def grant(self, number: int, amount: int, reference: str) -> None:
        if ("grant", reference) in self.posted:
            with pytest.raises(services.AlreadyPosted):
                services.grant(movement=self.movement(number, reference), amount=amount)
            return
        services.grant(movement=self.movement(number, reference), amount=amount)
        self.posted.add(("grant", reference))
        self.buckets[number][0] += amount
        self.entries[number] += 1

    @rule(
        target=references,
        number=st.integers(0, WALLETS - 1),
        amount=st.integers(1, 150),
        reference=st.sampled_from("tuvwxyz"),
    )
    def reserve(self, number: int, amount: int, reference: str) -> object:
        movement = self.movement(number, reference)
        if amount > self.buckets[number][0]:
            with pytest.raises((services.InsufficientCredits, services.AlreadyPosted)):
                services.reserve(movement=movement, amount=amount)
            return multiple()
        if ("reserve", reference) in self.posted:
            with pytest.raises(services.AlreadyPosted):
                services.reserve(movement=movement, amount=amount)
            return multiple()
        services.reserve(movement=movement, amount=amount)
        self.posted.add(("reserve", reference))
        self.held[number, reference] = amount
        self.buckets[number][0] -= amount
        self.buckets[number][1] += amount
        self.entries[number] += 1
        return (number, reference)

    @rule(which=references, verb=st.sampled_from(sorted(VERBS)), amount=st.integers(1, 150))
    def release(self, which: tuple[int, str], verb: str, amount: int) -> None:
        number, reference = which
        movement = self.movement(number, reference)
        if (verb, reference) in self.posted or amount > self.held[number, reference]:
            with pytest.raises((services.AlreadyPosted, services.ExceedsReserve)):
                VERBS[verb](movement=movement, amount=amount)
            return
        VERBS[verb](movement=movement, amount=amount)
        self.posted.add((verb, reference))
        self.held[number, reference] -= amount
        self.buckets[number][1] -= amount
        self.buckets[number][2 if verb == "settle" else 0] += amount
        self.entries[number] += 1

    @invariant()
    def wallets_are_as_in_the_model(self) -> None:
        rows = Wallet.objects.in_bulk([wallet.pk for wallet in self.wallets])
        for number, wallet in enumerate(self.wallets):
            row = rows[wallet.pk]
            assert [row.available, row.reserved, row.settled] == self.buckets[number]
            assert row.funded == sum(self.buckets[number])
            assert row.last_seq == self.entries[number]

    def teardown(self) -> None:
        assert discrepancies(INVARIANTS) == []
        for number, wallet in enumerate(self.wallets):
            assert Entry.objects.filter(wallet=wallet).count() == self.entries[number]


@pytest.mark.django_db
def test_any_sequence_of_movements_keeps_the_books_right() -> None:
    run_state_machine_as_test(
        Books,
        settings=settings(
            max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
