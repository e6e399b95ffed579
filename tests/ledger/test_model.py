"""Random movements on many wallets: one after the other against a model of a few lines, and many at once.

Transactions fail in the middle, and connections die. Never is funded other than available + reserved + settled, a
number missing, the chain broken, or a reference settled twice.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from batches.model_check.dying import Died, dying
from batches.model_check.plan import Death
from customers.models import Mode, Organization, User
from ledger import services
from ledger.approvals import approve, request_credits
from ledger.models import CreditRequest, Entry, Wallet
from ledger.reconciliation import INVARIANTS, discrepancies
from ledger.services import LedgerError, Movement
from tests.connections import at_once

WALLETS = 4
REFERENCES = "tuvwxyz"
POST: Mapping[str, Callable[..., Entry]] = {
    "grant": partial(services.grant_on_basis, basis=CreditRequest.Basis.SANDBOX),
    "reserve": services.reserve,
    "settle": services.settle,
    "refund": services.refund,
}
# What each kind moves: available, reserved, settled.
MOVES: Mapping[str, tuple[int, int, int]] = {
    "grant": (1, 0, 0),
    "adjustment_in": (1, 0, 0),
    "adjustment_out": (-1, 0, 0),
    "reserve": (-1, 1, 0),
    "settle": (0, -1, 1),
    "refund": (1, -1, 0),
}
UNHURRIED = settings(deadline=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True)
class Row:
    """A movement that is wanted, or was made."""

    kind: str
    reference: str
    amount: int


def is_allowed(row: Row, posted: Sequence[Row]) -> bool:
    """Say whether a wallet with these entries takes this one."""
    available = sum(MOVES[one.kind][0] * one.amount for one in posted)
    held = sum(MOVES[one.kind][1] * one.amount for one in posted if one.reference == row.reference)
    if row.kind in POST and any((one.kind, one.reference) == (row.kind, row.reference) for one in posted):
        return False
    if row.kind in ("settle", "refund"):
        return row.amount <= held
    return available + MOVES[row.kind][0] * row.amount >= 0


class Failure(Exception):
    """Something goes wrong before the commit."""


# --- one after the other -------------------------------------------------------------------------------------------

NUMBERS = st.integers(0, WALLETS - 1)
ROWS = st.builds(Row, st.sampled_from(sorted(MOVES)), st.sampled_from(REFERENCES), st.integers(1, 150))


class Books(RuleBasedStateMachine):
    """Four wallets, any movement in any order, doubles and impossible ones included."""

    def __init__(self) -> None:
        super().__init__()
        owners = [Organization.objects.create(name=f"customer {number}") for number in range(WALLETS)]
        self.wallets = [services.open_wallets(organization=owner)[Mode.TEST] for owner in owners]
        self.posted: list[list[Row]] = [[] for _ in range(WALLETS)]

    @rule(number=NUMBERS, row=ROWS)
    def movement(self, number: int, row: Row) -> None:
        self.posted[number] = self._try(number, [row])

    @rule(number=NUMBERS, rows=st.lists(ROWS, min_size=2, max_size=5))
    def movements_that_stand_or_fall_together(self, number: int, rows: list[Row]) -> None:
        with contextlib.suppress(LedgerError), transaction.atomic():
            self.posted[number] = self._try(number, rows, stop=True)

    @rule(number=NUMBERS, rows=st.lists(ROWS, min_size=1, max_size=5))
    def movements_in_a_transaction_that_fails(self, number: int, rows: list[Row]) -> None:
        with contextlib.suppress(Failure), transaction.atomic():
            self._try(number, rows)
            raise Failure

    @invariant()
    def wallets_are_as_in_the_model(self) -> None:
        rows = Wallet.objects.in_bulk([wallet.pk for wallet in self.wallets])
        for posted, wallet in zip(self.posted, self.wallets, strict=True):
            row = rows[wallet.pk]
            sums = [sum(MOVES[one.kind][bucket] * one.amount for one in posted) for bucket in range(3)]
            assert [row.available, row.reserved, row.settled] == sums
            assert (row.funded, row.last_seq) == (sum(sums), len(posted))

    def teardown(self) -> None:
        assert discrepancies(INVARIANTS) == []
        for posted, wallet in zip(self.posted, self.wallets, strict=True):
            assert rows_of(wallet) == [replace(row, reference=named(row.kind, row.reference)) for row in posted]

    def _try(self, number: int, rows: Sequence[Row], *, stop: bool = False) -> list[Row]:
        """Post what the model allows, see the rest refused (and then raise if `stop`), and return what is posted."""
        posted = list(self.posted[number])
        for row in rows:
            if is_allowed(row, posted):
                post(self.wallets[number], row)
                posted.append(row)
                continue
            with pytest.raises(LedgerError) as refusal:
                post(self.wallets[number], row)
            if stop:
                raise refusal.value
        return posted


@pytest.mark.django_db
def test_any_sequence_of_movements_keeps_the_books_right() -> None:
    run_state_machine_as_test(Books, settings=settings(UNHURRIED, max_examples=25, stateful_step_count=30))


# --- many at once --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Transaction:
    """Movements of one wallet, and what becomes of them: a commit, an error at the end, or a death on the way."""

    wallet: int
    rows: Sequence[Row]
    fails: bool
    death: Death | None


DEATHS = st.none() | st.builds(Death, st.integers(1, 9), after=st.booleans(), hangs_up=st.just(True))
TRANSACTIONS = st.builds(
    Transaction,
    NUMBERS,
    st.lists(
        st.builds(
            Row, st.sampled_from(("reserve", "settle", "refund")), st.sampled_from(REFERENCES), st.integers(1, 60)
        ),
        min_size=1,
        max_size=4,
    ),
    fails=st.sampled_from((False, False, False, True)),
    death=DEATHS,
)
GRANTS = st.builds(
    Transaction,
    NUMBERS,
    st.builds(lambda amount: [Row("grant", "g", amount)], st.integers(1, 60)),
    fails=st.booleans(),
    death=DEATHS,
)
CONNECTIONS = st.lists(st.lists(TRANSACTIONS | GRANTS, min_size=1, max_size=5), min_size=2, max_size=6)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("examples", [25, pytest.param(200, marks=pytest.mark.long)])
def test_connections_at_once_that_fail_and_die_keep_the_books_right(examples: int) -> None:
    # What happens at once does not happen again in the same way: there is nothing to be gained by shrinking.
    @settings(UNHURRIED, max_examples=examples, phases=[Phase.generate])
    @given(CONNECTIONS)
    def any_connections(connections: Sequence[Sequence[Transaction]]) -> None:
        owners = [Organization.objects.create(name=f"customer {number}") for number in range(WALLETS)]
        wallets = [services.open_wallets(organization=owner)[Mode.TEST] for owner in owners]
        for wallet in wallets:
            post(wallet, Row("grant", "first", 100))
        committed = at_once(*(partial(run, wallets, transactions) for transactions in connections))
        for number, wallet in enumerate(wallets):
            ours = Counter({Row("grant", "first", 100): 1})
            for done in committed:
                assert isinstance(done, Counter), done
                ours += Counter({row: count for (at, row), count in done.items() if at == number})
            look_at(wallet, ours)
        assert discrepancies(INVARIANTS) == []

    any_connections()


def run(wallets: Sequence[Wallet], transactions: Sequence[Transaction]) -> Counter[tuple[int, Row]]:
    """Run transactions one after the other on this connection; return what they have committed."""
    committed: Counter[tuple[int, Row]] = Counter()
    for one in transactions:
        try:
            with dying(one.death), transaction.atomic():
                posted = [row for row in one.rows if is_posted(wallets[one.wallet], row)]
                if one.fails:
                    raise Failure
        except (Died, Failure):
            continue
        committed.update((one.wallet, row) for row in posted)
    return committed


def is_posted(wallet: Wallet, row: Row) -> bool:
    """Post a movement, and say whether it was not refused."""
    try:
        post(wallet, row)
    except LedgerError:
        return False
    return True


def look_at(wallet: Wallet, committed: Counter[Row]) -> None:
    """See that a wallet has what was committed and nothing else, that each entry was allowed, and the figures right."""
    wallet.refresh_from_db()
    rows = rows_of(wallet)
    assert Counter(rows) == committed
    assert all(is_allowed(row, rows[:index]) for index, row in enumerate(rows))
    figures = (wallet.available, wallet.reserved, wallet.settled)
    assert figures == tuple(sum(MOVES[row.kind][bucket] * row.amount for row in rows) for bucket in range(3))
    assert (wallet.funded, wallet.last_seq) == (sum(figures), len(rows))
    assert max(Counter(row.reference for row in rows if row.kind == "settle").values(), default=0) <= 1


# --- both ----------------------------------------------------------------------------------------------------------


def post(wallet: Wallet, row: Row) -> None:
    """Post a movement, an adjustment by two people. Raises LedgerError where it is refused."""
    if row.kind in POST:
        # A reference is of one wallet, as a batch is.
        reference = f"{wallet.pk}: {row.reference}"
        movement = Movement(wallet_id=wallet.pk, reference=reference, actor="system", reason="ä|=1")
        POST[row.kind](movement=movement, amount=row.amount)
        return
    asks, decides = (User.objects.get_or_create(username=name)[0] for name in ("asks", "decides"))
    request = request_credits(
        wallet=wallet, kind=Entry.Kind(row.kind), amount=row.amount, reason="ä|=1", requested_by=asks
    )
    approve(request=request, decided_by=decides)


def rows_of(wallet: Wallet) -> list[Row]:
    """Return the entries of a wallet in their order."""
    entries = Entry.objects.filter(wallet=wallet).order_by("seq").values_list("kind", "reference", "amount")
    return [Row(kind, named(kind, reference.partition(": ")[2]), amount) for kind, reference, amount in entries]


def named(kind: str, reference: str) -> str:
    """Return the name that a movement was given: an adjustment's reference is its request's own."""
    return reference if kind in POST else ""
