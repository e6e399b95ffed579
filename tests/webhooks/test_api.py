"""The log of webhook deliveries over HTTP, and sending one of them again."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from batches.models import Batch
from customers.models import AuditEvent, Mode, Organization
from sora2.times import timestamp
from tests.factories import Account, code_of, end_batch, make_account, make_batch
from tests.webhooks.customer import faults_of, signed_by, tell
from tests.webhooks.receivers import answers, in_turn, serve
from webhooks import delivery as deliveries
from webhooks.endpoints import change_endpoint, create_default_secret, create_endpoint, delete_endpoint
from webhooks.guarded import Answer
from webhooks.models import Attempt, Delivery, Endpoint, Event

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint(account: Account) -> Endpoint:
    """A live endpoint."""
    made, _ = create_endpoint(organization=account.organization, mode=Mode.LIVE, url="https://example.com/hook")
    return made


def ended(account: Account, request_id: str = "order-1", **fields: Any) -> Batch:
    return end_batch(make_batch(account.api, request_id=request_id, **fields))


def deliver(batch: Batch) -> Delivery:
    """Write down that the webhook of a batch arrived at the second attempt."""
    delivery = Delivery.objects.about(batch.pk).get()
    now = timezone.now()
    Attempt.objects.create(delivery=delivery, number=1, at=now, error="timeout", duration_ms=20_000)
    Attempt.objects.create(delivery=delivery, number=2, at=now, status_code=204, duration_ms=12)
    Delivery.objects.filter(pk=delivery.pk).update(state="delivered", due_at=None, attempts_made=2)
    return delivery


def test_a_delivery_is_shown_with_its_attempts(account: Account, endpoint: Endpoint) -> None:
    batch = ended(account)
    delivery = deliver(batch)
    response = account.api.get(f"/webhook-deliveries/{delivery.pk}")
    assert response.status_code == 200
    answer = response.json()
    log = answer.pop("attempts")
    assert answer.pop("created_at").endswith("Z")
    assert answer == {
        "ok": True,
        "id": delivery.pk,
        "event_id": delivery.event_id,
        "event": "batch.completed",
        "batch_id": batch.pk,
        "livemode": True,
        "endpoint_id": endpoint.pk,
        "url": "https://example.com/hook",
        "state": "delivered",
        "skipped_reason": None,
        "next_attempt_at": None,
    }
    assert list(log[0]) == ["at", "trigger", "status_code", "error", "duration_ms", "response"]
    assert [(a["status_code"], a["error"], a["duration_ms"]) for a in log] == [
        (None, "timeout", 20_000),
        (204, None, 12),
    ]


@pytest.mark.owner
def test_deliveries_are_listed_newest_first_and_filtered(
    account: Account, endpoint: Endpoint, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    batches = [ended(account, f"order-{number}") for number in range(4)]
    deliver(batches[0])
    with django_assert_max_num_queries(3):
        answer = account.api.get("/webhook-deliveries").json()
    assert [row["batch_id"] for row in answer["data"]] == [batch.pk for batch in batches[::-1]]

    def found(**query: str) -> list[int]:
        ids = [row["batch_id"] for row in account.api.get("/webhook-deliveries", query).json()["data"]]
        return sorted([batch.pk for batch in batches].index(batch_id) for batch_id in ids)

    assert found(batch_id=batches[2].pk) == [2]
    assert found(batch_id="bat_unknown") == []
    assert found(state="delivered") == found(undelivered="false") == [0]
    assert found(state="pending") == found(undelivered="true") == [1, 2, 3]
    assert found(event="batch.completed") == [0, 1, 2, 3]
    assert found(event="webhook.test") == []
    assert found(endpoint_id=endpoint.pk) == [0, 1, 2, 3]
    assert found(endpoint_id="whe_unknown") == []
    at = timezone.now()
    for number, batch in enumerate(batches):
        Delivery.objects.about(batch.pk).update(created_at=at + timedelta(minutes=number))
    first, third = timestamp(at) or "", timestamp(at + timedelta(minutes=2)) or ""
    assert found(created_after=third) == [2, 3]
    assert found(created_before=third) == [0, 1]
    assert found(created_after=first, created_before=third, undelivered="true") == [1]


def test_pages_follow_a_cursor(account: Account, endpoint: Endpoint) -> None:
    made = [ended(account, f"order-{number}").pk for number in range(3)]
    first = account.api.get("/webhook-deliveries", limit=2).json()
    second = account.api.get("/webhook-deliveries", limit=2, cursor=first["next_cursor"]).json()
    assert [row["batch_id"] for page in (first, second) for row in page["data"]] == made[::-1]


def test_a_batch_is_told_to_its_own_address_too(account: Account, endpoint: Endpoint) -> None:
    ended(account, webhook_url="https://example.com/own")
    rows = account.api.get("/webhook-deliveries").json()["data"]
    assert {(row["url"], row["endpoint_id"]) for row in rows} == {
        ("https://example.com/hook", endpoint.pk),
        ("https://example.com/own", None),
    }


@pytest.mark.parametrize("address", ["nonsense", "dlv_x", "dlv_" + "0" * 26, "dlv_%00"])
def test_what_does_not_exist_is_not_found(account: Account, address: str) -> None:
    assert account.api.get(f"/webhook-deliveries/{address}").json()["code"] == "not_found"


@pytest.mark.parametrize(
    "query",
    [
        {"state": "x"},
        {"event": "x"},
        {"undelivered": "yes"},
        {"batch_id": "\0"},
        {"endpoint_id": "\0"},
        {"created_after": "yesterday"},
        {"created_before": "2026-12-01"},
    ],
)
def test_a_parameter_that_cannot_be_understood_is_refused(account: Account, query: dict[str, str]) -> None:
    response = account.api.get("/webhook-deliveries", query)
    assert (response.status_code, response.json()["code"]) == (422, "validation_error")


@pytest.mark.parametrize("query", [{}, {"undelivered": "true"}, {"endpoint": "this"}])
def test_a_page_costs_the_same_queries_however_many_deliveries_there_are(
    account: Account, endpoint: Endpoint, query: dict[str, str]
) -> None:
    filters = {"endpoint_id": endpoint.pk} if query.get("endpoint") else query

    def queries(count: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert len(account.api.get("/webhook-deliveries", filters).json()["data"]) == count
        return len(captured)

    account.api.get("/wallet")  # The time of a key's first use is written down.
    fail(account)
    one = queries(1)
    for _ in range(4):
        fail(account)
    assert queries(5) == one <= 3


def fail(account: Account) -> None:
    """Tell of something, and write down that it was not taken."""
    tell(account)
    now = timezone.now()
    claims = deliveries.claim(count=10, now=now)
    deliveries.record([(claim, Answer(error="timeout", duration_ms=5)) for claim in claims], now=now)


@pytest.mark.parametrize("undelivered", [True, False])
def test_the_log_is_read_in_the_order_of_an_index_and_not_sorted(
    account: Account, endpoint: Endpoint, undelivered: bool
) -> None:
    filters = {"undelivered": "true"} if undelivered else {}
    skip_many(make_account().organization)
    with CaptureQueriesContext(connection) as captured:
        account.api.get("/webhook-deliveries", filters)
    (query,) = [row["sql"] for row in captured if "LIMIT 21" in row["sql"]]
    with connection.cursor() as cursor:
        # Without it, the order of the primary key may look as good; our own rows are so few that sorting them would.
        cursor.execute("ANALYZE webhooks_delivery")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute(f"EXPLAIN {query}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert ("webhooks_delivery_undelivered" if undelivered else "webhooks_delivery_log") in plan
    assert "Sort" not in plan


def skip_many(organization: Organization, count: int = 3000) -> None:
    """Put that many deliveries of an organization on record."""
    event = Event.objects.create(
        organization=organization, mode=Mode.LIVE, type="webhook.test", body="{}", reference="whe_x"
    )
    url = "https://example.com/hook"
    skipped = {"state": "skipped", "skipped_reason": "disabled"}
    common: Any = {"event": event, "organization": organization, "mode": Mode.LIVE, "url": url, **skipped}
    Delivery.objects.bulk_create(Delivery(**common, lane=str(number)) for number in range(count))


# --- sending one again ---------------------------------------------------------------------------------------------


def redeliver(account: Account, delivery: Delivery) -> Any:
    return account.api.post(f"/webhook-deliveries/{delivery.pk}/redeliver")


@pytest.mark.usefixtures("loopback")
def test_an_event_is_sent_again_under_its_id_by_hand(account: Account) -> None:
    with serve(in_turn(answers(410, b"no"), answers(200))) as receiver:
        endpoint, secret = create_endpoint(organization=account.organization, mode=Mode.LIVE, url=receiver.url)
        event_id = tell(account)
        deliveries.deliver_due()
        delivery = Delivery.objects.get()
        assert delivery.state == "exhausted"
        change_endpoint(endpoint=endpoint, actor="test", enabled=True)
        before = timestamp(timezone.now()) or ""
        response = redeliver(account, delivery)
        assert response.status_code == 202
        answer = response.json()
        assert answer == account.api.get(f"/webhook-deliveries/{delivery.pk}").json()
        assert (answer["ok"], answer["id"], answer["event_id"]) == (True, delivery.pk, event_id)
        assert (answer["state"], answer["skipped_reason"], len(answer["attempts"])) == ("pending", None, 1)
        assert before <= answer["next_attempt_at"] <= (timestamp(timezone.now()) or "")
        deliveries.deliver_due()
    answer = account.api.get(f"/webhook-deliveries/{delivery.pk}").json()
    tried = [(attempt["trigger"], attempt["status_code"]) for attempt in answer["attempts"]]
    assert (answer["state"], tried) == ("delivered", [("auto", 410), ("manual", 200)])
    assert [request.headers["webhook-id"] for request in receiver.requests] == [event_id] * 2
    assert all(signed_by(secret, request) for request in receiver.requests)
    audited = AuditEvent.objects.get(action="webhook_delivery.redeliver")
    assert (audited.actor, audited.subject) == (account.keys[Mode.LIVE].pk, delivery.pk)


@pytest.mark.usefixtures("loopback")
def test_what_has_arrived_can_be_sent_again_also_to_a_batch_s_own_address(account: Account) -> None:
    secret = create_default_secret(organization=account.organization)
    with serve(answers(200)) as receiver:
        ended(account, webhook_url=receiver.url)
        deliveries.deliver_due()
        delivery = Delivery.objects.get()
        assert redeliver(account, delivery).json()["endpoint_id"] is None
        deliveries.deliver_due()
    assert [signed_by(secret, request) for request in receiver.requests] == [True, True]
    assert list(Attempt.objects.order_by("pk").values_list("trigger", flat=True)) == ["auto", "manual"]


def test_what_waits_is_sent_now_and_a_pause_ends(account: Account, endpoint: Endpoint) -> None:
    tell(account)
    later = timezone.now() + timedelta(hours=1)
    Delivery.objects.update(due_at=later)
    Endpoint.objects.update(paused_until=later + timedelta(hours=1))
    (row,) = account.api.get("/webhook-deliveries").json()["data"]
    assert row["next_attempt_at"] == timestamp(later + timedelta(hours=1))
    answer = redeliver(account, Delivery.objects.get()).json()
    assert answer["next_attempt_at"] <= (timestamp(timezone.now()) or "")
    assert Endpoint.objects.get().paused_until is None


def test_one_that_is_being_sent_stays_as_it_is(account: Account, endpoint: Endpoint) -> None:
    tell(account)
    deliveries.claim(count=1, now=timezone.now())
    before = Delivery.objects.values().get()
    response = redeliver(account, Delivery.objects.get())
    assert (response.status_code, response.json()["state"]) == (202, "pending")
    assert Delivery.objects.values().get() == before
    assert not AuditEvent.objects.filter(action="webhook_delivery.redeliver").exists()


def test_nothing_is_sent_to_an_endpoint_that_is_disabled_or_deleted(account: Account, endpoint: Endpoint) -> None:
    tell(account)
    change_endpoint(endpoint=endpoint, actor="test", enabled=False)
    deliveries.skip_disabled(now=timezone.now())
    before = Delivery.objects.values().get()
    refused = redeliver(account, Delivery.objects.get())
    assert faults_of(refused) == [("", "endpoint_disabled")]
    assert "enable it first" in refused.json()["detail"]
    delete_endpoint(endpoint=endpoint, actor="test", now=timezone.now())
    assert faults_of(redeliver(account, Delivery.objects.get())) == [("", "endpoint_deleted")]
    assert Delivery.objects.values().get() == before


@pytest.mark.parametrize("address", ["nonsense", "dlv_" + "0" * 26, "dlv_%00"])
def test_what_does_not_exist_cannot_be_sent_again(account: Account, address: str) -> None:
    assert code_of(account.api.post(f"/webhook-deliveries/{address}/redeliver")) == (404, "not_found")
