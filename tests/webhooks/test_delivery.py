"""Events delivered to real receivers on loopback, from rows of a real database. Receivers' faults: see test_faults."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings
from standardwebhooks import Webhook

from customers.models import Mode, Organization
from tests.webhooks.receivers import Received, Receiver, answers, in_turn, serve
from webhooks import delivery
from webhooks.endpoints import create_default_secret, create_endpoint
from webhooks.guarded import Answer
from webhooks.models import Attempt, Delivery, Endpoint, Event, EventType, new_event_id
from webhooks.replay import redeliver
from webhooks.services import publish

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("loopback")]

T = TypeVar("T")

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BODY = '{"event": "batch.completed",  "emoji":"🎬", "b":1, "a":2}'
State = Delivery.State
# What a receiver waits for in these tests comes at once, unless something is broken.
BROKEN_SECONDS = 15.0


@pytest.fixture
def acme() -> Organization:
    return Organization.objects.create(name="Acme")


def endpoint_of(acme: Organization, url: str, mode: Mode = Mode.LIVE) -> tuple[Endpoint, str]:
    return create_endpoint(organization=acme, mode=mode, url=url)


def tell(acme: Organization, *, mode: Mode = Mode.LIVE, extra_url: str = "", body: str = BODY) -> Event:
    event_id = new_event_id()
    return publish(
        organization_id=acme.pk,
        mode=mode,
        event_type=EventType.BATCH_COMPLETED,
        event_id=event_id,
        body=body,
        reference=f"bat_of_{event_id}",
        extra_url=extra_url,
    )


def pass_time() -> None:
    """Make everything pending due, as if its time had come."""
    Endpoint.objects.update(paused_until=None)
    Delivery.objects.filter(state=State.PENDING).update(due_at=timezone.now() - timedelta(seconds=1))


def only_delivery() -> Delivery:
    return Delivery.objects.get()


def attempts() -> list[tuple[int, str, int | None, str]]:
    rows = Attempt.objects.order_by("number").values_list("number", "trigger", "status_code", "error")
    return list(rows)


def verified(secret: str, request: Received) -> Any:
    return Webhook(secret).verify(request.body, dict(request.headers))


# --- delivering ---------------------------------------------------------------------------------------------


def test_an_event_arrives_with_its_exact_bytes_and_its_signature_verifies(
    acme: Organization, receiver: Receiver
) -> None:
    _, secret = endpoint_of(acme, receiver.url)
    event = tell(acme)
    assert delivery.deliver_due() == 1

    [request] = receiver.requests
    assert (request.method, request.body) == ("POST", BODY.encode())
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == event.pk
    assert verified(secret, request)["emoji"] == "🎬"
    assert (only_delivery().state, only_delivery().due_at, only_delivery().lease) == (State.DELIVERED, None, None)
    attempt = Attempt.objects.get()
    assert (attempt.status_code, attempt.error, attempt.response) == (200, "", "thanks")
    assert attempt.duration_ms is not None
    assert str(int(attempt.at.timestamp())) == request.headers["webhook-timestamp"]


@pytest.mark.owner
def test_a_retry_bears_the_same_id_and_a_new_signature(acme: Organization) -> None:
    with serve(in_turn(answers(500, b"oops"), answers(200))) as receiver:
        _, secret = endpoint_of(acme, receiver.url)
        event = tell(acme)
        delivery.deliver_due()
        pending = only_delivery()
        assert pending.state == State.PENDING
        assert pending.due_at is not None
        assert 3 < (pending.due_at - timezone.now()).total_seconds() <= 6.0
        assert delivery.deliver_due() == 0
        # The first attempt becomes history of an hour ago, so that the two have different times.
        Attempt.objects.update(at=timezone.now() - timedelta(hours=1))
        pass_time()
        delivery.deliver_due()

    assert only_delivery().state == State.DELIVERED
    assert attempts() == [(1, "auto", 500, ""), (2, "auto", 200, "")]
    assert [request.headers["webhook-id"] for request in receiver.requests] == [event.pk] * 2
    assert [verified(secret, request)["a"] for request in receiver.requests] == [2, 2]


def test_an_address_that_became_forbidden_is_tried_again_and_not_called(
    acme: Organization, receiver: Receiver, settings: Settings
) -> None:
    endpoint_of(acme, receiver.url)
    tell(acme)
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = []
    delivery.deliver_due()
    assert attempts() == [(1, "auto", None, "forbidden_target")]
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = ["http://127.0.0.1:*"]
    pass_time()
    delivery.deliver_due()
    assert only_delivery().state == State.DELIVERED
    assert len(receiver.requests) == 1


def test_after_ten_attempts_it_is_exhausted(acme: Organization) -> None:
    with serve(answers(503)) as receiver:
        endpoint_of(acme, receiver.url)
        tell(acme)
        for _ in range(12):
            pass_time()
            delivery.deliver_due()
        assert len(receiver.requests) == 10
    assert (only_delivery().state, only_delivery().due_at) == (State.EXHAUSTED, None)
    assert [number for number, *_ in attempts()] == list(range(1, 11))


def test_without_a_secret_nothing_is_sent_and_the_delivery_stays_alive(acme: Organization, receiver: Receiver) -> None:
    tell(acme, extra_url=receiver.url)
    delivery.deliver_due()
    assert receiver.requests == []
    assert attempts() == [(1, "auto", None, "no_secret")]
    create_default_secret(organization=acme)
    pass_time()
    delivery.deliver_due()
    assert only_delivery().state == State.DELIVERED


# --- the schedule -------------------------------------------------------------------------------------------


def wait_seconds(attempts: int, *, chance: float = 0.5, asked: float | None = None) -> float | None:
    answer = Answer(status_code=503, retry_after_seconds=asked)
    decision = delivery.decide(answer=answer, attempts=attempts, now=NOW, chance=chance)
    return None if decision.due_at is None else (decision.due_at - NOW).total_seconds()


def test_the_schedule_is_the_promised_one() -> None:
    hour = 3600
    waits = [wait_seconds(attempts) for attempts in range(1, 11)]
    assert waits == [5, 300, 1800, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour, None]
    assert 75 * hour < sum(wait or 0 for wait in waits) < 76 * hour


@given(attempts=st.integers(1, 9), chance=st.floats(0, 1))
def test_jitter_stays_within_a_fifth(attempts: int, chance: float) -> None:
    middle, wait = wait_seconds(attempts), wait_seconds(attempts, chance=chance)
    assert middle is not None
    assert wait is not None
    assert 0.8 * middle - 0.001 <= wait <= 1.2 * middle + 0.001


def test_jitter_uses_its_whole_room() -> None:
    assert (wait_seconds(2, chance=0.0), wait_seconds(2, chance=1.0)) == (240, 360)


@pytest.mark.parametrize(
    ("attempts", "asked", "expected"),
    [
        (1, 0.0, 5),  # Sooner than the schedule: the schedule holds.
        (1, 60.0, 60),  # Later: the receiver's word holds.
        (2, 60.0, 300),
        (1, 86_400.0, 86_400),
        (1, 90_000.0, 86_400),  # Up to a day.
        (10, 60.0, None),  # It grants no eleventh attempt.
    ],
)
def test_the_longer_of_schedule_and_retry_after_wins(attempts: int, asked: float, expected: float | None) -> None:
    assert wait_seconds(attempts, asked=asked) == expected


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Answer(status_code=200), State.DELIVERED),
        (Answer(status_code=299), State.DELIVERED),
        (Answer(status_code=200, error="timeout"), State.PENDING),  # Not a whole answer.
        (Answer(status_code=199), State.PENDING),
        (Answer(status_code=301), State.PENDING),
        (Answer(status_code=400), State.PENDING),
        (Answer(status_code=404), State.PENDING),
        (Answer(status_code=410), State.EXHAUSTED),
        (Answer(status_code=410, error="connection_reset"), State.EXHAUSTED),
        (Answer(error="dns"), State.PENDING),
        (Answer(error="forbidden_target"), State.PENDING),
    ],
)
def test_only_2xx_is_success_and_only_410_is_final(answer: Answer, state: Delivery.State) -> None:
    assert delivery.decide(answer=answer, attempts=1, now=NOW, chance=0.5).state == state


# --- who hears of it ----------------------------------------------------------------------------------------


def test_410_disables_the_endpoint_and_what_comes_due_for_it_is_skipped(acme: Organization, receiver: Receiver) -> None:
    with serve(answers(410)) as gone:
        closed, _ = endpoint_of(acme, gone.url)
        endpoint_of(acme, receiver.url)
        first = tell(acme)
        delivery.deliver_due()
        Delivery.objects.filter(endpoint=closed).update(state=State.PENDING, due_at=timezone.now())
        second = tell(acme)
        delivery.deliver_due()
        assert len(gone.requests) == 1

    closed.refresh_from_db()
    assert (closed.enabled, closed.disabled_reason) == (False, delivery.GONE_REASON)
    skipped = Delivery.objects.filter(endpoint=closed, state=State.SKIPPED)
    assert {(row.event_id, row.skipped_reason) for row in skipped} == {
        (first.pk, delivery.GONE_REASON),
        (second.pk, delivery.GONE_REASON),
    }
    assert [request.headers["webhook-id"] for request in receiver.requests] == [first.pk, second.pk]


def test_410_ends_the_delivery_to_a_batch_s_own_address(acme: Organization) -> None:
    create_default_secret(organization=acme)
    with serve(answers(410)) as gone:
        tell(acme, extra_url=gone.url)
        delivery.deliver_due()
    assert only_delivery().state == State.EXHAUSTED


@pytest.mark.owner
def test_410_from_an_address_that_was_changed_meanwhile_disables_nothing(acme: Organization) -> None:
    with serve(answers(410)) as gone:
        endpoint, _ = endpoint_of(acme, gone.url)
        tell(acme)
        (claimed,) = delivery.claim(count=1, now=timezone.now())
        Endpoint.objects.update(url="https://example.com/new")
        delivery.record([(claimed, delivery.post(claimed))], now=timezone.now())
    endpoint.refresh_from_db()
    assert endpoint.enabled
    assert only_delivery().state == State.EXHAUSTED


def test_an_endpoint_disabled_before_the_time_has_come_is_not_called(acme: Organization, receiver: Receiver) -> None:
    endpoint_of(acme, receiver.url)
    tell(acme)
    Endpoint.objects.update(enabled=False)
    assert delivery.deliver_due() == 0
    assert receiver.requests == []
    assert (only_delivery().state, only_delivery().skipped_reason) == (State.SKIPPED, "the endpoint is disabled")


def test_an_endpoint_disabled_at_the_moment_of_the_claim_is_not_claimed(acme: Organization) -> None:
    endpoint_of(acme, "http://127.0.0.1:1/hook")
    tell(acme)
    Endpoint.objects.update(enabled=False)
    assert delivery.claim(count=10, now=timezone.now()) == []


@pytest.mark.owner
def test_endpoints_that_are_disabled_or_have_not_subscribed_are_recorded_as_skipped(
    acme: Organization, receiver: Receiver
) -> None:
    endpoint_of(acme, receiver.url + "/disabled")
    Endpoint.objects.update(enabled=False, disabled_reason="broken for five days")
    other, _ = endpoint_of(acme, receiver.url + "/other")
    Endpoint.objects.filter(pk=other.pk).update(events=[EventType.WEBHOOK_TEST])
    tell(acme)
    assert delivery.deliver_due() == 0
    assert set(Delivery.objects.values_list("state", "skipped_reason")) == {
        (State.SKIPPED, "broken for five days"),
        (State.SKIPPED, "the endpoint has not subscribed to this event"),
    }


def test_a_batch_s_own_address_is_signed_with_the_default_secret_in_both_modes(
    acme: Organization, receiver: Receiver
) -> None:
    create_default_secret(organization=Organization.objects.create(name="Other"))
    secret = create_default_secret(organization=acme)
    for mode in Mode:
        tell(acme, extra_url=receiver.url, mode=mode)
    delivery.deliver_due()
    assert len(receiver.requests) == 2
    assert all(verified(secret, request) for request in receiver.requests)


@pytest.mark.owner
def test_a_batch_s_own_address_that_is_an_endpoint_s_gets_one_delivery_with_its_secret(
    acme: Organization, receiver: Receiver
) -> None:
    create_default_secret(organization=acme)
    endpoint, secret = endpoint_of(acme, receiver.url)
    Endpoint.objects.update(events=[])  # It was asked for, so no subscription is needed.
    tell(acme, extra_url=receiver.url)
    delivery.deliver_due()
    [request] = receiver.requests
    assert verified(secret, request)
    assert only_delivery().endpoint == endpoint


def test_events_of_a_mode_go_to_the_endpoints_of_that_mode_and_organization_only(acme: Organization) -> None:
    other = Organization.objects.create(name="Other")
    with ExitStack() as stack:
        live, test, foreign = (stack.enter_context(serve(answers(200))) for _ in range(3))
        endpoint_of(acme, live.url)
        endpoint_of(acme, test.url, Mode.TEST)
        endpoint_of(other, foreign.url)
        of_test, of_live = tell(acme, mode=Mode.TEST), tell(acme)
        delivery.deliver_due()
        assert [request.headers["webhook-id"] for request in test.requests] == [of_test.pk]
        assert [request.headers["webhook-id"] for request in live.requests] == [of_live.pk]
        assert foreign.requests == []


# --- once more ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.DELIVERED, State.EXHAUSTED, State.SKIPPED])
def test_whatever_has_ended_can_be_redelivered_under_the_same_id(
    acme: Organization, receiver: Receiver, state: Delivery.State
) -> None:
    endpoint_of(acme, receiver.url)
    event = tell(acme)
    Delivery.objects.update(state=state, due_at=None, skipped_reason="why", attempts_made=0)
    assert redeliver(delivery=only_delivery(), actor="test", now=timezone.now())
    delivery.deliver_due()
    assert [request.headers["webhook-id"] for request in receiver.requests] == [event.pk]
    assert attempts() == [(1, "manual", 200, "")]
    assert (only_delivery().state, only_delivery().skipped_reason) == (State.DELIVERED, "")


def test_a_redelivery_begins_the_schedule_anew_and_its_retries_are_automatic(acme: Organization) -> None:
    with serve(answers(500)) as receiver:
        endpoint_of(acme, receiver.url)
        tell(acme)
        for _ in range(10):
            pass_time()
            delivery.deliver_due()
        assert only_delivery().state == State.EXHAUSTED
        redeliver(delivery=only_delivery(), actor="test", now=timezone.now())
        delivery.deliver_due()
        due_at = only_delivery().due_at
        assert due_at is not None
        assert 3 < (due_at - timezone.now()).total_seconds() <= 6.0
        for _ in range(12):
            pass_time()
            delivery.deliver_due()
        assert len(receiver.requests) == 20
    assert only_delivery().state == State.EXHAUSTED
    assert [trigger for _, trigger, *_ in attempts()] == ["auto"] * 10 + ["manual"] + ["auto"] * 9


# --- workers that die, lag and meet -------------------------------------------------------------------------


def test_when_a_worker_dies_the_delivery_is_made_again_after_its_lease_under_the_same_id(
    acme: Organization, receiver: Receiver
) -> None:
    endpoint_of(acme, receiver.url)
    event = tell(acme)
    assert len(delivery.claim(count=10, now=timezone.now())) == 1
    assert attempts() == [(1, "auto", None, "")]
    assert delivery.deliver_due() == 0

    later = timezone.now() + timedelta(seconds=delivery.LEASE_SECONDS - 1)
    assert delivery.claim(count=10, now=later) == []
    pass_time()
    assert delivery.deliver_due() == 1
    assert attempts() == [(1, "auto", None, "worker_lost"), (2, "auto", 200, "")]
    assert [request.headers["webhook-id"] for request in receiver.requests] == [event.pk]


def test_a_worker_that_lost_its_lease_completes_its_attempt_and_decides_nothing(acme: Organization) -> None:
    endpoint_of(acme, "http://127.0.0.1:1/hook")
    tell(acme)
    [late] = delivery.claim(count=10, now=timezone.now())
    pass_time()
    [holder] = delivery.claim(count=10, now=timezone.now())

    delivery.record([(late, Answer(status_code=410, duration_ms=40_000))], now=timezone.now())
    assert attempts() == [(1, "auto", 410, ""), (2, "auto", None, "")]
    assert (only_delivery().state, only_delivery().lease) == (State.PENDING, holder.lease)
    assert Endpoint.objects.get().enabled

    delivery.record([(holder, Answer(status_code=200, duration_ms=5))], now=timezone.now())
    assert only_delivery().state == State.DELIVERED
    delivery.record([(late, Answer(error="timeout", duration_ms=1))], now=timezone.now())
    assert attempts() == [(1, "auto", 410, ""), (2, "auto", 200, "")]
    assert only_delivery().state == State.DELIVERED


def test_a_worker_that_reports_late_does_not_undo_a_redelivery(acme: Organization) -> None:
    endpoint_of(acme, "http://127.0.0.1:1/hook")
    tell(acme)
    [late] = delivery.claim(count=10, now=timezone.now())
    delivery.record([(late, Answer(status_code=200, duration_ms=5))], now=timezone.now())
    redeliver(delivery=only_delivery(), actor="test", now=timezone.now())
    delivery.record([(late, Answer(status_code=200, duration_ms=5))], now=timezone.now())
    assert only_delivery().state == State.PENDING


def test_a_message_that_kills_every_worker_is_given_up_after_ten_attempts(acme: Organization) -> None:
    endpoint_of(acme, "http://127.0.0.1:1/hook")
    tell(acme)
    for _ in range(12):
        delivery.claim(count=10, now=timezone.now())
        pass_time()
    assert only_delivery().state == State.EXHAUSTED
    assert {error for *_, error in attempts()} == {"worker_lost"}
    assert len(attempts()) == 10


def test_an_attempt_that_was_lost_shows_as_such_when_the_endpoint_was_disabled_since(acme: Organization) -> None:
    endpoint_of(acme, "http://127.0.0.1:1/hook")
    tell(acme)
    delivery.claim(count=10, now=timezone.now())
    Endpoint.objects.update(enabled=False)
    pass_time()
    delivery.deliver_due()
    assert only_delivery().state == State.SKIPPED
    assert attempts() == [(1, "auto", None, "worker_lost")]


def test_a_lane_has_a_few_in_flight_and_lanes_take_turns(acme: Organization) -> None:
    busy, _ = endpoint_of(acme, "http://127.0.0.1:1/busy")
    for _ in range(delivery.IN_FLIGHT_PER_LANE + 4):
        tell(acme)
    quiet, _ = endpoint_of(acme, "http://127.0.0.1:1/quiet")
    tell(acme, extra_url="http://127.0.0.1:1/own")
    Delivery.objects.filter(endpoint=busy).update(due_at=timezone.now() - timedelta(hours=1))

    now = timezone.now()
    first = delivery.claim(count=3, now=now)
    assert {claimed.endpoint_id for claimed in first} == {busy.pk, quiet.pk, None}
    rest = delivery.claim(count=50, now=now)
    assert [claimed.endpoint_id for claimed in rest] == [busy.pk] * (delivery.IN_FLIGHT_PER_LANE - 1)
    assert delivery.claim(count=50, now=now) == []
    delivery.record([(rest[0], Answer(status_code=200, duration_ms=1))], now=now)
    assert len(delivery.claim(count=50, now=now)) == 1


def test_statements_do_not_grow_with_deliveries(acme: Organization) -> None:
    def statements(count: int) -> int:
        for _ in range(count):
            tell(acme)
        with CaptureQueriesContext(connection) as captured:
            claims = delivery.claim(count=100, now=timezone.now())
            assert len(claims) == 5 * count
            answer = Answer(status_code=200, duration_ms=1)
            delivery.record([(claimed, answer) for claimed in claims], now=timezone.now())
        return len(captured)

    for number in range(5):
        endpoint_of(acme, f"http://127.0.0.1:1/{number}")
    assert statements(1) == statements(4)


def on_its_own_connection(call: Callable[[], T]) -> T:
    """Call, and close the connection to the database that this thread got by it."""
    try:
        return call()
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_hangs_holds_up_no_other(acme: Organization) -> None:
    """The one that hangs has more due than a worker posts at once, and answers when the other has got its message."""
    hanging, other_has_it = threading.Event(), threading.Event()
    at_once, most_at_once, counting = 0, 0, threading.Lock()

    def hang(connection: socket.socket, receiver: Receiver, received: Received) -> None:
        nonlocal at_once, most_at_once
        with counting:
            at_once += 1
            most_at_once = max(at_once, most_at_once)
        hanging.set()
        status = 200 if other_has_it.wait(BROKEN_SECONDS) else 500
        with counting:
            at_once -= 1
        answers(status)(connection, receiver, received)

    def take(connection: socket.socket, receiver: Receiver, received: Received) -> None:
        other_has_it.set()
        answers(200)(connection, receiver, received)

    def tell_the_other(url: str) -> None:
        assert hanging.wait(BROKEN_SECONDS)
        endpoint_of(acme, url, Mode.TEST)
        tell(acme, mode=Mode.TEST)

    with serve(hang) as slow, serve(take) as quick, ThreadPoolExecutor(1) as pool:
        endpoint_of(acme, slow.url)
        for _ in range(delivery.WIDTH + 6):
            tell(acme)
        told = pool.submit(on_its_own_connection, lambda: tell_the_other(quick.url))
        delivery.deliver_due()
        told.result()
    assert set(Attempt.objects.values_list("status_code", flat=True)) == {200}
    assert Attempt.objects.count() == delivery.WIDTH + 7
    assert most_at_once <= delivery.IN_FLIGHT_PER_LANE


@pytest.mark.django_db(transaction=True)
def test_who_claims_at_the_same_moment_gets_what_the_other_has_left(acme: Organization) -> None:
    for number in range(4):
        endpoint_of(acme, f"http://127.0.0.1:1/{number}")
    tell(acme)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            mine = delivery.claim(count=2, now=timezone.now())
            other = pool.submit(on_its_own_connection, lambda: delivery.claim(count=2, now=timezone.now()))
            wait([other], timeout=0.3)
        theirs = other.result()
    assert len({claimed.delivery_id for claimed in [*mine, *theirs]}) == 4


@pytest.mark.django_db(transaction=True)
def test_three_workers_at_once_post_each_delivery_once(acme: Organization, receiver: Receiver) -> None:
    for number in range(6):
        endpoint_of(acme, f"{receiver.url}/{number}")
    for _ in range(10):
        tell(acme)
    start = threading.Barrier(3)

    def work() -> int:
        start.wait()
        return delivery.deliver_due()

    with ThreadPoolExecutor(3) as pool:
        workers = [pool.submit(on_its_own_connection, work) for _ in range(3)]
        assert sum(worker.result() for worker in workers) == 60
    posted = [(request.path, request.headers["webhook-id"]) for request in receiver.requests]
    assert len(posted) == len(set(posted)) == 60
    assert set(Delivery.objects.values_list("state", "attempts_made")) == {(State.DELIVERED, 1)}
