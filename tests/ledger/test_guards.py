"""A trigger that prevents several kinds of damage needs each of its parts: taken away one by one, each is missed.

That triggers, constraints and indexes are needed as a whole is shown in tests/batches/test_guards.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction

from customers.models import Mode, Organization, User
from ledger.approvals import approve, request_credits
from ledger.models import Entry, Wallet
from ledger.services import Movement, reserve
from tests.factories import fund

pytestmark = [pytest.mark.django_db, pytest.mark.unbooked]


@dataclass(frozen=True)
class Part:
    """A part of a function of the database, the damage that it prevents, and a query with a row if that is done.

    `instead` is what stands in its place when it is taken away, `says` the constraint that its refusal names; a part
    without it `acts`: it refuses nothing, and does what prevents the damage. `behind` takes away what stands before it.
    """

    function: str
    text: str
    damage: Sequence[str]
    shows: str
    says: str = ""
    instead: str = "false"
    behind: str = ""

    def __str__(self) -> str:
        return self.says or f"{self.function}: {self.text}"


def entry(kind: str, amount: int, reference: str) -> str:
    """Return the statement that posts an entry by hand."""
    return (
        "INSERT INTO credit_ledger (entry_id, wallet_id, kind, amount, reference, request_id, actor, reason)"
        f" VALUES ('led_x', %(wallet)s, '{kind}', {amount}, '{reference}', '', 'system', '')"
    )


def approved(basis: str, reference: str) -> str:
    """Return the statement that stores an approved request of 5 credits by hand."""
    return (
        "INSERT INTO ledger_creditrequest (id, wallet_id, kind, amount, reference, about, request_id, reason,"
        " evidence_url, basis, state, requested_by_id, requested_at, decided_by_id, decided_at, note)"
        f" VALUES ('crq_x', %(wallet)s, 'grant', 5, '{reference}', '', '', 'a reason', '', '{basis}', 'approved',"
        " %(ann)s, now(), %(ben)s, now(), '')"
    )


def closing(month: str, starts: str, ends: str) -> str:
    """Return the statement that closes a month by hand."""
    values = f"'{month}', '{starts}', '{ends}', now()"
    return f"INSERT INTO ledger_period (month, starts_at, ends_at, closed_at) VALUES ({values})"


PARTS = [
    # A negative reserve: credits that are held could be spent a second time.
    Part(
        "ledger_post",
        "NEW.amount IS NULL OR NEW.amount <= 0",
        [entry("reserve", -30, "bat_x")],
        "SELECT FROM ledger_wallet WHERE id = %(wallet)s AND (available, reserved) = (120, 10)",
        says="credit_ledger_amount_positive",
        behind="ALTER TABLE credit_ledger DROP CONSTRAINT credit_ledger_amount_positive",
    ),
    Part(
        "ledger_post",
        "RAISE EXCEPTION 'there is no kind %', NEW.kind\n"
        "                USING ERRCODE = 'check_violation', CONSTRAINT = 'credit_ledger_kind_known';",
        [entry("gift", 5, "bat_x")],
        "SELECT FROM credit_ledger WHERE kind = 'gift'",
        says="credit_ledger_kind_known",
        instead="NULL;",
    ),
    # One batch is settled with what is held for another.
    Part(
        "ledger_post",
        "NEW.amount > held",
        [entry("settle", 25, "bat_1")],
        "SELECT FROM credit_ledger WHERE reference = 'bat_1' AND kind = 'settle' AND amount > 20",
        says="credit_ledger_within_reserve",
    ),
    Part(
        "ledger_post",
        ", w.closed_until) AS at",
        [
            "UPDATE ledger_wallet SET closed_until = now() + interval '1 day' WHERE id = %(wallet)s",
            entry("reserve", 5, "bat_x"),
        ],
        "SELECT FROM credit_ledger e JOIN ledger_wallet w ON w.id = e.wallet_id WHERE e.created_at < w.closed_until"
        " AND e.entry_id = 'led_x'",
        instead=") AS at",
        behind="ALTER TABLE ledger_wallet DISABLE TRIGGER ledger_wallet_no_direct_change",
    ),
    Part(
        "ledger_open_wallet",
        "SELECT max(p.ends_at) INTO NEW.closed_until FROM ledger_period p;",
        [
            "INSERT INTO ledger_wallet (id, organization_id, mode, available, reserved, settled, last_seq, prev_hash,"
            " head_hash, created_at) VALUES ('wal_x', %(organization)s, 'test', 0, 0, 0, 0, repeat('0', 64),"
            " repeat('0', 64), now())"
        ],
        "SELECT FROM ledger_wallet WHERE id = 'wal_x' AND closed_until IS NULL",
        instead="",
    ),
    # One person is enough.
    Part(
        "ledger_refuse_request_change",
        "NEW.basis = 'two_people' AND NEW.state <> 'requested'",
        [approved("two_people", "invoice 9"), entry("grant", 5, "invoice 9")],
        "SELECT FROM credit_ledger WHERE reference = 'invoice 9'",
        says="ledger_creditrequest_starts_requested",
    ),
    # Play money is spent on real videos.
    Part(
        "ledger_refuse_request_change",
        "NEW.basis = 'sandbox'",
        [approved("sandbox", "play 9"), entry("grant", 5, "play 9")],
        "SELECT FROM credit_ledger WHERE reference = 'play 9'",
        says="ledger_creditrequest_sandbox_is_test",
    ),
    # What was approved and posted was never approved.
    Part(
        "ledger_refuse_request_change",
        "OLD.state <> 'requested'",
        ["UPDATE ledger_creditrequest SET state = 'rejected' WHERE id = %(approved)s"],
        "SELECT FROM invariant_entry_has_request",
        says="ledger_creditrequest_decided_once",
    ),
    # Ben approves 50 credits, and has approved 50,000.
    Part(
        "ledger_refuse_request_change",
        """(OLD.id, OLD.wallet_id, OLD.kind, OLD.amount, OLD.reference, OLD.about, OLD.request_id, OLD.reason,
           OLD.evidence_url, OLD.basis, OLD.paid_cents, OLD.currency, OLD.requested_by_id, OLD.requested_at)
          IS DISTINCT FROM""",
        ["UPDATE ledger_creditrequest SET amount = 50000 WHERE id = %(asked)s"],
        "SELECT FROM ledger_creditrequest WHERE amount = 50000",
        says="ledger_creditrequest_terms_fixed",
        instead="NULL =",
    ),
    Part(
        "ledger_close_period",
        "NEW.ends_at > clock_timestamp()",
        [closing("2020-02", "2020-02-01", "2999-03-01")],
        "SELECT FROM ledger_period WHERE ends_at > now()",
        says="ledger_period_is_over",
    ),
    Part(
        "ledger_close_period",
        "NEW.starts_at <> previous",
        [closing("2020-03", "2020-03-01", "2020-04-01")],
        "SELECT FROM ledger_period WHERE month = '2020-03'",
        says="ledger_period_in_order",
    ),
    Part(
        "ledger_close_period",
        "UPDATE ledger_wallet SET closed_until = NEW.ends_at;",
        [closing("2020-02", "2020-02-01", "2020-03-01")],
        "SELECT FROM ledger_period p, ledger_wallet w WHERE p.month = '2020-02' AND w.closed_until < p.ends_at",
        instead="",
    ),
]


@pytest.fixture
def ids() -> dict[str, str]:
    """A live wallet with 130 credits, 40 of which are held for two batches, and a closed month.

    Ann has asked for what Ben approved, and for 50 credits more.
    """
    ann, ben = (User.objects.create_user(username=name) for name in ("ann", "ben"))
    organization = Organization.objects.create(name="Acme")
    wallet = Wallet.objects.create(organization=organization, mode=Mode.LIVE)
    fund(wallet, 100)
    approved, asked = (
        request_credits(
            wallet=wallet, kind=Entry.Kind.ADJUSTMENT_IN, amount=amount, reason="goodwill", requested_by=ann
        )
        for amount in (30, 50)
    )
    approve(request=approved, decided_by=ben)
    for reference in ("bat_1", "bat_2"):
        reserve(movement=Movement(wallet_id=wallet.pk, reference=reference, actor="system"), amount=20)
    do([closing("2020-01", "2020-01-01", "2020-02-01")], {})
    people = {"ann": ann.pk, "ben": ben.pk, "approved": approved.pk, "asked": asked.pk}
    return {"wallet": wallet.pk, "organization": organization.pk, **people}


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_without_the_part_the_damage_is_done(part: Part, ids: Mapping[str, str]) -> None:
    if part.behind:
        do([part.behind], {})
    assert not rows(part.shows, ids)
    if part.says:
        with pytest.raises(DatabaseError) as refusal, transaction.atomic():
            do(part.damage, ids)
        assert isinstance(refusal.value.__cause__, psycopg.Error)
        assert refusal.value.__cause__.diag.constraint_name == part.says
    else:
        with transaction.atomic():
            do(part.damage, ids)
            assert not rows(part.shows, ids)
            transaction.set_rollback(True)
    take_away(part)
    do(part.damage, ids)
    assert rows(part.shows, ids)


def take_away(part: Part) -> None:
    """Replace the function by one without the part."""
    ((definition,),) = rows("SELECT pg_get_functiondef(%(function)s::regproc)", {"function": part.function})
    assert definition.count(part.text) == 1
    with connection.cursor() as cursor:
        cursor.execute(definition.replace(part.text, part.instead))


def do(statements: Sequence[str], ids: Mapping[str, str]) -> None:
    """Execute statements, and what is checked at commit."""
    with connection.cursor() as cursor:
        for statement in [*statements, "SET CONSTRAINTS ALL IMMEDIATE", "SET CONSTRAINTS ALL DEFERRED"]:
            cursor.execute(statement, dict(ids))


def rows(query: str, ids: Mapping[str, str]) -> list[tuple[str, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, dict(ids))
        found: list[tuple[str, ...]] = cursor.fetchall()
        return found
