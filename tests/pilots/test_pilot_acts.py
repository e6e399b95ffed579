"""A pilot fails by the clock or by people's word; its start is moved, and it is closed as it stands."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from batches.failures import FailureType
from batches.stopping import cancel
from customers.models import AuditEvent, User
from pilots.criteria import OF_PEOPLE, Judgement
from pilots.models import Pilot
from pilots.pilot_acts import PilotRefused, close_pilot, move_start, record_failure, withdraw_failure
from pilots.services import Provisioned
from tests.factories import Api, end_batch, make_batch, sign
from tests.pilots.scenes import answer, judged

pytestmark = pytest.mark.django_db

# --- failure -------------------------------------------------------------------------------------------------------


def states(found: Judgement) -> list[str]:
    return [failure.state.value for failure in found.failures]


def test_no_batch_by_the_deadline_is_a_failure_by_the_clock(provisioned: Provisioned, api: Api) -> None:
    assert states(judged(provisioned, after=timedelta(hours=47))) == ["not"] * 4
    late = judged(provisioned, after=timedelta(hours=49))
    assert (late.status, states(late)) == ("failed", ["by the clock", "not", "not", "not"])
    assert late.failures[0].at == provisioned.pilot.deadline
    assert late.next.startswith("The deadline has passed: agree with your contact how to go on. Run a live batch")
    cancel(batch=make_batch(api, request_id="canceled"), actor="key_x", now=timezone.now())
    assert judged(provisioned, after=timedelta(hours=49)).status == "failed"
    end_batch(make_batch(api), failed={0: FailureType.TIMEOUT})
    assert judged(provisioned, after=timedelta(hours=49)).status == "expired"


def test_what_lacks_after_the_deadline_is_suggested_and_people_decide(provisioned: Provisioned, api: Api) -> None:
    batch = end_batch(make_batch(api))
    assert states(judged(provisioned, after=timedelta(hours=47))) == ["not"] * 4
    late = judged(provisioned, after=timedelta(hours=49))
    assert (late.status, states(late)) == ("expired", ["not", "suggested", "suggested", "not"])
    answer(batch)
    assert states(judged(provisioned, after=timedelta(hours=49))) == ["not", "not", "suggested", "not"]


@pytest.mark.parametrize("condition", OF_PEOPLE)
def test_a_condition_that_people_record_is_a_failure_until_it_is_withdrawn(
    provisioned: Provisioned, api: Api, sales: User, condition: int
) -> None:
    end_batch(make_batch(api))
    now, pilot = timezone.now(), provisioned.pilot
    given: dict[str, Any] = {"pilot": pilot, "condition": condition, "note": "In the call", "by": sales, "now": now}
    assert record_failure(**given)
    assert not record_failure(**given)
    for after in (1, 49):
        found = judged(provisioned, after=timedelta(hours=after))
        assert (found.status, [each.number for each in found.holding]) == ("failed", [condition])
    [failure] = found.holding
    assert (failure.state, failure.at, failure.record and failure.record.note) == ("recorded", now, "In the call")
    record = pilot.failures.get()
    assert withdraw_failure(failure=record, reason="It was another system", by=sales, now=now)
    assert not withdraw_failure(failure=record, reason="Again", by=sales, now=now)
    found = judged(provisioned, after=timedelta(hours=49))
    assert (found.status, found.failures[condition - 1].state) == ("expired", "withdrawn")
    acts = AuditEvent.objects.filter(subject=pilot.pk, actor=sales.pk).order_by("pk")
    assert [(event.action, event.detail) for event in acts] == [
        ("pilot.record_failure", {"condition": condition, "note": "In the call"}),
        ("pilot.withdraw_failure", {"condition": condition, "reason": "It was another system"}),
    ]


def test_success_goes_before_what_people_recorded_and_that_stays_visible(
    provisioned: Provisioned, api: Api, sales: User
) -> None:
    record_failure(pilot=provisioned.pilot, condition=4, note="Before they read", by=sales, now=timezone.now())
    batch = end_batch(make_batch(api))
    answer(batch)
    sign(batch)
    found = judged(provisioned)
    assert (found.status, states(found)) == ("succeeded", ["not", "not", "not", "recorded"])


def test_nobody_records_what_the_clock_says_or_what_cannot_have_happened(provisioned: Provisioned, sales: User) -> None:
    pilot, now = provisioned.pilot, timezone.now()
    for condition, at in ((1, now), (2, now - timedelta(hours=1))):
        with pytest.raises(PilotRefused):
            record_failure(pilot=pilot, condition=condition, note="x", by=sales, now=at)
    assert not pilot.failures.exists()


# --- before it begins, and after it ends ---------------------------------------------------------------------------


@pytest.mark.owner
def test_a_start_can_be_moved_until_the_clock_has_begun(provisioned: Provisioned, api: Api, sales: User) -> None:
    now, pilot = timezone.now(), provisioned.pilot
    begins, later = now + timedelta(hours=5), now + timedelta(hours=9)
    Pilot.objects.filter(pk=pilot.pk).update(activated_at=begins, deadline=begins + timedelta(hours=48))
    end_batch(make_batch(api))
    found = judged(provisioned)
    assert (found.status, found.next) == (
        "scheduled",
        f"Your pilot starts at {begins:%Y-%m-%d %H:%M} UTC. Until then, try everything with your test key: it does not "
        "count.",
    )
    assert [step.took for step in found.steps] == [None] * 4
    with pytest.raises(PilotRefused, match="in the past"):
        move_start(pilot=pilot, at=now - timedelta(minutes=1), reason="x", by=sales, now=now)
    with pytest.raises(PilotRefused, match="within 90 days"):
        move_start(pilot=pilot, at=now + timedelta(days=91), reason="x", by=sales, now=now)
    moved: dict[str, Any] = {"pilot": pilot, "at": later, "reason": "Their engineer is away", "by": sales, "now": now}
    assert move_start(**moved)
    assert not move_start(**moved)
    pilot.refresh_from_db()
    assert (pilot.activated_at, pilot.deadline) == (later, later + timedelta(hours=48))
    assert judged(provisioned, after=timedelta(hours=9, seconds=1)).status == "running"
    with pytest.raises(PilotRefused, match="has begun"):
        move_start(**moved | {"at": later + timedelta(days=1), "now": later})


def test_a_pilot_is_closed_as_it_stands_and_stays_so(provisioned: Provisioned, api: Api, sales: User) -> None:
    pilot, now = provisioned.pilot, timezone.now()
    given: dict[str, Any] = {"pilot": pilot, "lesson": "The way in is too hard", "by": sales}
    record_failure(pilot=pilot, condition=4, note="In the call", by=sales, now=now)
    with pytest.raises(PilotRefused, match="while its clock runs"):
        close_pilot(**given, seen="failed", now=now)
    after = now + timedelta(hours=49)
    with pytest.raises(PilotRefused, match="otherwise by now: failed"):
        close_pilot(**given, seen="expired", now=after)
    assert close_pilot(**given, seen="failed", now=after)
    assert not close_pilot(**given, seen="failed", now=after)
    pilot.refresh_from_db()
    assert (pilot.outcome, pilot.lesson, pilot.closed_by) == ("failed", "The way in is too hard", sales)
    batch = end_batch(make_batch(api))
    answer(batch)
    sign(batch)
    found = judged(provisioned)
    assert (found.status, found.next) == ("failed", "The pilot is closed: your contact says how to go on.")
    with pytest.raises(PilotRefused, match="closed"):
        record_failure(pilot=pilot, condition=2, note="x", by=sales, now=after)
    with pytest.raises(PilotRefused, match="closed"):
        withdraw_failure(failure=pilot.failures.get(), reason="x", by=sales, now=after)
    assert AuditEvent.objects.filter(action="pilot.close", subject=pilot.pk).count() == 1
