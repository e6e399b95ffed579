"""The timeline of a batch: what happened, in order, in an answer that stays small."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches.failures import FailureType
from batches.finalization import finalize_batch_credits
from batches.models import Batch, Item
from batches.stopping import cancel
from batches.telling import start
from batches.timeline import INTERVALS
from customers.access import Permission
from customers.models import Mode
from tests.as_role import as_owner
from tests.factories import Account, api_with_scopes, end_batch, end_items, make_account, make_batch
from tests.sora2.test_openapi import check
from webhooks import trail
from webhooks.endpoints import create_endpoint
from webhooks.models import Attempt, Delivery, Event, EventType
from webhooks.trail import host_of

pytestmark = pytest.mark.django_db

HOOK = "https://hooks.example.com:8443/services/T0SECRET/B0?token=SECRET"


def shown(account: Account, batch: Batch) -> dict[str, Any]:
    """Return the answer, which must be as documented."""
    answer = account.api.get(f"/video-batch/{batch.pk}/timeline")
    assert answer.status_code == 200
    check(answer)
    found: dict[str, Any] = answer.json()
    return found


def steps(account: Account, batch: Batch) -> list[dict[str, Any]]:
    return list(shown(account, batch)["steps"])


def kinds(account: Account, batch: Batch) -> list[str]:
    return [step["kind"] for step in steps(account, batch)]


def tried(delivery: Delivery, number: int, *, after: float = 0, **answer: Any) -> Attempt:
    """Record an attempt, so many seconds after the event."""
    at = delivery.event.created_at + timedelta(seconds=after)
    return Attempt.objects.create(delivery=delivery, number=number, at=at, endpoint=delivery.endpoint, **answer)


def test_a_batch_from_its_creation_to_the_first_who_took_the_webhook(account: Account) -> None:
    endpoint, _ = create_endpoint(organization=account.organization, mode=Mode.LIVE, url=HOOK)
    batch = make_batch(account.api, 3)
    start(batch_ids=[batch.pk], now=timezone.now())
    batch = end_batch(batch, failed={1: FailureType.CAPACITY})
    delivery = Delivery.objects.about(batch.pk).get(event__type=EventType.BATCH_COMPLETED)
    tried(delivery, 1, status_code=503, duration_ms=40)
    tried(delivery, 2, after=5, error="timeout", duration_ms=20_000)
    tried(delivery, 3, after=300, trigger="manual", status_code=204, duration_ms=120)
    tried(delivery, 4, after=400, status_code=200)
    found = shown(account, batch)
    assert [step["kind"] for step in found["steps"]] == [
        *("created", "started", "items_ended", "finalized", "event_written"),
        *("delivery_attempt", "delivery_attempt", "delivery_attempt", "acknowledged", "delivery_attempt"),
    ]
    assert [step["at"] for step in found["steps"]] == sorted(step["at"] for step in found["steps"])
    assert (found["state"], found["left_out"]) == ("partial", {"delivery_attempts": 0})
    created, _, ended, finalized, written, first, second, third, taken, fourth = found["steps"]
    assert created["items"] == 3
    assert sum(step["succeeded"] for step in found["steps"] if step["kind"] == "items_ended") == 2
    assert ended["since"] <= ended["at"] <= finalized["at"]
    assert (finalized["state"], finalized["succeeded"], finalized["failed"]) == ("partial", 2, 1)
    assert (written["event"], written["event_id"]) == ("batch.completed", delivery.event_id)
    assert [(step["attempt"], step["status_code"], step["ok"]) for step in (first, second, third, fourth)] == [
        *((1, 503, False), (2, None, False), (3, 204, True), (4, 200, None)),
    ]
    assert (third["trigger"], third["endpoint_id"], third["delivery_id"]) == ("manual", endpoint.pk, delivery.pk)
    assert (taken["delivery_id"], taken["status_code"]) == (delivery.pk, 204)
    assert datetime.fromisoformat(taken["at"]) - datetime.fromisoformat(third["at"]) == timedelta(milliseconds=120)


def test_what_has_not_happened_yet_is_not_there(account: Account) -> None:
    batch = make_batch(account.api, 2)
    assert kinds(account, batch) == ["created"]
    assert account.api.get(f"/video-batch/{batch.pk}/timeline").headers["Retry-After"] == "2"
    end_items(batch, succeeded=[0])
    assert kinds(account, batch) == ["created", "items_ended"]


def test_a_cancel_is_among_the_steps(account: Account) -> None:
    batch = make_batch(account.api, 2)
    cancel(batch=batch, actor="key_x", now=timezone.now())
    batch.refresh_from_db()
    found = steps(account, batch)
    assert {"created", "canceled", "items_ended", "finalized", "event_written"} <= {step["kind"] for step in found}
    assert "Retry-After" not in account.api.get(f"/video-batch/{batch.pk}/timeline").headers


def test_the_ends_of_many_items_are_few_steps_that_count_them_all() -> None:
    account = make_account(20_000, max_items_per_batch=1000)
    batch = make_batch(account.api, 600)
    fail_one_by_one(batch, seconds=7)
    ends = [step for step in steps(account, batch) if step["kind"] == "items_ended"]
    assert len(ends) == INTERVALS
    assert sum(step["failed"] + step["succeeded"] for step in ends) == 600
    for step, following in pairwise(ends):
        assert step["since"] <= step["at"] < following["since"]


def test_it_costs_as_many_queries_whatever_there_is() -> None:
    account = make_account(20_000, max_items_per_batch=1000)
    small, large = make_batch(account.api), make_batch(account.api, 300, request_id="large")
    for batch in (small, large):
        create_endpoint(organization=account.organization, mode=Mode.LIVE, url=f"https://example.com/{batch.pk}")
        fail_one_by_one(batch, seconds=1)
        finalize_batch_credits(batch_id=batch.pk, now=timezone.now())
    for delivery in Delivery.objects.about(large.pk):
        for number in range(1, 30):
            tried(delivery, number, after=number, status_code=500, duration_ms=1)
    costs = []
    for batch in (small, large):
        with CaptureQueriesContext(connection) as captured:
            shown(account, batch)
        costs.append(len(captured))
    assert costs[0] == costs[1] <= 12


def test_of_very_many_attempts_the_latest_are_shown_and_the_rest_is_counted(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "ATTEMPTS_MAX", 3)
    create_endpoint(organization=account.organization, mode=Mode.LIVE, url=HOOK)
    batch = end_batch(make_batch(account.api))
    delivery = Delivery.objects.about(batch.pk).get()
    tried(delivery, 1, status_code=200, duration_ms=1)
    for number in range(2, 6):
        tried(delivery, number, after=number, status_code=500, duration_ms=1)
    found = shown(account, batch)
    attempts = [step["attempt"] for step in found["steps"] if step["kind"] == "delivery_attempt"]
    assert (attempts, found["left_out"]) == ([3, 4, 5], {"delivery_attempts": 2})
    assert "acknowledged" in [step["kind"] for step in found["steps"]], "whoever took it first is said all the same"


def test_a_key_that_reads_batches_alone_learns_no_address_and_no_answer(account: Account) -> None:
    create_endpoint(organization=account.organization, mode=Mode.LIVE, url=HOOK)
    batch = end_batch(make_batch(account.api))
    tried(Delivery.objects.about(batch.pk).get(), 1, status_code=200, duration_ms=1, response="a secret answer")
    reader = api_with_scopes(account.organization, [Permission.BATCHES_READ])
    text = reader.get(f"/video-batch/{batch.pk}/timeline").content.decode()
    assert '"https://hooks.example.com:8443"' in text
    for secret in ("SECRET", "services", "secret answer"):
        assert secret not in text


def test_what_tells_of_single_items_is_left_to_the_log(account: Account) -> None:
    create_endpoint(
        organization=account.organization, mode=Mode.LIVE, url=HOOK, events=["batch.completed", "item.failed"]
    )
    batch = make_batch(account.api, 2)
    cancel(batch=batch, actor="key_x", now=timezone.now())
    assert Event.objects.filter(reference=batch.pk, type="item.failed").count() == 2
    told = [step["event"] for step in steps(account, batch) if step["kind"] == "event_written"]
    assert told == ["batch.completed"]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://example.com/hook?a=b#c", "https://example.com"),
        ("https://user:secret@example.com:8443/hook", "https://example.com:8443"),
        ("http://127.0.0.1:8000/x", "http://127.0.0.1:8000"),
    ],
)
def test_of_an_address_the_host_is_said(url: str, host: str) -> None:
    assert host_of(url) == host


def fail_one_by_one(batch: Batch, *, seconds: int) -> None:
    """End all items, one after the other."""
    now = timezone.now()
    end_items(batch, failed={item.index: FailureType.TIMEOUT for item in batch.items.all()})
    with as_owner(), connection.cursor() as cursor:
        # What has ended keeps its end, so the ends are spread with the guard away, inside the test's transaction.
        cursor.execute("ALTER TABLE batches_item DISABLE TRIGGER batches_item_outcome_is_final")
        cursor.execute(
            "UPDATE batches_item SET finished_at = %s + index * %s * interval '1 second' WHERE batch_id = %s",
            [now, seconds, batch.pk],
        )
        cursor.execute("ALTER TABLE batches_item ENABLE ALWAYS TRIGGER batches_item_outcome_is_final")
    assert Item.objects.filter(batch=batch, finished_at__gte=now).count() == batch.total
