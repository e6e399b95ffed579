"""The pilot's three criteria: what meets each, what does not, and what the API says of them."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from batches.failures import FailureType
from batches.models import Batch
from batches.signing_off import sign_off, signer_of
from batches.stopping import cancel
from customers.models import AuditEvent, User
from customers.services import create_staff
from pilots.boundary import BOUNDARY
from pilots.criteria import OF_PEOPLE, Judgement, judge, judge_all
from pilots.models import Pilot
from pilots.pilot_acts import PilotRefused, close_pilot, move_start, record_failure, withdraw_failure
from pilots.services import PilotOrder, Provisioned, provision_pilot
from sora2.ids import is_id, least_id_at, new_id
from sora2.times import timestamp
from tests.factories import Api, code_of, end_batch, make_account, make_batch, sign
from tests.sora2.documents import DOCS
from tests.sora2.test_openapi import check
from webhooks.endpoints import change_endpoint, send_test
from webhooks.models import Attempt, Delivery, Endpoint, EventType, Sink

pytestmark = pytest.mark.django_db

HOOK = "https://customer.example.com/hook?token=SECRET"


@pytest.fixture
def provisioned(settings: Settings) -> Provisioned:
    settings.PUBLIC_BASE_URL = "https://sora2.example.com"
    order = PilotOrder(name="Acme", credits=1000, webhook_url=HOOK, rate_limit=1000)
    return provision_pilot(order=order, actor="usr_x", now=timezone.now())


@pytest.fixture
def api(provisioned: Provisioned) -> Api:
    return Api(provisioned.api_key)


def judged(provisioned: Provisioned, *, after: timedelta = timedelta(0)) -> Judgement:
    return judge(pilot=Pilot.objects.get(pk=provisioned.pilot.pk), now=timezone.now() + after)


def met(provisioned: Provisioned) -> list[bool]:
    return [criterion.is_met for criterion in judged(provisioned).criteria]


def answer(batch: Batch, status_code: int = 200, *, number: int = 1, **more: Any) -> Attempt:
    """Record how the first address that was told of a batch's end answered."""
    delivery = Delivery.objects.about(batch.pk).filter(event__type=EventType.BATCH_COMPLETED).order_by("pk")[0]
    given = {"at": timezone.now(), "duration_ms": 100, **more}
    return Attempt.objects.create(delivery=delivery, number=number, status_code=status_code, **given)


def test_a_new_pilot_has_met_nothing_and_is_told_what_to_do(provisioned: Provisioned, api: Api) -> None:
    found = judged(provisioned)
    assert ([c.is_met for c in found.criteria], found.status) == ([False, False, False], "running")
    assert found.next == "Run a live batch to its end: POST /video-batch with a live key."
    make_batch(api)
    assert judged(provisioned).next.startswith("Wait for the end of your live batch")


def test_the_way_to_success(provisioned: Provisioned, api: Api) -> None:
    batch = end_batch(make_batch(api, 2), failed={0: FailureType.TIMEOUT})
    assert met(provisioned) == [True, False, False]
    assert judged(provisioned).next.startswith("Take batch.completed at your own endpoint with a 2xx")
    attempt = answer(batch)
    assert met(provisioned) == [True, True, False]
    assert judged(provisioned).next.startswith("Have your finance sign off a live batch")
    sign(batch)
    found = judged(provisioned)
    assert (met(provisioned), found.status) == ([True, True, True], "succeeded")
    assert found.next == "All three criteria are met: go through the review with your contact."
    ran, received, signed = found.criteria
    assert (ran.evidence, ran.met_at) == (batch, batch.finished_at)
    assert (received.evidence, received.met_at) == (attempt, attempt.ended_at)
    assert signed.evidence == batch.sign_offs.get()


def test_a_batch_counts_however_its_items_ended(provisioned: Provisioned, api: Api) -> None:
    end_batch(make_batch(api, 2), failed={0: FailureType.TIMEOUT, 1: FailureType.CONTENT_REFUSED})
    assert met(provisioned)[0]


def test_what_runs_and_what_was_canceled_is_no_batch_run_to_its_end(provisioned: Provisioned, api: Api) -> None:
    make_batch(api, request_id="open")
    canceled = make_batch(api, request_id="canceled")
    cancel(batch=canceled, actor="key_x", now=timezone.now())
    assert Batch.objects.get(pk=canceled.pk).is_final
    assert met(provisioned) == [False, False, False]


def test_test_batches_never_count(provisioned: Provisioned) -> None:
    sandbox = Api(provisioned.test_api_key)
    sandbox.post("/webhook-endpoints", {"url": HOOK})
    batch = end_batch(make_batch(sandbox))
    answer(batch)
    sign(batch)
    assert met(provisioned) == [False, False, False]


def test_another_customers_records_are_not_evidence(provisioned: Provisioned) -> None:
    other = make_account()
    other.api.post("/webhook-endpoints", {"url": HOOK})
    batch = end_batch(make_batch(other.api))
    answer(batch)
    sign(batch)
    assert met(provisioned) == [False, False, False]


@pytest.mark.owner
def test_what_came_before_the_activation_does_not_count(provisioned: Provisioned, api: Api) -> None:
    batch = end_batch(make_batch(api))
    answer(batch)
    sign(batch)
    Pilot.objects.filter(pk=provisioned.pilot.pk).update(activated_at=timezone.now())
    assert met(provisioned) == [False, False, False]


@pytest.mark.parametrize(
    "refused",
    [
        {"status_code": 500},
        {"status_code": 302},
        {"status_code": 200, "error": "invalid_response"},
        {"status_code": None, "error": "timeout"},
        {"status_code": None, "duration_ms": None},
    ],
)
def test_only_a_whole_2xx_is_a_receipt(provisioned: Provisioned, api: Api, refused: dict[str, Any]) -> None:
    batch = end_batch(make_batch(api))
    answer(batch, **refused)
    assert not met(provisioned)[1]
    answer(batch, 204, number=2, trigger="manual")
    assert met(provisioned)[1]


def test_another_event_is_not_the_one_that_counts(provisioned: Provisioned) -> None:
    endpoint = Endpoint.objects.get(pk=provisioned.webhook_endpoint_id)
    test = send_test(endpoint=endpoint, actor="usr_x", now=timezone.now())
    Attempt.objects.create(delivery=test, number=1, at=timezone.now(), status_code=200, duration_ms=1)
    assert not met(provisioned)[1]


class TestSinks:
    """An internal test endpoint of ours is nobody's own."""

    @pytest.fixture
    def provisioned(self, settings: Settings) -> Provisioned:
        settings.PUBLIC_BASE_URL = "https://sora2.example.com"
        return provision_pilot(
            order=PilotOrder(name="Acme", credits=1000, sink=True, rate_limit=1000), actor="usr_x", now=timezone.now()
        )

    def test_what_our_sink_takes_does_not_count(self, provisioned: Provisioned, api: Api) -> None:
        answer(end_batch(make_batch(api)))
        found = judged(provisioned)
        assert [criterion.is_met for criterion in found.criteria] == [True, False, False]
        assert found.next.startswith("Give us your own HTTPS endpoint")

    @pytest.mark.parametrize("host", ["https://SORA2.example.com:443", "https://old-name.example.org"])
    def test_nor_under_another_name_of_our_host(self, provisioned: Provisioned, api: Api, host: str) -> None:
        token = Sink.objects.get().token
        batch = end_batch(make_batch(api, webhook_url=f"{host}/webhook-sink/{token}"))
        own = Delivery.objects.about(batch.pk).get(endpoint=None)
        Attempt.objects.create(delivery=own, number=1, at=timezone.now(), status_code=200, duration_ms=1)
        assert not met(provisioned)[1]

    def test_nor_what_an_endpoint_took_while_it_stood_at_the_address_of_a_sink(
        self, provisioned: Provisioned, api: Api
    ) -> None:
        Endpoint.objects.filter(pk=provisioned.webhook_endpoint_id).update(enabled=False)
        url = f"https://sora2.example.com/webhook-sink/{Sink.objects.get().token}?mine"
        assert api.post("/webhook-endpoints", {"url": url}).status_code == 201
        endpoint = Endpoint.objects.get(url=url)
        batch = end_batch(make_batch(api))
        own = Delivery.objects.about(batch.pk).get(endpoint=endpoint)
        taken = {"delivery": own, "endpoint": endpoint, "status_code": 200, "duration_ms": 1}
        Attempt.objects.create(**taken, number=1, at=timezone.now())
        change_endpoint(endpoint=endpoint, actor="usr_x", url=HOOK)
        Delivery.objects.filter(pk=own.pk).update(url=HOOK)  # As a worker does that sends it again.
        assert not met(provisioned)[1]
        Attempt.objects.create(**taken, number=2, at=timezone.now())
        assert met(provisioned)[1]

    @pytest.mark.parametrize("host", ["sora2.example.com", "old-name.example.org"])
    def test_nor_can_its_address_be_written_so_that_it_looks_like_another(self, api: Api, host: str) -> None:
        token = Sink.objects.get().token
        escaped = f"%{ord(token[0]):02x}{token[1:]}"
        for path in (f"/webhook-sink/{escaped}", f"/webhook-sink%2F{token}", f"/webhook%2dsink/{token}"):
            refused = api.post("/webhook-endpoints", {"url": f"https://{host}{path}"})
            assert (refused.status_code, "as its page shows it" in refused.content.decode()) == (422, True)

    def test_an_address_of_their_own_beside_the_sink_counts(self, provisioned: Provisioned, api: Api) -> None:
        batch = end_batch(make_batch(api, webhook_url="https://customer.example.com/webhook-sink/theirs"))
        answer(batch)
        own = Delivery.objects.about(batch.pk).get(endpoint=None)
        Attempt.objects.create(delivery=own, number=1, at=timezone.now(), status_code=200, duration_ms=1)
        received = judged(provisioned).criteria[1].evidence
        assert isinstance(received, Attempt)
        assert received.delivery_id == own.pk

    def test_an_endpoint_that_moved_away_from_the_sink_counts(self, provisioned: Provisioned, api: Api) -> None:
        endpoint = Endpoint.objects.get(pk=provisioned.webhook_endpoint_id)
        change_endpoint(endpoint=endpoint, actor="usr_x", url=HOOK)
        answer(end_batch(make_batch(api)))
        assert met(provisioned)[1]

    def test_what_the_sink_took_before_the_endpoint_moved_does_not_count(
        self, provisioned: Provisioned, api: Api
    ) -> None:
        batch = end_batch(make_batch(api))
        answer(batch, at=timezone.now() - timedelta(seconds=5))
        endpoint = Endpoint.objects.get(pk=provisioned.webhook_endpoint_id)
        change_endpoint(endpoint=endpoint, actor="usr_x", url=HOOK)
        Delivery.objects.about(batch.pk).update(url=HOOK)  # As a worker does that sends it again.
        answer(batch, 500, number=2)
        assert not met(provisioned)[1]
        answer(batch, 200, number=3)
        assert met(provisioned)[1]


# --- the clock -----------------------------------------------------------------------------------------------------


def test_the_deadline_ends_a_pilot_that_has_not_met_all(provisioned: Provisioned, api: Api) -> None:
    end_batch(make_batch(api))
    late = judged(provisioned, after=timedelta(hours=49))
    assert late.status == "expired"
    assert late.next.startswith("The deadline has passed: agree with your contact how to go on. Take batch.completed")


def test_a_success_stays_a_success_after_the_deadline(provisioned: Provisioned, api: Api) -> None:
    batch = end_batch(make_batch(api))
    answer(batch)
    sign(batch)
    assert judged(provisioned, after=timedelta(days=400)).status == "succeeded"


@pytest.mark.owner
def test_what_is_met_after_the_deadline_is_said_and_changes_no_verdict(provisioned: Provisioned, api: Api) -> None:
    now = timezone.now()
    Pilot.objects.filter(pk=provisioned.pilot.pk).update(
        activated_at=now - timedelta(hours=50), deadline=now - timedelta(hours=2)
    )
    batch = end_batch(make_batch(api))
    answer(batch)
    sign(batch)
    found = judged(provisioned)
    assert ([c.is_met for c in found.criteria], found.status) == ([True, True, True], "failed")
    assert "but not before the deadline" in found.next


def test_the_earliest_receipt_counts_also_of_a_later_batch(provisioned: Provisioned, api: Api) -> None:
    first, second = (end_batch(make_batch(api, request_id=name)) for name in ("first", "second"))
    answer(first, at=timezone.now() + timedelta(hours=60))
    taken = answer(second)
    assert judged(provisioned).criteria[1].evidence == taken


@pytest.mark.owner
def test_what_is_met_at_the_very_deadline_is_in_time_and_a_moment_later_is_late(
    provisioned: Provisioned, api: Api
) -> None:
    batch = end_batch(make_batch(api))
    answer(batch, duration_ms=0)
    sign(batch)
    last = max(each.met_at for each in judged(provisioned).criteria if each.met_at)
    for deadline, status in ((last, "succeeded"), (last - timedelta(microseconds=1), "expired")):
        Pilot.objects.filter(pk=provisioned.pilot.pk).update(deadline=deadline)
        found = judged(provisioned, after=timedelta(hours=1))
        assert (found.status, all(each.in_time for each in found.criteria)) == (status, status == "succeeded")
    assert batch.finished_at is not None
    for deadline, status in ((batch.finished_at, "expired"), (batch.finished_at - timedelta(microseconds=1), "failed")):
        Pilot.objects.filter(pk=provisioned.pilot.pk).update(deadline=deadline)
        found = judged(provisioned, after=timedelta(hours=1))
        assert (found.status, found.criteria[0].in_time) == (status, status == "expired")


def test_ids_made_from_a_moment_on_come_after_its_bound() -> None:
    before, now = new_id("bat"), timezone.now()
    bound = least_id_at("bat", now + timedelta(milliseconds=1))
    assert is_id(bound, "bat")
    assert before < bound < least_id_at("bat", now + timedelta(milliseconds=3))
    assert least_id_at("bat", now - timedelta(milliseconds=5)) < new_id("bat")


# --- failure -------------------------------------------------------------------------------------------------------


def states(found: Judgement) -> list[str]:
    return [failure.state.value for failure in found.failures]


@pytest.fixture
def sales() -> User:
    return create_staff(username="cleo", role="sales ops")[0]


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


# --- how to help ---------------------------------------------------------------------------------------------------


def test_our_people_are_told_what_is_missing_and_how_to_help(provisioned: Provisioned, api: Api) -> None:
    def helped(*, after: int = 0) -> str:
        return judged(provisioned, after=timedelta(hours=after)).help

    endpoint = Endpoint.objects.get(pk=provisioned.webhook_endpoint_id)
    assert helped().startswith("They have not ordered a live batch yet.")
    batch = make_batch(api)
    assert helped() == ("Their batch order-1 is not over yet. Wait for it; if it stays open, look at its items.")
    cancel(batch=batch, actor="key_x", now=timezone.now())
    assert helped().startswith("Their batch order-1 was canceled, and does not count.")
    batch = end_batch(make_batch(api, request_id="order-2"))
    assert helped().startswith("Their endpoint is there, and took no batch.completed yet.")
    answer(batch, 500, error="invalid_response")
    assert helped().startswith(
        "https://customer.example.com did not take batch.completed: HTTP 500 (invalid response). Send their engineer"
    )
    assert "SECRET" not in helped()
    Attempt.objects.all().delete()
    change_endpoint(endpoint=endpoint, actor="usr_x", enabled=False)
    assert helped().startswith("They have no live endpoint of their own that is switched on")
    answer(batch)
    assert helped().startswith("Nobody of theirs who may sign off has ever signed in.")
    User.objects.filter(username=provisioned.username).update(last_login=timezone.now())
    assert helped().startswith("They can sign in, and have not signed off.")
    assert helped(after=49).startswith("The time is over: agree how to go on")
    sign(batch)
    assert helped().startswith("All three are met in time. Send the confirmation")


def test_many_pilots_are_judged_alike_with_as_many_queries_as_one(provisioned: Provisioned, api: Api) -> None:
    now = timezone.now()
    batch = end_batch(make_batch(api))
    answer(batch)
    for number in range(4):
        order = PilotOrder(name=f"Other {number}", credits=9)
        provision_pilot(order=order, actor="usr_x", now=now - timedelta(hours=49 * number))
    pilots = list(Pilot.objects.order_by("pk"))
    with CaptureQueriesContext(connection) as one:
        alone = judge(pilot=provisioned.pilot, now=now)
    with CaptureQueriesContext(connection) as many:
        found = judge_all(pilots, now=now)
    assert len(one) == len(many) <= 5
    assert found == [judge(pilot=pilot, now=now) for pilot in pilots]
    assert [each.status for each in found] == ["running", "running", "failed", "failed", "failed"]
    assert alone == found[0]


# --- over HTTP -----------------------------------------------------------------------------------------------------


def test_the_pilot_over_http(provisioned: Provisioned, api: Api) -> None:
    batch = end_batch(make_batch(api, 10), failed={3: FailureType.TIMEOUT})
    attempt = answer(batch)
    sign(batch)
    response = api.get("/pilot")
    check(response)
    found = response.json()
    assert (found["pilot_id"], found["status"]) == (provisioned.pilot.pk, "succeeded")
    ran, received, signed = (criterion["evidence"] for criterion in found["criteria"])
    assert (ran["batch_id"], ran["state"], ran["request_id"]) == (batch.pk, "partial", "order-1")
    assert (received["delivery_id"], received["status_code"]) == (attempt.delivery_id, 200)
    assert (received["batch_id"], received["host"]) == (batch.pk, "https://customer.example.com")
    assert signed["ledger"] == {"reserved": 100, "settled": 90, "refunded": 10}
    assert (signed["side"], signed["role"]) == ("customer", "customer finance")
    assert [criterion["in_time"] for criterion in found["criteria"]] == [True, True, True]
    assert found["boundary"].split("\n") == [
        "This pilot runs on a best-effort basis with prepaid credits.",
        "Failed items are automatically refunded.",
        "No SLA is included at this stage.",
    ]
    assert "SECRET" not in response.content.decode()


def test_failures_and_steps_over_http_without_what_our_people_wrote(
    provisioned: Provisioned, api: Api, sales: User
) -> None:
    batch = end_batch(make_batch(api))
    now, activated = timezone.now(), provisioned.pilot.activated_at
    record_failure(pilot=provisioned.pilot, condition=2, note="Our words of them", by=sales, now=now)
    response = api.get("/pilot")
    check(response)
    found = response.json()
    assert (found["status"], [each["holds"] for each in found["failures"]]) == ("failed", [False, True, False, False])
    assert found["failures"][1] == {
        "number": 2,
        "name": "The webhook did not arrive, or was misunderstood",
        "holds": True,
        "recorded_at": timestamp(now),
    }
    names = ["batch_accepted", "batch_ended", "webhook_received", "signed_off"]
    assert [step["name"] for step in found["steps"]] == names
    took = int((batch.created_at - activated).total_seconds())
    assert found["steps"][0] == {"name": names[0], "at": timestamp(batch.created_at), "seconds": took}
    assert found["steps"][3] == {"name": names[3], "at": None, "seconds": None}
    assert not re.search(r"Our words|cleo|usr_", response.content.decode())


def test_a_pilot_that_has_met_nothing_is_as_documented(provisioned: Provisioned, api: Api) -> None:
    response = api.get("/pilot")
    check(response)
    assert [criterion["evidence"] for criterion in response.json()["criteria"]] == [None, None, None]


def test_a_test_key_sees_the_same_pilot_without_live_records(provisioned: Provisioned, api: Api) -> None:
    batch = end_batch(make_batch(api))
    answer(batch)
    sandbox = Api(provisioned.test_api_key).get("/pilot")
    check(sandbox)
    live = api.get("/pilot").json()
    assert [criterion["met"] for criterion in sandbox.json()["criteria"]] == [True, True, False]
    assert sandbox.json() == {**live, "criteria": [{**each, "evidence": None} for each in live["criteria"]]}
    assert batch.pk not in sandbox.content.decode()


def test_an_organization_without_a_pilot_has_none() -> None:
    for key in (make_account().api, make_account().test_api):
        response = key.get("/pilot")
        check(response)
        assert code_of(response) == (404, "not_found")


def test_a_sign_off_by_our_finance_counts_and_says_so(provisioned: Provisioned, api: Api) -> None:
    batch = end_batch(make_batch(api))
    user, _ = create_staff(username="jane", role="finance")
    signer = signer_of(user, batch)
    assert signer is not None
    sign_off(batch=batch, signer=signer, note="Their CFO by phone", now=timezone.now())
    response = api.get("/pilot")
    signed = response.json()["criteria"][2]["evidence"]
    assert (signed["side"], signed["role"], signed["signed_by"]) == ("staff", "finance", user.pk)
    assert "phone" not in response.content.decode()
    assert "jane" not in response.content.decode()


def test_it_costs_as_many_queries_whatever_there_is(provisioned: Provisioned, api: Api) -> None:
    batch = end_batch(make_batch(api))
    answer(batch)
    sign(batch)
    costs = []
    for number in range(2):
        with CaptureQueriesContext(connection) as captured:
            api.get("/pilot")
        costs.append(len(captured))
        for more in range(3):
            answer(end_batch(make_batch(api, request_id=f"more {number} {more}")))
    assert costs[0] == costs[1] <= 8


def test_the_papers_of_a_pilot_say_the_boundary_word_by_word() -> None:
    assert f"```\n{BOUNDARY}\n```" in (DOCS / "enterprise/pilot.md").read_text()
