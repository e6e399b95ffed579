"""Submit, cancel, finalize: the verbs of a batch and what they do to credits."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches import finalization, proofs, services, stopping
from batches.failures import FailureType
from batches.models import Batch, Item, Output, Stage, State, Status
from batches.reconciliation import INVARIANTS
from customers.models import AuditEvent, Mode
from ledger.models import Entry
from ledger.reconciliation import discrepancies
from ledger.representations import entry_json
from tests.batches.engine import customer_with, order_of, submit, wallet_of
from webhooks.models import Delivery, Event

pytestmark = pytest.mark.django_db


def end(batch: Batch, *, succeeded: Sequence[int] = (), failed: Sequence[int] = ()) -> None:
    """End items as workers would, without a provider."""
    now = timezone.now()
    rows = Item.objects.filter(batch=batch)
    rows.filter(status=Status.PENDING).update(status=Status.RUNNING, attempts_made=1)
    ended = {"stage": None, "due_at": None, "finished_at": now}
    rows.filter(index__in=succeeded).update(status=Status.SUCCEEDED, **ended)
    rows.filter(index__in=failed).update(status=Status.FAILED, failure_type=FailureType.PROVIDER_ERROR, **ended)
    Output.objects.bulk_create(
        Output(item=item, video="v", poster="p", bytes=1, sha256="0" * 64, duration_ms=4000)
        for item in rows.filter(index__in=succeeded)
    )


def finalize(batch: Batch) -> bool:
    done = finalization.finalize_batch_credits(batch_id=batch.pk, now=timezone.now())
    batch.refresh_from_db()
    return done


def figures(customer: services.Customer) -> tuple[int, int, int]:
    wallet = wallet_of(customer)
    return wallet.available, wallet.reserved, wallet.settled


def test_submitting_freezes_the_whole_cost() -> None:
    customer = customer_with(100)
    batch = submit(customer, ["a", "b", "c"])
    assert (batch.state, batch.status, batch.total, batch.credits) == ("queued", "pending", 3, 30)
    assert figures(customer) == (70, 30, 0)
    assert [(i.index, i.prompt, i.status, i.stage, i.credits) for i in batch.items.order_by("index")] == [
        (0, "a", "pending", "submit", 10),
        (1, "b", "pending", "submit", 10),
        (2, "c", "pending", "submit", 10),
    ]


def test_the_same_request_twice_makes_one_batch_and_one_reserve() -> None:
    customer = customer_with(30)
    order, sha256 = order_of(["a", "b", "c"])
    values = {"customer": customer, "request_id": "order-1", "body_sha256": sha256, "order": order}
    first, made = services.submit(**values, now=timezone.now())  # type: ignore[arg-type]
    second, again = services.submit(**values, now=timezone.now())  # type: ignore[arg-type]
    assert (made, again, first.pk) == (True, False, second.pk)
    assert figures(customer) == (0, 30, 0)


def test_one_request_id_may_stand_for_a_batch_in_each_mode() -> None:
    live = customer_with(100)
    test = services.Customer(live.organization, Mode.TEST, live.actor)
    order, sha256 = order_of(["a"])
    values: dict[str, Any] = {"request_id": "r", "body_sha256": sha256, "order": order, "now": timezone.now()}
    made = [services.submit(customer=customer, **values) for customer in (live, test)]
    assert [(batch.mode, is_made) for batch, is_made in made] == [("live", True), ("test", True)]


@pytest.mark.parametrize("fields", [{}, {"max_credits": 29}])
def test_a_refused_order_stores_nothing_but_an_audit_row(fields: dict[str, int]) -> None:
    customer = customer_with(29 if not fields else 100)
    order, sha256 = order_of(["a", "b", "c"], **fields)
    with pytest.raises((services.CreditsShort, services.MaxCreditsExceeded)):
        services.submit(customer=customer, request_id="r", body_sha256=sha256, order=order, now=timezone.now())
    assert not Batch.objects.exists()
    assert not Item.objects.exists()
    assert not Entry.objects.filter(kind="reserve").exists()
    refusal = AuditEvent.objects.get(organization=customer.organization, action="batch.submit")
    code = "insufficient_credits" if not fields else "max_credits_exceeded"
    assert (refusal.subject, refusal.actor, refusal.outcome) == ("r", "key_test", code)


def test_finalizing_charges_what_succeeded_and_gives_back_the_rest() -> None:
    customer = customer_with(100)
    batch = submit(customer, ["a"] * 10)
    end(batch, succeeded=range(9), failed=[9])
    assert finalize(batch)
    assert (batch.state, batch.succeeded, batch.failed, batch.settled, batch.refunded) == ("partial", 9, 1, 90, 10)
    assert figures(customer) == (10, 0, 90)
    assert [e.kind for e in Entry.objects.about(batch.pk)] == ["reserve", "settle", "refund"]
    assert batch.items.get(index=9).status == "refunded"


@pytest.mark.parametrize(
    ("succeeded", "failed", "state", "kinds"),
    [
        (range(2), (), State.COMPLETED, ["reserve", "settle"]),
        ((), range(2), State.FAILED, ["reserve", "refund"]),
        ([0], [1], State.PARTIAL, ["reserve", "settle", "refund"]),
    ],
)
def test_the_final_state_says_how_the_items_ended(
    succeeded: Sequence[int], failed: Sequence[int], state: State, kinds: list[str]
) -> None:
    batch = submit(customer_with(100), ["a", "b"])
    end(batch, succeeded=succeeded, failed=failed)
    assert finalize(batch)
    assert batch.state == state
    assert [e.kind for e in Entry.objects.about(batch.pk)] == kinds


def test_finalizing_twice_moves_no_credit() -> None:
    customer = customer_with(100)
    batch = submit(customer, ["a", "b"])
    end(batch, succeeded=[0], failed=[1])
    assert finalize(batch)
    before = figures(customer), Entry.objects.count(), Event.objects.count()
    assert not finalize(batch)
    assert (figures(customer), Entry.objects.count(), Event.objects.count()) == before


def test_what_was_refunded_pays_for_the_next_batch_at_once() -> None:
    customer = customer_with(30)
    batch = submit(customer, ["a", "b", "c"])
    end(batch, failed=range(3))
    assert finalize(batch)
    assert figures(customer) == (30, 0, 0)
    submit(customer, ["d", "e", "f"])
    assert figures(customer) == (0, 30, 0)


def test_a_batch_with_an_open_item_is_not_finalized() -> None:
    customer = customer_with(100)
    batch = submit(customer, ["a", "b"])
    end(batch, failed=[1])
    assert not finalize(batch)
    assert figures(customer) == (80, 20, 0)
    assert batch.items.get(index=1).status == "failed"


def test_the_event_is_written_with_the_end_and_says_the_totals() -> None:
    batch = submit(customer_with(100), ["a"] * 10, webhook_url="https://example.com/hook")
    end(batch, succeeded=range(9), failed=[9])
    finalize(batch)
    event = Event.objects.get(reference=batch.pk)
    body = json.loads(event.body)
    assert list(body)[:6] == ["event", "batch_id", "request_id", "summary", "ledger", "timestamp"]
    assert body["summary"] == {"total": 10, "succeeded": 9, "failed": 1}
    assert body["ledger"] == {"reserved": 100, "settled": 90, "refunded": 10}
    assert body["event_id"] == event.pk
    assert body["proof"]["sha256"] == hashlib.sha256(batch.proof.body.encode()).hexdigest()
    assert [d.url for d in Delivery.objects.filter(event=event)] == ["https://example.com/hook"]


def test_the_proof_holds_the_entries_whole_and_the_hash_of_the_items() -> None:
    batch = submit(customer_with(100), ["ä", "b"])
    end(batch, succeeded=[0], failed=[1])
    finalize(batch)
    proof = json.loads(batch.proof.body)
    assert batch.proof.body == json.dumps(proof, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert [e["kind"] for e in proof["entries"]] == ["reserve", "settle", "refund"]
    assert proof["entries"][0] == entry_json(Entry.objects.about(batch.pk)[0])
    lines = "".join(proofs.items_jsonl(batch))
    assert proof["items_sha256"] == hashlib.sha256(lines.encode()).hexdigest()
    assert [json.loads(line)["status"] for line in lines.splitlines()] == ["succeeded", "refunded"]


def test_canceling_fails_only_what_was_never_submitted() -> None:
    customer = customer_with(100)
    batch = submit(customer, ["a", "b", "c"])
    batch.items.filter(index=0).update(status=Status.RUNNING, stage=Stage.LOOKUP, attempts_made=1)
    assert stopping.cancel(batch=batch, actor="key_test", now=timezone.now()) == 2
    batch.refresh_from_db()
    assert not batch.is_final
    assert figures(customer) == (70, 30, 0)
    end(batch, succeeded=[0])
    finalize(batch)
    assert (batch.state, figures(customer)) == ("partial", (90, 0, 10))


def test_canceling_before_anything_ran_refunds_everything_at_once() -> None:
    customer = customer_with(100)
    batch = submit(customer, ["a", "b", "c"])
    stopping.cancel(batch=batch, actor="key_test", now=timezone.now())
    batch.refresh_from_db()
    assert (batch.state, figures(customer)) == ("failed", (100, 0, 0))
    assert set(batch.items.values_list("status", "failure_type")) == {("refunded", "canceled")}
    with pytest.raises(stopping.BatchFinal):
        stopping.cancel(batch=batch, actor="key_test", now=timezone.now())


def test_items_that_were_not_submitted_by_the_batch_deadline_fail_as_timeout() -> None:
    batch = submit(customer_with(100), ["a", "b"], deadline="2999-01-01T00:00:00Z")
    stopping.fail_what_must_not_be_submitted(now=timezone.now())
    assert batch.items.filter(status="pending").count() == 2
    stopping.fail_what_must_not_be_submitted(now=datetime(2999, 1, 1, 0, 0, 1, tzinfo=UTC))
    batch.refresh_from_db()
    assert batch.state == "failed"
    assert set(batch.items.values_list("failure_type", flat=True)) == {"timeout"}


def test_a_batch_left_unfinalized_by_a_dead_worker_is_found() -> None:
    batch = submit(customer_with(100), ["a"])
    assert finalization.finalize_ended(now=timezone.now()) == 0
    end(batch, succeeded=[0])
    assert finalization.finalize_ended(now=timezone.now()) == 1
    batch.refresh_from_db()
    assert batch.state == "completed"
    assert finalization.finalize_ended(now=timezone.now()) == 0


def test_a_batch_that_cannot_be_finalized_keeps_no_other_from_it() -> None:
    stuck, fine = (submit(customer_with(100), ["a"]) for _ in range(2))
    end(stuck, succeeded=[0])
    end(fine, succeeded=[0])
    with connection.cursor() as cursor:
        # An event about it exists already, which the database allows once.
        cursor.execute(
            """INSERT INTO webhooks_event (id, organization_id, mode, type, reference, part, body, created_at)
               VALUES ('evt_x', %s, 'live', 'batch.completed', %s, '', '{}', now())""",
            [stuck.organization_id, stuck.pk],
        )
    assert finalization.finalize_ended(now=timezone.now()) == 1
    assert [Batch.objects.get(pk=batch.pk).state for batch in (stuck, fine)] == ["queued", "completed"]


def test_the_number_of_statements_does_not_depend_on_the_number_of_items() -> None:
    def statements(count: int) -> tuple[int, int]:
        customer = customer_with(10 * count)
        with CaptureQueriesContext(connection) as submitting:
            batch = submit(customer, [f"prompt {n}" for n in range(count)])
        end(batch, succeeded=range(0, count, 2), failed=range(1, count, 2))
        with CaptureQueriesContext(connection) as finalizing:
            assert finalize(batch)
        return len(submitting), len(finalizing)

    assert statements(10) == statements(10_000)


def test_the_wallet_is_locked_after_batch_and_items_only() -> None:
    customer = customer_with(100)
    with CaptureQueriesContext(connection) as submitting:
        batch = submit(customer, ["a", "b"])
    end(batch, succeeded=[0], failed=[1])
    with CaptureQueriesContext(connection) as finalizing:
        finalize(batch)
    for captured in (submitting, finalizing):
        statements = [query["sql"] for query in captured]
        posting = next(n for n, sql in enumerate(statements) if "INSERT INTO credit_ledger" in sql)
        assert not any("batches_item" in sql for sql in statements[posting:])
        locking = [sql for sql in statements[:posting] if "FOR NO KEY UPDATE" in sql or "FOR UPDATE" in sql]
        assert not any("ledger_wallet" in sql for sql in locking)


# --- what the database itself refuses ------------------------------------------------------------------------------


def refused(statement: str, parameters: list[str], match: str) -> None:
    with pytest.raises(DatabaseError, match=match):
        commit(statement, parameters)


def commit(statement: str, parameters: list[str]) -> None:
    """Run a statement, and what is checked at commit."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


FINAL = "state = 'completed', finished_at = now(), succeeded = total, failed = 0, settled = credits, refunded = 0"


def test_a_final_batch_without_its_entries_is_refused_at_commit() -> None:
    batch = submit(customer_with(100), ["a"])
    refused(f"UPDATE batches_batch SET {FINAL} WHERE id = %s", [batch.pk], "ledger has reserved 10, settled 0")


def test_a_batch_without_its_reserve_is_refused_at_commit() -> None:
    batch = submit(customer_with(100), ["a"])
    columns = ", ".join(str(f.column) for f in Batch._meta.concrete_fields if f.column not in ("id", "request_id"))
    statement = f"INSERT INTO batches_batch (id, request_id, {columns}) SELECT 'bat_x', 'other', {columns}"
    refused(f"{statement} FROM batches_batch WHERE id = %s", [batch.pk], "ledger has reserved 0")


@pytest.mark.parametrize(
    "change",
    ["state = 'processing', finished_at = NULL, succeeded = NULL, failed = NULL, settled = 0", "metadata = '{}'"],
)
@pytest.mark.owner
def test_a_final_batch_changes_no_more(change: str) -> None:
    batch = submit(customer_with(100), ["a"])
    end(batch, succeeded=[0])
    finalize(batch)
    refused(f"UPDATE batches_batch SET {change} WHERE id = %s", [batch.pk], "the batch is final")
    refused("UPDATE batches_proof SET body = '' WHERE batch_id = %s", [batch.pk], "a proof never changes")


@pytest.mark.owner
def test_what_was_priced_does_not_change() -> None:
    batch = submit(customer_with(100), ["a"])
    refused("UPDATE batches_batch SET credits = 1 WHERE id = %s", [batch.pk], "accepted and priced")
    refused("UPDATE batches_item SET credits = 1 WHERE batch_id = %s", [batch.pk], "accepted and priced")


@pytest.mark.parametrize(
    ("kind", "amount", "match"),
    [
        ("settle", 5, "must have reserved 10, settled 0 and refunded 0"),
        ("refund", 10, "must have reserved 10, settled 0 and refunded 0"),
        ("reserve", 7, "no batch"),
    ],
)
def test_credits_of_a_batch_are_not_moved_by_hand(kind: str, amount: int, match: str) -> None:
    batch = submit(customer_with(100), ["a"])
    reference = batch.pk if kind != "reserve" else "bat_unknown"
    columns = "entry_id, wallet_id, kind, amount, reference, request_id, actor, reason"
    values = ["led_x", batch.wallet_id, kind, str(amount), reference]
    statement = f"INSERT INTO credit_ledger ({columns}) VALUES (%s, %s, %s, %s, %s, '', 'usr_x', '')"
    refused(statement, values, match)


@pytest.mark.owner
def test_records_are_kept() -> None:
    batch = submit(customer_with(100), ["a"])
    refused("DELETE FROM batches_item WHERE batch_id = %s", [batch.pk], "records are kept")
    refused("DELETE FROM batches_batch WHERE id = %s", [batch.pk], "records are kept")


@pytest.mark.owner
def test_a_batch_is_paid_by_its_own_organization_only() -> None:
    batch, other = submit(customer_with(100), ["a"]), wallet_of(customer_with(100))
    refused("UPDATE batches_batch SET wallet_id = %s WHERE id = %s", [other.pk, batch.pk], "accepted and priced|own")


MOVES = {
    "pending": {"running", "failed"},
    "running": {"succeeded", "failed"},
    "succeeded": set(),
    "failed": {"refunded"},
    "refunded": set(),
}


FORBIDDEN = [(a, b) for a in MOVES for b in MOVES if b != a and b not in MOVES[a]]


@pytest.mark.unbooked
@pytest.mark.parametrize(("before", "after"), FORBIDDEN)
def test_an_item_moves_forward_only(before: str, after: str) -> None:
    batch = submit(customer_with(100), ["a"])
    path = {"pending": [], "running": ["running"], "succeeded": ["running", "succeeded"], "failed": ["failed"]}
    for status in {**path, "refunded": ["failed", "refunded"]}[before]:
        set_status(batch, status)
    with pytest.raises(DatabaseError, match=r"has ended|no such move"), transaction.atomic():
        set_status(batch, after)


def set_status(batch: Batch, status: str) -> None:
    now = timezone.now()
    ended = status in ("succeeded", "failed", "refunded")
    Item.objects.filter(batch=batch).update(
        status=status,
        stage=None if ended else Stage.SUBMIT,
        due_at=None if ended else now,
        finished_at=now if ended else None,
        refunded_at=now if status == "refunded" else None,
        failure_type="timeout" if status in ("failed", "refunded") else "",
    )


def test_every_credit_is_explained_after_all_this() -> None:
    for outcome in ({"succeeded": [0, 1]}, {"failed": [0, 1]}, {"succeeded": [0], "failed": [1]}, {}):
        batch = submit(customer_with(100), ["a", "b"])
        end(batch, **outcome)
        finalize(batch)
    assert discrepancies(INVARIANTS) == []
