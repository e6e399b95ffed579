"""The health of endpoints: pauses, what failed before waits its turn, warnings, and the end of an endpoint."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from customers.models import AuditEvent, Membership, Mode, Organization, User
from sora2.mailing import oldest_unsent, send_due
from tests.webhooks.receivers import Receiver
from webhooks import delivery, health
from webhooks.endpoints import change_endpoint, create_endpoint, delete_endpoint, send_test
from webhooks.guarded import Answer
from webhooks.models import Attempt, Delivery, Endpoint, Event, EventType, Notice, new_event_id
from webhooks.replay import EndpointDisabled, redeliver
from webhooks.services import publish

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("loopback")]

State = Delivery.State
NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
UNAVAILABLE = Answer(status_code=503, duration_ms=30)
TAKEN = Answer(status_code=200, duration_ms=10)


@pytest.fixture
def acme() -> Organization:
    return Organization.objects.create(name="Acme", contact_email="it@acme.example")


@pytest.fixture
def endpoint(acme: Organization) -> Endpoint:
    return endpoint_of(acme)


def endpoint_of(organization: Organization, name: str = "hook") -> Endpoint:
    endpoint, _ = create_endpoint(organization=organization, mode=Mode.LIVE, url=f"https://example.com/{name}")
    return endpoint


def tell(organization: Organization, count: int = 1, extra_url: str = "") -> list[Event]:
    return [
        publish(
            organization_id=organization.pk,
            mode=Mode.LIVE,
            event_type=EventType.BATCH_COMPLETED,
            event_id=(event_id := new_event_id()),
            body="{}",
            reference=f"bat_of_{event_id}",
            extra_url=extra_url,
        )
        for _ in range(count)
    ]


def claimed(now: datetime | None = None, count: int = 1000) -> list[delivery.Claimed]:
    return delivery.claim(count=count, now=now or timezone.now())


def answered(answer: Answer, *, now: datetime) -> int:
    """Claim what is due, and record the same answer to all of it; return how much that was."""
    claims = claimed(now)
    delivery.record([(claim, answer) for claim in claims], now=now)
    return len(claims)


def fails_since(endpoint: Endpoint, since: datetime, *, given_up: int = 0) -> None:
    """Let an endpoint have failed since then, with some events given up."""
    for event in tell(endpoint.organization, given_up):
        row = event.deliveries.get(endpoint=endpoint)
        Attempt.objects.create(
            delivery=row, endpoint=endpoint, number=1, at=since, status_code=500, duration_ms=5, response="no"
        )
        Delivery.objects.filter(pk=row.pk).update(state=State.EXHAUSTED, due_at=None, attempts_made=1)
    Endpoint.objects.filter(pk=endpoint.pk).update(failing_since=since, consecutive_failures=10)


def put_aside() -> None:
    """Let nothing be due any more."""
    Delivery.objects.update(state=State.SKIPPED, skipped_reason="put aside by a test", due_at=None, lease=None)


def kinds() -> list[str]:
    return list(Notice.objects.order_by("pk").values_list("kind", flat=True))


# --- pauses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_answer_that_asks_for_patience_pauses_the_endpoint_and_no_other(acme: Organization, status: int) -> None:
    tired, other = endpoint_of(acme), endpoint_of(acme, "other")
    tell(acme, 10)
    now = timezone.now()
    claims = claimed(now, count=2)
    assert {claim.endpoint_id for claim in claims} == {tired.pk, other.pk}
    delivery.record(
        [(claim, Answer(status_code=status) if claim.endpoint_id == tired.pk else TAKEN) for claim in claims], now=now
    )
    tired.refresh_from_db()
    assert tired.paused_until is not None
    assert 4 <= (tired.paused_until - now).total_seconds() <= 6
    assert {claim.endpoint_id for claim in claimed(now)} == {other.pk}
    # Afterwards one is tried, not the many that a healthy endpoint has in flight.
    later = now + timedelta(seconds=7)
    assert [claim.endpoint_id for claim in claimed(later) if claim.endpoint_id == tired.pk] == [tired.pk]


@pytest.mark.parametrize("answer", [Answer(status_code=500), Answer(error="timeout"), Answer(status_code=404)])
def test_other_failures_pause_nothing(endpoint: Endpoint, answer: Answer) -> None:
    tell(endpoint.organization, 2)
    now = timezone.now()
    delivery.record([(claimed(now, count=1)[0], answer)], now=now)
    endpoint.refresh_from_db()
    assert (endpoint.paused_until, endpoint.consecutive_failures) == (None, 1)
    assert len(claimed(now)) == 1


def test_retry_after_pauses_for_as_long_as_it_asks_up_to_a_day(endpoint: Endpoint) -> None:
    tell(endpoint.organization)
    now = timezone.now()
    answered(Answer(status_code=429, retry_after_seconds=3600), now=now)
    endpoint.refresh_from_db()
    assert endpoint.paused_until == now + timedelta(hours=1)
    Endpoint.objects.update(paused_until=None)
    Delivery.objects.update(due_at=now)
    answered(Answer(status_code=503, retry_after_seconds=9e9), now=now)
    endpoint.refresh_from_db()
    assert endpoint.paused_until == now + timedelta(days=1)


def test_each_failure_doubles_the_pause_up_to_five_minutes_and_a_success_ends_it(endpoint: Endpoint) -> None:
    pauses = []
    now = timezone.now()
    for _ in range(9):
        tell(endpoint.organization)
        assert answered(UNAVAILABLE, now=now + timedelta(seconds=1)) == 1
        endpoint.refresh_from_db()
        assert endpoint.paused_until is not None
        pauses.append((endpoint.paused_until - now).total_seconds() - 1)
        put_aside()
        now = endpoint.paused_until
    for number, pause in enumerate(pauses):
        assert 0.8 * min(300, 5 * 2**number) <= pause <= 1.2 * min(300, 5 * 2**number)
    tell(endpoint.organization)
    answered(TAKEN, now=now + timedelta(seconds=1))
    endpoint.refresh_from_db()
    assert (endpoint.failing_since, endpoint.consecutive_failures, endpoint.paused_until) == (None, 0, None)


def test_who_asks_by_hand_is_not_kept_waiting_by_a_pause(acme: Organization, receiver: Receiver) -> None:
    endpoint, _ = create_endpoint(organization=acme, mode=Mode.LIVE, url=receiver.url)
    (event,) = tell(acme)
    Endpoint.objects.update(paused_until=timezone.now() + timedelta(hours=1), failing_since=timezone.now())
    assert delivery.deliver_due() == 0
    assert redeliver(delivery=event.deliveries.get(), actor="usr_1", now=timezone.now())
    assert delivery.deliver_due() == 1
    assert event.deliveries.get().state == State.DELIVERED
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None


# --- how it is judged ----------------------------------------------------------------------------------------------


def test_what_goes_on_working_is_not_written(endpoint: Endpoint) -> None:
    before = row_version(endpoint)
    tell(endpoint.organization)
    answered(TAKEN, now=timezone.now())
    assert row_version(endpoint) == before


def test_failing_since_is_when_the_first_failed_after_the_last_that_was_taken(endpoint: Endpoint) -> None:
    tell(endpoint.organization, 4)
    now = timezone.now()
    claims = claimed(now)
    delivery.record(list(zip(claims, [UNAVAILABLE, TAKEN, UNAVAILABLE, UNAVAILABLE], strict=True)), now=now)
    endpoint.refresh_from_db()
    assert (endpoint.consecutive_failures, endpoint.failing_since) == (2, now)
    put_aside()
    tell(endpoint.organization)
    assert answered(UNAVAILABLE, now=now + timedelta(minutes=10)) == 1
    endpoint.refresh_from_db()
    assert (endpoint.consecutive_failures, endpoint.failing_since) == (3, now)


def test_neither_a_failed_test_nor_a_lost_secret_speaks_against_an_endpoint(endpoint: Endpoint) -> None:
    send_test(endpoint=endpoint, actor="usr_1", now=timezone.now())
    assert answered(UNAVAILABLE, now=timezone.now()) == 1
    tell(endpoint.organization)
    assert answered(Answer(error="no_secret"), now=timezone.now()) == 1
    endpoint.refresh_from_db()
    assert (endpoint.failing_since, endpoint.paused_until) == (None, None)


def test_a_test_is_sent_once(endpoint: Endpoint) -> None:
    sent = send_test(endpoint=endpoint, actor="usr_1", now=timezone.now())
    answered(UNAVAILABLE, now=timezone.now())
    sent.refresh_from_db()
    assert sent.state == State.EXHAUSTED
    assert [attempt.trigger for attempt in sent.attempts.all()] == ["test"]
    body = json.loads(sent.event.body)
    assert (body["event"], body["endpoint_id"], body["event_id"]) == ("webhook.test", endpoint.pk, sent.event_id)


def test_a_test_ends_a_pause(endpoint: Endpoint) -> None:
    Endpoint.objects.update(paused_until=timezone.now() + timedelta(hours=1))
    send_test(endpoint=endpoint, actor="usr_1", now=timezone.now())
    assert [claim.event_type for claim in claimed()] == ["webhook.test"]


def test_a_test_whose_worker_died_is_not_sent_again(endpoint: Endpoint) -> None:
    sent = send_test(endpoint=endpoint, actor="usr_1", now=timezone.now())
    assert len(claimed()) == 1
    assert claimed(timezone.now() + timedelta(minutes=1)) == []
    sent.refresh_from_db()
    assert (sent.state, sent.attempts.get().error) == (State.EXHAUSTED, "worker_lost")


def test_the_figures_of_an_endpoint(endpoint: Endpoint) -> None:
    assert health.health_of([endpoint], now=timezone.now())[endpoint.pk] == health.UNKNOWN
    now = timezone.now()
    (event,) = tell(endpoint.organization)
    row = event.deliveries.get()
    for number in range(100):
        Attempt.objects.create(
            delivery=row,
            endpoint=endpoint,
            number=number + 1,
            at=now - timedelta(minutes=number),
            status_code=200 if number < 90 else 500,
            duration_ms=number + 1,
            response="",
        )
    Attempt.objects.create(delivery=row, endpoint=endpoint, number=200, at=now - timedelta(hours=25), duration_ms=9999)
    Attempt.objects.create(delivery=row, endpoint=endpoint, number=201, at=now)
    Endpoint.objects.update(paused_until=now + timedelta(minutes=3))
    endpoint.refresh_from_db()
    figures = health.health_of([endpoint], now=now)[endpoint.pk]
    assert (figures.attempts, figures.succeeded, figures.success_rate) == (100, 90, 0.9)
    assert (figures.p50_ms, figures.p95_ms) == (50, 95)
    assert (figures.pending, figures.next_attempt_at) == (1, endpoint.paused_until)


# --- one does not delay another ------------------------------------------------------------------------------------


def test_what_failed_before_takes_a_part_of_the_places_only() -> None:
    for number in range(40):
        organization = Organization.objects.create(name=f"Dead {number}")
        Endpoint.objects.filter(pk=endpoint_of(organization).pk).update(failing_since=timezone.now())
        tell(organization, 3)
    healthy = Organization.objects.create(name="Healthy")
    endpoint_of(healthy)
    claims = claimed()
    assert len(claims) == delivery.IN_FLIGHT_OF_SUSPECTS
    assert claimed() == []
    tell(healthy)
    assert [claim.trigger for claim in claimed()] == ["auto"]


def test_many_that_hang_at_once_with_much_that_waits_leave_places_for_others() -> None:
    dead = [Organization.objects.create(name=f"Hangs {number}") for number in range(40)]
    for organization in dead:
        endpoint_of(organization)
        tell(organization, 10)
    everywhere = delivery.IN_FLIGHT_ALWAYS * len(dead) + delivery.IN_FLIGHT_BEYOND
    claims = [*claimed(), *claimed()]
    assert len(claims) == everywhere < delivery.WIDTH
    assert len({claim.endpoint_id for claim in claims}) == len(dead)
    healthy = Organization.objects.create(name="Healthy")
    endpoint_of(healthy)
    tell(healthy, 10)
    assert len(claimed()) == delivery.IN_FLIGHT_ALWAYS


def test_an_address_of_a_batch_that_failed_before_is_as_suspect(acme: Organization) -> None:
    for number in range(40):
        tell(Organization.objects.create(name=f"Dead {number}"), extra_url="https://example.com/dead")
    now = timezone.now()
    assert answered(Answer(error="timeout"), now=now) == 40
    assert len(claimed(now + timedelta(seconds=10))) == delivery.IN_FLIGHT_OF_SUSPECTS


def test_an_organization_with_a_thousand_addresses_has_its_share_and_others_come_first(acme: Organization) -> None:
    for number in range(2 * delivery.IN_FLIGHT_PER_ORGANIZATION):
        tell(acme, extra_url=f"https://example.com/{number}")
    other = Organization.objects.create(name="Other")
    endpoint_of(other)
    tell(other, 2)
    first = claimed(count=4)
    assert sum(claim.endpoint_id is not None for claim in first) == 2
    assert len(first) + len(claimed()) == delivery.IN_FLIGHT_PER_ORGANIZATION + 2


def test_two_organizations_at_one_address_wait_for_each_other_not() -> None:
    for name in ("One", "Two"):
        tell(
            Organization.objects.create(name=name),
            2 * delivery.IN_FLIGHT_PER_LANE,
            extra_url="https://example.com/shared",
        )
    assert len(claimed()) == 2 * delivery.IN_FLIGHT_PER_LANE


# --- warnings and the end ------------------------------------------------------------------------------------------


def test_it_is_warned_of_twice_and_then_disabled(endpoint: Endpoint) -> None:
    fails_since(endpoint, NOW, given_up=2)
    assert health.judge(now=NOW + timedelta(hours=23)) == 0
    assert kinds() == []
    for _ in range(2):
        health.judge(now=NOW + timedelta(hours=25))
    assert kinds() == ["failing"]
    for _ in range(2):
        health.judge(now=NOW + timedelta(days=4))
    assert kinds() == ["failing", "about to be disabled"]
    assert health.judge(now=NOW + timedelta(days=5)) == 1
    assert health.judge(now=NOW + timedelta(days=6)) == 0
    assert kinds() == ["failing", "about to be disabled", "disabled"]
    endpoint.refresh_from_db()
    assert not endpoint.enabled
    assert endpoint.disabled_reason == "nothing sent to it arrived since 2026-11-27 12:00 UTC"
    assert AuditEvent.objects.get(action="webhook_endpoint.disable").subject == endpoint.pk
    (event,) = tell(endpoint.organization)
    skipped = event.deliveries.get()
    assert (skipped.state, skipped.skipped_reason) == (State.SKIPPED, endpoint.disabled_reason)


def test_with_one_event_given_up_it_goes_on(endpoint: Endpoint) -> None:
    fails_since(endpoint, NOW, given_up=1)
    assert health.judge(now=NOW + timedelta(days=30)) == 0
    endpoint.refresh_from_db()
    assert endpoint.enabled


def test_events_given_up_before_it_last_worked_do_not_count(endpoint: Endpoint) -> None:
    fails_since(endpoint, NOW, given_up=2)
    Endpoint.objects.update(failing_since=NOW + timedelta(days=1))
    assert health.judge(now=NOW + timedelta(days=7)) == 0


def test_one_that_works_is_left_alone_and_a_new_spell_is_told_anew(endpoint: Endpoint) -> None:
    fails_since(endpoint, NOW)
    health.judge(now=NOW + timedelta(days=2))
    Endpoint.objects.update(failing_since=None)
    health.judge(now=NOW + timedelta(days=3))
    assert kinds() == ["failing"]
    fails_since(endpoint, NOW + timedelta(days=10))
    health.judge(now=NOW + timedelta(days=12))
    assert kinds() == ["failing", "failing"]


def test_410_is_told_as_well(endpoint: Endpoint) -> None:
    tell(endpoint.organization)
    answered(Answer(status_code=410), now=timezone.now())
    health.judge(now=timezone.now())
    (notice,) = Notice.objects.all()
    assert notice.kind == "disabled"
    assert "the receiver answered 410 Gone" in notice.body
    health.judge(now=timezone.now())
    change_endpoint(endpoint=endpoint, actor="usr_1", enabled=True)
    tell(endpoint.organization)
    answered(Answer(status_code=410), now=timezone.now())
    health.judge(now=timezone.now())
    assert kinds() == ["disabled", "disabled"]


def test_what_a_person_switches_off_is_told_nobody(endpoint: Endpoint) -> None:
    fails_since(endpoint, NOW)
    change_endpoint(endpoint=endpoint, actor="usr_1", enabled=False)
    health.judge(now=NOW + timedelta(days=9))
    other = endpoint_of(endpoint.organization, "other")
    fails_since(other, NOW)
    delete_endpoint(endpoint=other, actor="usr_1", now=NOW)
    health.judge(now=NOW + timedelta(days=9))
    assert kinds() == []


def test_the_mail_says_what_happened_what_it_means_and_what_to_do(endpoint: Endpoint) -> None:
    acme = endpoint.organization
    for role in (Membership.Role.DEVELOPER, Membership.Role.FINANCE):
        user = User.objects.create_user(username=role, email=f"{role.split()[-1]}@acme.example")
        Membership.objects.create(user=user, organization=acme, role=role)
    fails_since(endpoint, NOW, given_up=1)
    tell(acme, 2)
    health.judge(now=NOW + timedelta(days=1))
    assert send_due(Notice, now=NOW + timedelta(days=1)) == 1
    assert send_due(Notice, now=NOW + timedelta(days=2)) == 0
    (sent,) = mail.outbox
    assert sent.to == ["it@acme.example", "developer@acme.example"]
    assert sent.subject == "Your webhook endpoint is failing: Acme"
    text = " ".join(str(sent.body).split())
    assert "Nothing that we sent has arrived since 2026-11-27 12:00 UTC." in text
    assert "2 messages wait for the next attempt, 1 was given up." in text
    assert "the endpoint is disabled on 2026-12-02 12:00 UTC" in text
    assert endpoint.url in text
    assert f"/admin/webhooks/endpoints/{endpoint.pk}" in text


def test_who_is_named_for_technical_matters_is_mailed_and_nobody_else(endpoint: Endpoint) -> None:
    Organization.objects.update(technical_emails=["ops@acme.example", "oncall@acme.example"])
    fails_since(endpoint, NOW)
    health.judge(now=NOW + timedelta(days=1))
    assert Notice.objects.get().recipients == ["ops@acme.example", "oncall@acme.example"]


@pytest.mark.owner
def test_without_a_contact_our_support_is_told(endpoint: Endpoint, settings: Settings) -> None:
    Organization.objects.update(contact_email="")
    settings.SUPPORT_EMAIL = "help@sora2.example"
    fails_since(endpoint, NOW)
    endpoint.refresh_from_db()
    health.judge(now=NOW + timedelta(days=1))
    assert Notice.objects.get().recipients == ["help@sora2.example"]


def test_a_mail_that_cannot_be_sent_waits_and_keeps_no_other(endpoint: Endpoint, monkeypatch: Any) -> None:
    fails_since(endpoint, NOW)
    other = endpoint_of(endpoint.organization, "other")
    fails_since(other, NOW)
    health.judge(now=NOW + timedelta(days=1))
    send = EmailMessage.send

    def broken(message: Any) -> int:
        if endpoint.url in message.body:
            raise OSError("no mail server")
        return send(message)

    monkeypatch.setattr(EmailMessage, "send", broken)
    now = NOW + timedelta(days=1)
    assert send_due(Notice, now=now) == 1
    assert oldest_unsent(Notice) == now
    monkeypatch.undo()
    assert send_due(Notice, now=now + timedelta(minutes=1)) == 0
    assert send_due(Notice, now=now + timedelta(minutes=10)) == 1
    assert oldest_unsent(Notice) is None
    assert len(mail.outbox) == 2


# --- changes -------------------------------------------------------------------------------------------------------


def test_switching_off_skips_what_waits_and_switching_on_sends_what_comes(endpoint: Endpoint) -> None:
    (event,) = tell(endpoint.organization)
    Delivery.objects.update(due_at=timezone.now() + timedelta(hours=5))
    change_endpoint(endpoint=endpoint, actor="usr_1", enabled=False)
    assert delivery.skip_disabled(now=timezone.now()) == 1
    row = event.deliveries.get()
    assert (row.state, row.skipped_reason) == (State.SKIPPED, "the endpoint was switched off")
    with pytest.raises(EndpointDisabled):
        redeliver(delivery=row, actor="usr_1", now=timezone.now())
    change_endpoint(endpoint=endpoint, actor="usr_1", enabled=True)
    assert claimed() == []
    redeliver(delivery=row, actor="usr_1", now=timezone.now())
    (claim,) = claimed()
    assert (claim.event_id, claim.trigger) == (event.pk, "manual")


def test_deliveries_follow_the_address(endpoint: Endpoint) -> None:
    (event,) = tell(endpoint.organization, extra_url="https://example.com/new")
    change_endpoint(endpoint=endpoint, actor="usr_1", url="https://example.com/new")
    assert sorted(claim.url for claim in claimed()) == ["https://example.com/new"] * 2
    assert sorted(event.deliveries.values_list("url", flat=True)) == ["https://example.com/new"] * 2
    audited = AuditEvent.objects.get(action="webhook_endpoint.change")
    assert audited.detail == {"old": {"url": "https://example.com/hook"}, "new": {"url": "https://example.com/new"}}


def test_a_deleted_endpoint_gets_nothing_and_its_address_is_free(endpoint: Endpoint) -> None:
    (before,) = tell(endpoint.organization)
    delete_endpoint(endpoint=endpoint, actor="usr_1", now=timezone.now())
    assert claimed() == []
    delivery.skip_disabled(now=timezone.now())
    assert before.deliveries.get().skipped_reason == "the endpoint was deleted"
    again = endpoint_of(endpoint.organization)
    (after,) = tell(endpoint.organization)
    assert after.deliveries.get().endpoint_id == again.pk
    with pytest.raises(Endpoint.DoesNotExist):
        delete_endpoint(endpoint=endpoint, actor="usr_1", now=timezone.now())


def row_version(endpoint: Endpoint) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT xmin::text, ctid::text FROM webhooks_endpoint WHERE id = %s", [endpoint.pk])
        return str(cursor.fetchone())
