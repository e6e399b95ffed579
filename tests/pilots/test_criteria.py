"""The pilot's three criteria: what meets each, and what does not, in time or not; what is missing, and how to help."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from batches.failures import FailureType
from batches.models import Batch
from batches.stopping import cancel
from customers.models import User
from pilots.criteria import judge, judge_all
from pilots.models import Pilot
from pilots.services import PilotOrder, Provisioned, provision_pilot
from sora2.ids import is_id, least_id_at, new_id
from tests.factories import Api, end_batch, make_account, make_batch, sign
from tests.pilots.scenes import HOOK, answer, judged, met
from webhooks.endpoints import change_endpoint, send_test
from webhooks.models import Attempt, Delivery, Endpoint, Sink

pytestmark = pytest.mark.django_db


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


@pytest.mark.owner
def test_the_end_of_a_batch_from_before_the_clock_began_is_no_receipt(provisioned: Provisioned, api: Api) -> None:
    before = make_batch(api)
    Pilot.objects.update(activated_at=timezone.now())
    answer(end_batch(before))
    assert met(provisioned) == [False, False, False]
    answer(end_batch(make_batch(api, request_id="since")))
    assert met(provisioned) == [True, True, False]


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


# --- how to help ---------------------------------------------------------------------------------------------------


@pytest.mark.owner
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
